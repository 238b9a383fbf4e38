"""Channels rescaled so that all of them make use of the steps they share.

Convolution, ReLU with and without a leak, maximum, mean, sums, concatenation, splitting and repetition all commute with
a positive factor for each channel; a product does with a factor of one of its operands. (Curves do not: what logistic,
swish, ReLU6 and the like read or write keeps its channels as they are.) Where the filters that write a channel are
divided by the factor, and the weights that read it multiplied, the network computes what it did. Int8 steps are shared
by all channels of a tensor, so quiet channels gain precision when the factor makes them louder (Nagel et al.,
"Data-Free Quantization Through Weight Equalization and Bias
Correction", 2019; here with measured values instead of weights, and across joins of any shape).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.graph import (
    INPUT_NAME,
    Add,
    Concatenation,
    Convolution,
    Graph,
    HardSwish,
    Logistic,
    Maximum,
    Multiply,
    Pad,
    Slice,
    Split,
)
from fastyolo.export.ranges import leaky

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

EXPONENT = 0.5
"""0 leaves channels alone, 1 makes all equally loud; between them the readers' weights keep their own precision."""

COMMON_SHARE = 0.9999
"""How loud a channel is: this share of its values lies below."""

LEAST_FACTOR = 1 / 64
"""Before the exponent: dead channels must not be blown up."""


@dataclass(frozen=True, eq=False)
class Channels:
    """Which channels must share a factor.

    Attributes:
        ids: for each tensor, int64 (channels,), the number of each channel's class.
        fixed: bool, by class: those that cannot be rescaled (the input, the heads, what a logistic or another curve
            reads or writes).
    """

    ids: Mapping[str, Int64Array]
    fixed: npt.NDArray[np.bool_]


def tied_channels(graph: Graph) -> Channels:
    """Follow every channel from the filter that writes it to the weights that read it."""
    parent: list[int] = []

    def new(count: int) -> Int64Array:
        start = len(parent)
        parent.extend(range(start, start + count))
        return np.arange(start, len(parent))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    ids = {INPUT_NAME: new(graph.shapes[INPUT_NAME][2])}
    fixed = [ids[INPUT_NAME]]
    for operation in graph.operations:
        sources = [ids[name] for name in operation.inputs]
        target = operation.outputs[0]
        match operation:
            case Convolution():
                ids[target] = new(graph.shapes[target][2])
            case Logistic() | HardSwish():
                ids[target] = new(graph.shapes[target][2])
                fixed += [sources[0], ids[target]]
            case Multiply():
                steady = [bool(np.isin(numbers, np.concatenate(fixed)).all()) for numbers in sources]
                # Two factors would multiply; one goes through.
                ids[target] = sources[1] if steady[0] else sources[0]
                if not any(steady):
                    fixed += sources
            case Pad(channels=more) if more:
                ids[target] = np.concatenate([sources[0], new(more)])
            case Slice(starts=(_, _, first)):
                ids[target] = sources[0][first : first + graph.shapes[target][2]]
            case Concatenation():
                ids[target] = np.concatenate(sources)
            case Split(outputs=outputs):
                ids.update(zip(outputs, np.split(sources[0], len(outputs)), strict=True))
            case Add() | Maximum():
                for one, other in zip(*sources, strict=True):
                    parent[root(int(other))] = root(int(one))
                ids[target] = sources[0]
            case _:
                ids[target] = sources[0]
        if isinstance(operation, Convolution | Add | Multiply) and operation.relu6:
            fixed.append(ids[target])
    fixed += [ids[head] for head in graph.heads]
    roots = np.array([root(number) for number in range(len(parent))])
    is_fixed = np.zeros(len(parent), bool)
    is_fixed[roots[np.concatenate(fixed)]] = True
    return Channels({name: roots[numbers] for name, numbers in ids.items()}, is_fixed)


def equalising_factors(
    graph: Graph, statistics: Mapping[str, Statistics], exponent: float = EXPONENT
) -> dict[str, Float64Array]:
    """For every tensor the factor of each channel, (loudness / the loudest of its layer) ** exponent, 1 where fixed."""
    channels = tied_channels(graph)
    factors = np.zeros(len(channels.fixed))
    exponents = np.where(_read_alone(graph, channels), 1.0, exponent)
    activated = activated_tensors(graph)
    for name, found in statistics.items():
        loud = loudness(found, name in activated)
        share = np.maximum(loud / max(float(loud.max()), 1e-30), LEAST_FACTOR) ** exponents[channels.ids[name]]
        # Channels that an addition ties are as loud as the louder one.
        np.maximum.at(factors, channels.ids[name], share)
    factors[channels.fixed | (factors == 0)] = 1
    return {name: factors[numbers] for name, numbers in channels.ids.items()}


def _read_alone(graph: Graph, channels: Channels) -> npt.NDArray[np.bool_]:
    """By class: channels that only depthwise convolutions read, whose weights lose nothing when these get louder."""
    alone, shared = np.zeros(len(channels.fixed), bool), np.zeros(len(channels.fixed), bool)
    for operation in graph.operations:
        if isinstance(operation, Convolution):
            (alone if operation.depthwise else shared)[channels.ids[operation.inputs[0]]] = True
    return alone & ~shared


def rescale(graph: Graph, factors: Mapping[str, Float64Array]) -> Graph:
    """A graph that computes the same heads from channels divided by their factors."""

    def rescaled(operation: Convolution) -> Convolution:
        read, written = factors[operation.inputs[0]], factors[operation.outputs[0]]
        weights = operation.weights * operation.by_filter(read)[:, None, None, :] / written[:, None, None, None]
        return replace(
            operation, weights=weights.astype(np.float32), bias=(operation.bias / written).astype(np.float32)
        )

    operations = (rescaled(op) if isinstance(op, Convolution) else op for op in graph.operations)
    return replace(graph, operations=tuple(operations))


def loudness(found: Statistics, activated: bool) -> Float64Array:
    """How far the values of each channel commonly reach, behind the leaky ReLU if there is one."""
    low, high = found.common_range(COMMON_SHARE)
    return np.maximum(leaky(high), -leaky(low)) if activated else np.maximum(high, -low)
