"""The recipes that are compared, from what everybody does to what the exporter does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastyolo.export import ranges
from fastyolo.export.calibrate import Statistics, UInt8Array, activated_tensors, calibrate
from fastyolo.export.equalise import EXPONENT, equalising_factors, rescale
from fastyolo.export.graph import INPUT_NAME, Convolution, Graph, scale_groups
from fastyolo.export.int8 import Affine, Quantization
from fastyolo.export.layerwise import refine
from fastyolo.export.quantise import (
    INPUT_AFFINE,
    histogram,
    quantise,
    quantise_convolution,
    tensor_parameters,
)
from fastyolo.export.recipe import Recipe
from fastyolo.spec import ModelSpec


@dataclass(frozen=True)
class Split:
    """What a candidate may look at: the network, statistics of its calibration pictures, and the pictures."""

    graph: Graph
    spec: ModelSpec
    statistics: Mapping[str, Statistics]
    pictures: Sequence[UInt8Array]


Quantised = tuple[Graph, Quantization]
Candidate = Callable[[Split], Quantised]


def plain(head_limit: float | None, least_squares: bool) -> Candidate:
    """Ranges from all values alike; errors in front of a leaky ReLU measured behind it."""

    def run(split: Split) -> Quantised:
        behind = activated_tensors(split.graph)
        roots = scale_groups(split.graph)
        groups: dict[str, list[tuple[str, bool]]] = {}
        for name in split.statistics:
            groups.setdefault(roots[name], []).append((name, False))
            if name in behind:
                groups.setdefault(roots[behind[name]], []).append((name, True))
        tensors = {roots[INPUT_NAME]: INPUT_AFFINE}
        for root, members in groups.items():
            parts = [_histogram(split.statistics[name], is_behind) for name, is_behind in members]
            values, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
            low, high = float(values.min()), float(values.max())
            if root in {roots[head] for head in split.graph.heads}:
                limit = np.inf if head_limit is None else head_limit
                tensors[root] = ranges.affine(max(low, -limit), min(high, limit))
            elif least_squares:
                tensors[root] = _least_squares(values, counts, members[0][0] in behind and not members[0][1])
            else:
                tensors[root] = ranges.affine(low, high)
        return _nearest(split.graph, {name: tensors[root] for name, root in roots.items()})

    return run


def recipe(
    *,
    relevance: bool = True,
    both_roundings: bool = True,
    exponent: float = EXPONENT,
    head: tuple[float, float] | None = None,
    bias_pictures: int = 0,
    learned_rounding: bool = False,
) -> Candidate:
    """The exporter's own parts; `head` fixes the outputs' range, `bias_pictures` correct biases (and rounding)."""

    def run(split: Split) -> Quantised:
        statistics = split.statistics if relevance else {k: _counted(v) for k, v in split.statistics.items()}
        factors = equalising_factors(split.graph, statistics, exponent)
        tensors = tensor_parameters(split.graph, statistics, factors)
        if not both_roundings:
            for name in activated_tensors(split.graph):
                tensors[name] = _least_squares(*histogram(statistics[name], factors[name]), leaky=True)
        if head is not None:
            tensors |= dict.fromkeys(split.graph.heads, ranges.affine(*head))
        graph, quantization = _nearest(rescale(split.graph, factors), tensors)
        if bias_pictures:
            step = max(1, len(split.pictures) // bias_pictures)
            quantization = refine(graph, quantization, split.pictures[::step], learned_rounding=learned_rounding)
        return graph, quantization

    return run


def default_effort(split: Split) -> Quantised:
    """What the exporter does without being asked for more, relevances from a few pictures included."""
    chosen = Recipe.of("default")
    step = -(-len(split.pictures) // chosen.relevance)
    graph, quantization = quantise(split.graph, calibrate(split.graph, split.spec, split.pictures, relevance_step=step))
    pictures = split.pictures[:: len(split.pictures) // chosen.refining]
    return graph, refine(graph, quantization, pictures, learned_rounding=False)


def one_scale(bias_pictures: int, weight_share: float = Recipe.of("high").weight_share) -> Candidate:
    """One scale for all weights of a convolution, as the exporter does with learned rounding."""

    def run(split: Split) -> Quantised:
        graph, quantization = quantise(split.graph, split.statistics, "per-tensor", weight_share=weight_share)
        step = max(1, len(split.pictures) // bias_pictures)
        return graph, refine(graph, quantization, split.pictures[::step], learned_rounding=True)

    return run


BASELINE = "+-6, least squares"

CANDIDATES: dict[str, Candidate] = {
    "min-max": plain(None, least_squares=False),
    BASELINE: plain(6, least_squares=True),
    "A: +-6, both roundings": recipe(relevance=False, exponent=0, head=(-6, 6)),
    "B: A by relevance": recipe(exponent=0, head=(-6, 6)),
    "C: B, equalised 0.5": recipe(head=(-6, 6)),
    "C: B, equalised 0.75": recipe(exponent=0.75, head=(-6, 6)),
    "D: C 0.5, heads +-4": recipe(head=(-4, 4)),
    "D: C 0.5, heads by relevance": recipe(),
    "D: without both roundings": recipe(both_roundings=False),
    "D: without relevance, heads -6 to 4": recipe(relevance=False, head=(-6, 4)),
    "D: without equalisation": recipe(exponent=0),
    "E: D, biases": recipe(bias_pictures=32),
    "E: as effort default does": default_effort,
    "F: E, learned rounding": recipe(bias_pictures=48, learned_rounding=True),
    "G: one scale per convolution, learned rounding": one_scale(bias_pictures=48),
    "G: with 96 pictures": one_scale(bias_pictures=96),
    "G: with 96, all of the weights' error": one_scale(bias_pictures=96, weight_share=1.0),
}


def _nearest(graph: Graph, tensors: Mapping[str, Affine]) -> Quantised:
    convolutions = [operation for operation in graph.operations if isinstance(operation, Convolution)]
    numbers = {operation.outputs[0]: quantise_convolution(operation, tensors) for operation in convolutions}
    return graph, Quantization(tensors, numbers)


def _counted(statistics: Statistics) -> Statistics:
    counted = copy.copy(statistics)
    counted.weights = np.zeros_like(statistics.weights)
    return counted


def _histogram(statistics: Statistics, behind: bool) -> tuple[ranges.Float64Array, ranges.Float64Array]:
    used = statistics.counts > 0
    values = statistics.centres[used]
    limit = float(np.abs(values).max()) * (1 + 1e-9)
    counts = np.bincount(((values / limit + 1) * 2048).astype(int), weights=statistics.counts[used], minlength=4096)
    centres = ((np.arange(4096) + 0.5) / 2048 - 1) * limit
    used = counts > 0
    return (ranges.leaky(centres[used]) if behind else centres[used]), counts[used]


def _least_squares(values: ranges.Float64Array, counts: ranges.Float64Array, leaky: bool) -> Affine:
    """Coarse, then fine grid over both ends; `leaky` measures the error behind a leaky ReLU."""
    after = ranges.leaky if leaky else np.asarray
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)

    def error(shares: tuple[float, float]) -> float:
        difference = after(ranges.stored(values, ranges.affine(shares[0] * low, shares[1] * high))) - after(values)
        return float(counts @ (difference * difference))

    best = (1.0, 1.0)
    for offsets in (np.arange(-20, 1) * 0.05, np.arange(-5, 6) * 0.01):
        ends = [sorted({float(np.clip(share + offset, 0.02, 1)) for offset in offsets}) for share in best]
        best = min(((a, b) for a in ends[0] for b in ends[1]), key=error)
    return ranges.affine(best[0] * low, best[1] * high)
