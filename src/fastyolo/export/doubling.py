"""Leaky ReLUs that cost an int8 network too much, and what takes their place.

TFLite's LEAKY_RELU reads a tensor with a scale of its own, which must reach as far down as negative values matter, ten
times further than behind it: where they matter much, positive values lose most of their steps to them. But
leaky(x) = max(x, x / 10): two convolutions, the second with a tenth of the weights, and the larger of both. All three
tensors have the scale of the result, so there is one rounding, at the cost of a second convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fastyolo.export import ranges
from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.equalise import Float64Array
from fastyolo.export.graph import LEAKY_SLOPE, Convolution, Graph, LeakyRelu, Maximum, Operation
from fastyolo.export.histogram import histogram
from fastyolo.export.int8 import Affine

LEAST_SHARE = 0.001
"""Of the whole network's expected error, that a leaky ReLU's first rounding must make to be replaced."""


def costly_leaky(
    graph: Graph,
    statistics: Mapping[str, Statistics],
    factors: Mapping[str, Float64Array],
    tensors: Mapping[str, Affine],
) -> list[str]:
    """The convolutions in front of such leaky ReLUs, by what they put out.

    Args:
        factors: by which channels were divided.
        tensors: what was chosen for every tensor of that network.
    """
    behind = activated_tensors(graph)
    written = {op.outputs[0] for op in graph.operations if isinstance(op, Convolution)}
    total, excess = 0.0, {}
    for name, found in statistics.items():
        values, weights = histogram(found, factors[name])
        if name not in behind:
            total += ranges.squared_error(values, weights, tensors[name])
            continue
        output, wanted = tensors[behind[name]], ranges.leaky(values)
        twice = ranges.stored(ranges.leaky(ranges.stored(values, tensors[name])), output) - wanted
        error = float(weights @ (twice * twice))
        total += error
        if name in written:
            excess[name] = error - ranges.squared_error(wanted, weights, output)
    return [name for name, more in excess.items() if more > LEAST_SHARE * total]


def doubled(graph: Graph, names: list[str]) -> Graph:
    """A graph that computes the same, with two convolutions and a maximum in place of those leaky ReLUs."""
    operations: list[Operation] = []
    shapes = dict(graph.shapes)
    for operation in graph.operations:
        if isinstance(operation, LeakyRelu) and operation.inputs[0] in names:
            source = operation.inputs[0]
            operations.append(Maximum((source, _tenth(source)), operation.outputs))
            continue
        operations.append(operation)
        if isinstance(operation, Convolution) and operation.outputs[0] in names:
            name = operation.outputs[0]
            slope = np.float32(LEAKY_SLOPE)
            weights, bias = operation.weights * slope, operation.bias * slope
            operations.append(replace(operation, outputs=(_tenth(name),), weights=weights, bias=bias))
            shapes[_tenth(name)] = shapes[name]
    return replace(graph, shapes=shapes, operations=tuple(operations))


def _tenth(name: str) -> str:
    return f"{name}/tenth"
