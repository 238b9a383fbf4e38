"""Filters of small weights get a convolution of their own, where one scale must serve all filters of a head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from darknet_networks import load, pictures, tiny, write_network
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.flow import Float64Array
from fastyolo.export.graph import Add, Convolution, Graph
from fastyolo.export.int8 import Affine
from fastyolo.export.layerwise import refine
from fastyolo.export.quantise import quantise
from fastyolo.export.set_apart import set_small_filters_apart, small_filters
from fastyolo.spec import ModelSpec

SIZES = (2, 3, 9, 10, 16, 17)
"""Of a head with three anchors and two classes: width and height of each."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, ModelSpec]:
    """Width and height of every box have small weights, as in trained networks."""
    cfg, weights = write_network(tmp_path_factory.mktemp("net"), tiny())
    return shrunk(load(cfg, weights), SIZES), ModelSpec.from_cfg(cfg)


def shrunk(graph: Graph, filters: Sequence[int]) -> Graph:
    def smaller(operation: Convolution) -> Convolution:
        weights = operation.weights.copy()
        weights[list(filters)] *= np.float32(0.05)
        return replace(operation, weights=weights)

    return replace(
        graph,
        operations=tuple(
            smaller(op) if isinstance(op, Convolution) and op.outputs[0] in graph.heads else op
            for op in graph.operations
        ),
    )


@pytest.fixture(scope="module")
def statistics(network: tuple[Graph, ModelSpec]) -> dict[str, Statistics]:
    return calibrate(*network, pictures(network[0]))


def test_the_cut_is_where_least_error_is_expected() -> None:
    reach = np.array([1.0, 0.1, 0.9, 0.08, 1.1])
    found = small_filters(reach, np.array([1.0, 9.0, 1.0, 9.0, 1.0]))
    assert found is not None
    assert found.tolist() == [False, True, False, True, False]
    # Filters that matter little, or all of about one size, are not worth a convolution.
    assert small_filters(reach, np.array([9.0, 1.0, 9.0, 1.0, 9.0])) is None
    assert small_filters(np.array([1.0, 0.9, 0.95]), np.ones(3)) is None
    assert small_filters(np.zeros(3), np.ones(3)) is None
    assert small_filters(np.array([1.0]), np.ones(1)) is None


def test_a_head_becomes_a_sum_that_computes_the_same(network: tuple[Graph, ModelSpec]) -> None:
    graph, _ = network
    convolutions = [op for op in graph.operations if isinstance(op, Convolution)]
    importance: dict[str, Float64Array] = {
        op.outputs[0]: np.ones((len(op.weights), op.weights.shape[3])) for op in convolutions
    }
    for head in graph.heads:
        importance[head][list(SIZES)] = 10.0
    tensors = {name: Affine(0.1, index) for index, name in enumerate(graph.shapes)}
    split, parameters, counts = set_small_filters_apart(graph, tensors, importance)
    sums = [op for op in split.operations if isinstance(op, Add)]
    assert [op.outputs[0] for op in sums] == sorted(graph.heads, key=[op.outputs[0] for op in sums].index)
    assert len(sums) == 2
    for operation in sums:
        (head,) = operation.outputs
        assert {parameters[part] for part in operation.inputs} == {tensors[head]}
        assert head not in counts
        large, small = (op for op in split.operations if op.outputs[0] in operation.inputs)
        assert isinstance(large, Convolution)
        assert isinstance(small, Convolution)
        assert tuple(np.flatnonzero(small.weights.any(axis=(1, 2, 3)))) == SIZES
        assert not large.weights[list(SIZES)].any()
    for before, after in zip(*(Observer(g, g.heads).run(pictures(g)) for g in (graph, split)), strict=True):
        for name in graph.heads:
            np.testing.assert_allclose(after[name], before[name], atol=1e-5)


def test_the_sum_adds_nothing_to_the_error(network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]) -> None:
    scaled, nearest = quantise(network[0], statistics, "per-tensor")
    numbers = refine(scaled, nearest, pictures(scaled), learned_rounding=True)
    assert [op.outputs[0] for op in scaled.operations if isinstance(op, Convolution)] == list(numbers.convolutions)
    assert len(numbers.convolutions) == len(network[0].heads) + sum(
        isinstance(op, Convolution) for op in network[0].operations
    )
    for operation in scaled.operations:
        if isinstance(operation, Add):
            names = (*operation.inputs, *operation.outputs)
            affine = numbers.tensors[names[-1]]
            for found in Observer(scaled, names, numbers).run(pictures(scaled)):
                large, small, total = (found[name] for name in names)
                np.testing.assert_allclose(total, np.clip(large + small, *affine.limits), atol=affine.scale / 100)


def test_small_filters_keep_their_precision(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph, _ = network
    errors = {}
    for form in ("per-channel", "per-tensor"):
        scaled, nearest = quantise(graph, statistics, form)  # type: ignore[arg-type]
        numbers = refine(scaled, nearest, pictures(graph), learned_rounding=True)
        runs = (Observer(g, g.heads, n).run(pictures(g)) for g, n in ((graph, None), (scaled, numbers)))
        errors[form] = sum(
            float(np.square(a[head][..., list(SIZES)] - b[head][..., list(SIZES)]).mean())
            for a, b in zip(*runs, strict=True)
            for head in graph.heads
        )
    assert errors["per-tensor"] < 1.5 * errors["per-channel"]
