"""Channels rescaled for weights that share one scale: activations and weights weighed against each other.

As in `equalise`, every channel between convolutions may be divided by a factor of its own. One step of a tensor's int8
numbers serves all of its channels, and one step of a convolution's weights all of its filters; a factor that makes a
channel louder in its tensor makes the weights that read it smaller, and those that write it larger. The best factors
are those of least expected error of what is detected, to first order and for rounding errors that are independent:

    tensor        step^2 / 12 * sum over channels of relevance * factor^2
    convolution   step^2 / 12 * sum over filters of relevance * factor^2 * sum over weights of variance / factor^2

with the step of each by the largest of what it must hold. That sum is smooth but for the largest, for which a high norm
stands; it is minimised over the logarithms of the factors. (Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019, equalise the ranges of weights alone, layer by layer.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.equalise import Channels, equalising_factors, tied_channels
from fastyolo.export.flow import Flow, measure_flow
from fastyolo.export.graph import Convolution, Graph, scale_groups
from fastyolo.export.grouped import GroupedTerm

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

NORM = 16.0
"""Of the smooth maximum: ranges are clipped where that costs less, so the very largest need not count in full."""

STEPS = 300
RATE = 0.1
LEAST_REACH = 1 / 64
"""Of a layer's loudest channel: dead ones must not be blown up."""


@dataclass(frozen=True, eq=False)
class _Term:
    """step(f)^2 * noise(f): sizes / f[divisors] * f[multipliers] must fit, and errors weigh as their parts say.

    Attributes:
        sizes: float64 (n,) or (filters, channels), what must be held.
        rows, columns: the classes by which a size is divided, and multiplied (None for tensors).
        weighed: float64 like `rows`, relevance; multiplied by the squared factor of the row's class.
        spread: float64 like `columns`, variance; divided by the squared factor of the column's class.
    """

    sizes: Float64Array
    rows: Int64Array
    weighed: Float64Array
    columns: Int64Array | None = None
    spread: Float64Array | None = None

    def cost(self, logs: Float64Array, gradient: Float64Array) -> float:
        """The term's error at factors exp(logs); its derivatives are added to `gradient`."""
        by_row = np.exp(logs[self.rows])
        scaled = self.sizes / (by_row if self.columns is None else by_row[:, None])
        if self.columns is not None:
            scaled = scaled * np.exp(logs[self.columns])
        largest = float(scaled.max()) + 1e-300
        powers = (scaled / largest) ** NORM
        total = float(powers.sum())
        step = largest * total ** (1 / NORM)
        errors = self.weighed * by_row**2
        noise = float(errors.sum()) + 1e-300
        shares = powers / total
        if self.columns is None or self.spread is None:
            value = float(step**2 * noise)
            np.add.at(gradient, self.rows, value * (2 * errors / noise - 2 * shares))
            return value
        read = self.spread / np.exp(2 * logs[self.columns])
        spread = float(read.sum()) + 1e-300
        value = float(step**2 * noise * spread)
        np.add.at(gradient, self.rows, value * (2 * errors / noise - 2 * shares.sum(axis=1)))
        np.add.at(gradient, self.columns, value * (2 * shares.sum(axis=0) - 2 * read / spread))
        return value


def balanced_factors(
    graph: Graph, statistics: Mapping[str, Statistics], weight_share: float
) -> dict[str, Float64Array]:
    """For every tensor the factor of each channel, 1 where fixed.

    Args:
        weight_share: of the weights' expected error that remains: 1 for rounding to the nearest step, less where their
            rounding is learned.
    """
    channels = tied_channels(graph)
    flow = measure_flow(graph, statistics, channels)
    terms = [*_tensor_terms(graph, channels, flow), *_weight_terms(graph, channels, flow, weight_share)]
    start = np.ones(len(channels.fixed))
    for name, factors in equalising_factors(graph, statistics).items():
        start[channels.ids[name]] = factors
    logs = _minimised(terms, np.log(start), ~channels.fixed)
    factors = np.exp(logs)
    return {name: factors[numbers] for name, numbers in channels.ids.items()}


def weight_importance(
    graph: Graph, statistics: Mapping[str, Statistics], factors: Mapping[str, Float64Array]
) -> dict[str, Float64Array]:
    """By convolution, float64 (filters, channels): the weight of a squared error of each weight, once rescaled."""
    channels = tied_channels(graph)
    flow = measure_flow(graph, statistics, channels)
    found = {}
    for operation in graph.operations:
        if isinstance(operation, Convolution):
            source, target = operation.inputs[0], operation.outputs[0]
            read = flow.variance[channels.ids[source]] / factors[source] ** 2
            found[target] = (flow.relevance[target] * factors[target] ** 2)[:, None] * operation.by_filter(read)
    return found


def _tensor_terms(graph: Graph, channels: Channels, flow: Flow) -> list[_Term]:
    roots, behind = scale_groups(graph), activated_tensors(graph)
    members: dict[str, list[str]] = {}
    for name in flow.reach:
        members.setdefault(roots[behind.get(name, name)], []).append(name)
    terms = []
    for names in members.values():
        ids = np.concatenate([channels.ids[name] for name in names])
        if channels.fixed[ids].all():
            continue
        reach = np.concatenate([flow.reach[name] for name in names])
        reach = np.maximum(reach, LEAST_REACH * reach.max())
        terms.append(_Term(reach / 255, ids, np.concatenate([flow.relevance[name] for name in names])))
    return terms


def _weight_terms(graph: Graph, channels: Channels, flow: Flow, share: float) -> list[_Term | GroupedTerm]:
    terms: list[_Term | GroupedTerm] = []
    for operation in graph.operations:
        if isinstance(operation, Convolution):
            source, target = operation.inputs[0], operation.outputs[0]
            columns = channels.ids[source]
            positions = operation.weights.shape[1] * operation.weights.shape[2]
            sizes = np.abs(operation.weights).max(axis=(1, 2)).astype(np.float64) / 127
            rows, relevance = channels.ids[target], flow.relevance[target]
            spread = flow.variance[columns] * positions * share
            if operation.groups == 1:
                terms.append(_Term(sizes, rows, relevance, columns, spread))
            else:
                seen = operation.by_filter(columns), operation.by_filter(spread)
                terms.append(GroupedTerm(sizes, rows, relevance, *seen, NORM))
    return terms


def _minimised(terms: list[_Term | GroupedTerm], logs: Float64Array, free: npt.NDArray[np.bool_]) -> Float64Array:
    """Adam (Kingma and Ba, 2014) on the logarithm of the whole cost, with a rate that falls to nothing."""
    first, second = np.zeros_like(logs), np.zeros_like(logs)
    for step in range(1, STEPS + 1):
        gradient = np.zeros_like(logs)
        value = sum(term.cost(logs, gradient) for term in terms)
        gradient = np.where(free, gradient / value, 0.0)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        rate = RATE * (1 - (step - 1) / STEPS)
        logs = logs - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-12)
    return logs
