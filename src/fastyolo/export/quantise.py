"""Which int8 numbers stand for the network's float ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export import ranges
from fastyolo.export.balance import balance
from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.doubling import costly_leaky, doubled
from fastyolo.export.equalise import equalising_factors, rescale
from fastyolo.export.graph import (
    INPUT_NAME,
    Convolution,
    Graph,
    Logistic,
    scale_groups,
)
from fastyolo.export.histogram import Histogram, histogram
from fastyolo.export.int8 import Affine, Int8Convolution, Quantization, WeightScales
from fastyolo.export.set_apart import set_small_filters_apart

Float64Array = npt.NDArray[np.float64]
INPUT_AFFINE = Affine(float(np.float32(1 / 255)), -128)
"""A pixel u (0..255) is stored as u - 128 and means u / 255."""

LOGISTIC_AFFINE = Affine(1 / 256, -128)
"""What TFLite demands of an int8 LOGISTIC output."""

MAX_MULTIPLIER = 255.0
"""Largest input scale * weight scale / output scale of a convolution. From 256 on, a file is valid TFLite that LiteRT's
kernels nevertheless refuse to load."""

LEAST_HEAD_REACH = 4.0
"""Network outputs up to this far from zero are kept, if they occur: a logit of 4 is a probability of 0.982, so that no
score is held below 0.964. What else is cut off is chosen by its effect, which is small where a score is close to 1 or
to 0; but scores that are all equal could not be told apart."""

WEIGHT_SHARES = np.arange(50, 101) * 0.01
"""Of the largest weight that `least_error_scale` tries to reach."""


@dataclass
class _Group:
    """Tensors that share one scale, and histograms of the values that their producers write."""

    histograms: list[Histogram] = field(default_factory=list)
    is_head: bool = False
    fixed: set[Affine] = field(default_factory=set)


def quantise(
    graph: Graph,
    statistics: Mapping[str, Statistics],
    weight_scales: WeightScales = "per-channel",
    *,
    weight_share: float = 1.0,
) -> tuple[Graph, Quantization]:
    """Choose int8 parameters for every tensor and convolution of a graph; weights and biases go to the nearest step.

    Args:
        weight_scales: one scale for each filter, or one for all filters of a convolution.
        weight_share: see `balance.balance`, for one scale.

    Returns:
        The graph with its channels equalised, which computes the same heads, and its int8 numbers. Where all filters
        have one scale, heads may be split in two; see `set_apart`.

    Raises:
        ExportError: a logistic output, or the network input, must share its scale with other values; or a head's values
            are far too large for its range.
    """
    per_tensor = weight_scales == "per-tensor"

    def chosen() -> tuple[dict[str, Float64Array], dict[str, Float64Array]]:
        return balance(graph, statistics, weight_share) if per_tensor else (equalising_factors(graph, statistics), {})

    factors, importance = chosen()
    if any(operation.groups > 1 for operation in _convolutions(graph)):
        # Small networks that depend on every step of every tensor; a few more convolutions cost them little.
        tensors = tensor_parameters(graph, statistics, factors)
        graph = doubled(graph, costly_leaky(graph, statistics, factors, tensors))
        factors, importance = chosen()
    graph = rescale(graph, factors)
    tensors = tensor_parameters(graph, statistics, factors)
    if per_tensor:
        graph, tensors, importance = set_small_filters_apart(graph, tensors, importance)
    convolutions = {
        op.outputs[0]: quantise_convolution(op, tensors, importance.get(op.outputs[0])) for op in _convolutions(graph)
    }
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
    # A maximum has one scale on both sides.
    behind = {name: target for name, target in behind.items() if roots[name] != roots[target]}
    before = {roots[name] for name in behind}
    chosen = {root: _group_parameters(root, group) for root, group in groups.items() if root not in before}
    for name, target in behind.items():
        chosen[roots[name]] = ranges.affine_before_leaky(*histograms[name], chosen[roots[target]])
    return {name: chosen[root] for name, root in roots.items()}


def quantise_convolution(
    operation: Convolution, tensors: Mapping[str, Affine], importance: Float64Array | None = None
) -> Int8Convolution:
    """Round weights to int8 with symmetric scales, and the bias to int32.

    Args:
        importance: float64 (filters, channels), the weight of a squared error of each weight, and one scale for all
            filters, so chosen that they err least; None: a scale for each filter, that of its largest weight.
    """
    input_scale = tensors[operation.inputs[0]].scale
    output_scale = tensors[operation.outputs[0]].scale
    weights = operation.weights.astype(np.float64)
    scales = np.abs(weights).max(axis=(1, 2, 3)) / 127
    if importance is not None:
        scales = np.array([least_error_scale(weights, importance[:, None, None, :])])
    # Filters that batch normalisation has all but switched off: their bias must still fit int32, and the kernels'
    # fixed-point multiplier must not vanish.
    least = np.abs(operation.bias) / (input_scale * 2.0**30)
    scales = np.maximum(scales, least if importance is None else least.max())
    scales = np.maximum(scales, output_scale / input_scale * 2.0**-24).astype(np.float32)
    stored = np.clip(np.rint(weights / scales[:, None, None, None]), -127, 127).astype(np.int8)
    return Int8Convolution(stored, scales, store_bias(operation.bias, np.float32(input_scale) * scales))


def least_error_scale(weights: Float64Array, importance: Float64Array) -> float:
    """One scale for all weights, of least error: the largest of them may be cut off where that costs less."""
    largest = max(float(np.abs(weights).max()), 1e-30) / 127

    def error(share: float) -> float:
        scale = share * largest
        difference = np.clip(np.rint(weights / scale), -127, 127) * scale - weights
        return float((importance * difference * difference).sum())

    share: float = min(WEIGHT_SHARES.tolist(), key=error)
    return largest * share


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
