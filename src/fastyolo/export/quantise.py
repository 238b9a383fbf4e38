"""Which int8 numbers stand for the network's float ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export import ranges
from fastyolo.export.calibrate import Statistics
from fastyolo.export.graph import (
    INPUT_NAME,
    Add,
    Concatenation,
    Convolution,
    Graph,
    LeakyRelu,
    Logistic,
    MaxPool,
    Pad,
    Split,
    Upsample,
)
from fastyolo.export.int8 import Affine, Int8Convolution, Quantization
from fastyolo.export.ranges import Function, Range

Float64Array = npt.NDArray[np.float64]

INPUT_AFFINE = Affine(float(np.float32(1 / 255)), -128)
"""A pixel u (0..255) is stored as u - 128 and means u / 255."""

LOGISTIC_AFFINE = Affine(1 / 256, -128)
"""What TFLite demands of an int8 LOGISTIC output."""

MAX_MULTIPLIER = 255.0
"""Largest input scale * weight scale / output scale of a convolution. From 256 on, a file is valid TFLite that LiteRT's
kernels nevertheless refuse to load."""

KEEPS_SCALE = Pad | Split | MaxPool | Upsample | Concatenation
"""Operations that move values without computing: all tensors they touch share one scale."""


@dataclass(frozen=True)
class Recipe:
    """Which techniques choose the numbers.

    Attributes:
        activation_range: "minmax" covers every value seen, "least_squares" minimises the squared error.
        head_limit: network outputs beyond +-this are cut off; a logit of 6 is a probability of 0.9975, and covering
            the rare extremes (-36 in YOLOv4-tiny) would make the steps that decide too coarse. None cuts nothing.
        bias_correction: shift every bias by the mean error of its channel. It gained less than the spread between sets
            of pictures for YOLOv4-tiny.
    """

    activation_range: Literal["minmax", "least_squares"] = "least_squares"
    head_limit: float | None = 6.0
    bias_correction: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the metadata of the files made by it."""
        return asdict(self)


@dataclass
class _Group:
    """Tensors that share one scale, and the values their producers write."""

    values: list[Float64Array] = field(default_factory=list)
    counts: list[npt.NDArray[np.int64]] = field(default_factory=list)
    minimum: float = 0.0
    maximum: float = 0.0
    after: Function = ranges.identity
    is_head: bool = False
    fixed: set[Affine] = field(default_factory=set)


def quantise(graph: Graph, statistics: Mapping[str, Statistics], recipe: Recipe) -> Quantization:
    """Choose int8 parameters for every tensor and convolution of a graph, biases uncorrected.

    Raises:
        ExportError: a logistic output, or the network input, must share its scale with other values; or a head's values
            are far too large for its range.
    """
    tensors = tensor_parameters(graph, statistics, recipe)
    convolutions = {op.outputs[0]: quantise_convolution(op, tensors) for op in _convolutions(graph)}
    quantization = Quantization(tensors, convolutions)
    _check_multipliers(graph, quantization)
    return quantization


def tensor_parameters(graph: Graph, statistics: Mapping[str, Statistics], recipe: Recipe) -> dict[str, Affine]:
    """The `Affine` of every tensor of a graph."""
    roots = scale_groups(graph)
    groups: dict[str, _Group] = {root: _Group() for root in roots.values()}
    groups[roots[INPUT_NAME]].fixed.add(INPUT_AFFINE)
    for operation in graph.operations:
        group = groups[roots[operation.outputs[0]]]
        match operation:
            case Logistic():
                group.fixed.add(LOGISTIC_AFFINE)
                groups[roots[operation.inputs[0]]].after = ranges.logistic
            case LeakyRelu():
                _join(group, statistics[operation.inputs[0]], ranges.leaky)
                groups[roots[operation.inputs[0]]].after = ranges.leaky
            case Convolution() | Add():
                _join(group, statistics[operation.outputs[0]], ranges.identity)
    for head in graph.heads:
        groups[roots[head]].is_head = True
    chosen = {root: _group_parameters(root, group, recipe) for root, group in groups.items()}
    return {name: chosen[root] for name, root in roots.items()}


def scale_groups(graph: Graph) -> dict[str, str]:
    """For every tensor, the one that stands for all tensors it must share a scale with."""
    parent = {name: name for name in graph.shapes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for operation in graph.operations:
        if isinstance(operation, KEEPS_SCALE):
            first, *others = (*operation.inputs, *operation.outputs)
            for other in others:
                parent[root(other)] = root(first)
    return {name: root(name) for name in graph.shapes}


def quantise_convolution(operation: Convolution, tensors: Mapping[str, Affine]) -> Int8Convolution:
    """Round weights to int8 with one symmetric scale per filter, and the bias to int32."""
    input_scale = tensors[operation.inputs[0]].scale
    output_scale = tensors[operation.outputs[0]].scale
    weights = operation.weights.astype(np.float64)
    scales = np.abs(weights).max(axis=(1, 2, 3)) / 127
    # Filters that batch normalisation has all but switched off: their bias must still fit int32, and the kernels'
    # fixed-point multiplier must not vanish.
    scales = np.maximum(scales, np.abs(operation.bias) / (input_scale * 2.0**30))
    scales = np.maximum(scales, output_scale / input_scale * 2.0**-24).astype(np.float32)
    stored = np.clip(np.rint(weights / scales[:, None, None, None]), -127, 127).astype(np.int8)
    return Int8Convolution(stored, scales, store_bias(operation.bias, input_scale, scales))


def _convolutions(graph: Graph) -> list[Convolution]:
    return [operation for operation in graph.operations if isinstance(operation, Convolution)]


def _check_multipliers(graph: Graph, quantization: Quantization) -> None:
    for operation in _convolutions(graph):
        name = operation.outputs[0]
        largest = float(quantization.convolutions[name].scales.max())
        multiplier = quantization.tensors[operation.inputs[0]].scale * largest / quantization.tensors[name].scale
        if multiplier > MAX_MULTIPLIER:
            raise ExportError(
                f"int8 cannot hold {name}: expected products of at most {MAX_MULTIPLIER:g} of its steps, "
                f"got {multiplier:.3g}"
            )


def _join(group: _Group, statistics: Statistics, function: Function) -> None:
    """Add a producer's histogram to its group, as it looks behind `function` (which rises with its argument)."""
    group.values.append(function(statistics.centres))
    group.counts.append(statistics.counts)
    extremes = function(np.array([statistics.minimum, statistics.maximum]))
    group.minimum, group.maximum = min(group.minimum, extremes[0]), max(group.maximum, extremes[1])


def _group_parameters(root: str, group: _Group, recipe: Recipe) -> Affine:
    if group.fixed:
        if len(group.fixed) > 1 or group.values:
            raise ExportError(f"int8 needs one scale around {root}, got logistic or input values joined with others")
        return next(iter(group.fixed))
    extremes: Range = (group.minimum, group.maximum)
    if group.is_head:
        return ranges.affine(*(extremes if recipe.head_limit is None else ranges.clipped(extremes, recipe.head_limit)))
    if recipe.activation_range == "minmax":
        return ranges.affine(*extremes)
    values, counts = np.concatenate(group.values), np.concatenate(group.counts)
    return ranges.affine(*ranges.least_squares_range(values, counts, group.after))


def store_bias(
    bias: npt.NDArray[np.floating], input_scale: float, scales: npt.NDArray[np.float32]
) -> npt.NDArray[np.int32]:
    stored = np.rint(bias / (np.float64(np.float32(input_scale)) * scales))
    return np.asarray(np.clip(stored, -(2**31), 2**31 - 1), np.int32)
