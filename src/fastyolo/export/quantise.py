"""Which int8 numbers stand for the network's float ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export import ranges
from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.equalise import equalising_factors, rescale
from fastyolo.export.graph import (
    INPUT_NAME,
    Concatenation,
    Convolution,
    Graph,
    Logistic,
    MaxPool,
    Pad,
    Split,
    Upsample,
)
from fastyolo.export.int8 import Affine, Int8Convolution, Quantization

Float64Array = npt.NDArray[np.float64]
Histogram = tuple[Float64Array, Float64Array]
"""Values, and the weight that a squared error has at each."""

INPUT_AFFINE = Affine(float(np.float32(1 / 255)), -128)
"""A pixel u (0..255) is stored as u - 128 and means u / 255."""

LOGISTIC_AFFINE = Affine(1 / 256, -128)
"""What TFLite demands of an int8 LOGISTIC output."""

MAX_MULTIPLIER = 255.0
"""Largest input scale * weight scale / output scale of a convolution. From 256 on, a file is valid TFLite that LiteRT's
kernels nevertheless refuse to load."""

KEEPS_SCALE = Pad | Split | MaxPool | Upsample | Concatenation
"""Operations that move values without computing: all tensors they touch share one scale."""


LEAST_HEAD_REACH = 4.0
"""Network outputs up to this far from zero are kept, if they occur: a logit of 4 is a probability of 0.982, so that no
score is held below 0.964. What else is cut off is chosen by its effect, which is small where a score is close to 1 or
to 0; but scores that are all equal could not be told apart."""

HISTOGRAM_BINS = 2048


@dataclass
class _Group:
    """Tensors that share one scale, and histograms of the values that their producers write."""

    histograms: list[Histogram] = field(default_factory=list)
    is_head: bool = False
    fixed: set[Affine] = field(default_factory=set)


def quantise(graph: Graph, statistics: Mapping[str, Statistics]) -> tuple[Graph, Quantization]:
    """Choose int8 parameters for every tensor and convolution of a graph; weights and biases go to the nearest step.

    Returns:
        The graph with its channels equalised, which computes the same heads, and its int8 numbers.

    Raises:
        ExportError: a logistic output, or the network input, must share its scale with other values; or a head's values
            are far too large for its range.
    """
    factors = equalising_factors(graph, statistics)
    graph = rescale(graph, factors)
    tensors = tensor_parameters(graph, statistics, factors)
    convolutions = {op.outputs[0]: quantise_convolution(op, tensors) for op in _convolutions(graph)}
    quantization = Quantization(tensors, convolutions)
    _check_multipliers(graph, quantization)
    return graph, quantization


def tensor_parameters(
    graph: Graph, statistics: Mapping[str, Statistics], factors: Mapping[str, Float64Array]
) -> dict[str, Affine]:
    """The `Affine` of every tensor of a graph whose channels were divided by `factors`.

    First those of tensors with a single rounding; then those in front of a leaky ReLU, which depend on the one behind.
    """
    histograms = {name: histogram(found, factors[name]) for name, found in statistics.items()}
    behind = activated_tensors(graph)
    roots = scale_groups(graph)
    groups: dict[str, _Group] = {root: _Group() for root in roots.values()}
    groups[roots[INPUT_NAME]].fixed.add(INPUT_AFFINE)
    for operation in graph.operations:
        if isinstance(operation, Logistic):
            groups[roots[operation.outputs[0]]].fixed.add(LOGISTIC_AFFINE)
    for name, (values, weights) in histograms.items():
        if name in behind:
            groups[roots[behind[name]]].histograms.append((ranges.leaky(values), weights))
        else:
            groups[roots[name]].histograms.append((values, weights))
    for head in graph.heads:
        groups[roots[head]].is_head = True
    before = {roots[name] for name in behind}
    chosen = {root: _group_parameters(root, group) for root, group in groups.items() if root not in before}
    for name, target in behind.items():
        chosen[roots[name]] = ranges.affine_before_leaky(*histograms[name], chosen[roots[target]])
    return {name: chosen[root] for name, root in roots.items()}


def histogram(statistics: Statistics, factors: Float64Array) -> Histogram:
    """Values of a tensor whose channels were divided by `factors`, with the weight of a squared error at each.

    The weight is the relevance of the values there; where nothing was relevant, their number.
    """
    weights = statistics.weights * (factors**2)[:, None]
    if not weights.any():
        weights = statistics.counts.astype(np.float64)
    used = weights > 0
    values = (statistics.centres / factors[:, None])[used]
    limit = float(np.abs(values).max()) * (1 + 1e-9)
    bins = ((values / limit + 1) * (HISTOGRAM_BINS / 2)).astype(np.intp)
    centres = ((np.arange(HISTOGRAM_BINS) + 0.5) * (2 / HISTOGRAM_BINS) - 1) * limit
    total = np.bincount(bins, weights=weights[used], minlength=HISTOGRAM_BINS)
    return np.asarray(centres, np.float64), np.asarray(total, np.float64)


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
    return Int8Convolution(stored, scales, store_bias(operation.bias, np.float32(input_scale) * scales))


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


def _group_parameters(root: str, group: _Group) -> Affine:
    if group.fixed:
        if len(group.fixed) > 1 or group.histograms:
            raise ExportError(f"int8 needs one scale around {root}, got logistic or input values joined with others")
        return next(iter(group.fixed))
    values, weights = (np.concatenate(parts) for parts in zip(*group.histograms, strict=True))
    return ranges.affine(*ranges.least_squares_range(values, weights, LEAST_HEAD_REACH if group.is_head else 0.0))


def store_bias(bias: npt.NDArray[np.floating], scales: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """int32 numbers of the given scales, which are the input's times each filter's."""
    return np.asarray(np.clip(np.rint(bias / scales.astype(np.float64)), -(2**31), 2**31 - 1), np.int32)
