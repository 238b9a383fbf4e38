"""Weights of one scale: the factors that make it fit, the scale itself, and the file that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_networks import cfg_text, conv, head, load, pictures, pool, tiny, write_network
from fastyolo.errors import OptionError
from fastyolo.export import balance
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.equalise import rescale, tied_channels
from fastyolo.export.flow import measure_flow
from fastyolo.export.graph import Convolution, Graph
from fastyolo.export.int8 import Affine
from fastyolo.export.layerwise import refine
from fastyolo.export.quantise import least_error_scale, quantise, quantise_convolution
from fastyolo.export.targets import DEFAULT_WEIGHTS, check_target, resolve_weights
from fastyolo.export.tflite import write_tflite
from fastyolo.spec import ModelSpec

SHORTCUTS = cfg_text(
    conv(8, 3, 2), conv(8, 3, 2), conv(8), "[shortcut]\nfrom=-2\nactivation=leaky", pool(2, 2), conv(16, 3, 2),
    head("0,1,2", 2),
)  # fmt: skip


@pytest.fixture(scope="module", params=["tiny", "shortcuts"])
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, ModelSpec]:
    text = tiny() if request.param == "tiny" else SHORTCUTS
    cfg, weights = write_network(tmp_path_factory.mktemp("net"), text)
    return load(cfg, weights), ModelSpec.from_cfg(cfg)


@pytest.fixture(scope="module")
def statistics(network: tuple[Graph, ModelSpec]) -> dict[str, Statistics]:
    return calibrate(*network, pictures(network[0]))


def test_factors_leave_the_float_network_as_it_was(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph, _ = network
    factors, _ = balance.balance(graph, statistics, 1.0)
    assert any((found != 1).any() for found in factors.values())
    assert all((factors[name] == 1).all() for name in (*graph.heads, "input"))
    for before, after in zip(
        *(Observer(g, g.heads).run(pictures(g)) for g in (graph, rescale(graph, factors))), strict=True
    ):
        for name in graph.heads:
            np.testing.assert_allclose(after[name], before[name], atol=1e-4 * np.abs(before[name]).max())


def test_the_slope_of_every_term_is_what_a_small_step_changes(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph, _ = network
    channels = tied_channels(graph)
    flow = measure_flow(graph, statistics, channels)
    terms = [
        *balance._tensor_terms(graph, channels, flow),
        *balance._weight_terms(graph, channels, flow, 0.5),
    ]
    random = np.random.default_rng(0)
    logs = random.normal(0, 0.5, len(channels.fixed))
    direction = random.normal(0, 1, len(logs))
    for term in terms:
        slope, nothing = np.zeros_like(logs), np.zeros_like(logs)
        term.cost(logs, slope)
        higher, lower = (term.cost(logs + sign * 1e-6 * direction, nothing) for sign in (1, -1))
        assert slope @ direction == pytest.approx((higher - lower) / 2e-6, rel=1e-4)


def test_balancing_lowers_what_it_minimises(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph, _ = network
    channels = tied_channels(graph)
    flow = measure_flow(graph, statistics, channels)
    terms = [*balance._tensor_terms(graph, channels, flow), *balance._weight_terms(graph, channels, flow, 1.0)]
    factors, _ = balance.balance(graph, statistics, 1.0)
    logs = np.zeros(len(channels.fixed))
    for name, numbers in channels.ids.items():
        logs[numbers] = np.log(factors[name])
    costs = [sum(term.cost(at, np.zeros_like(at)) for term in terms) for at in (np.zeros_like(logs), logs)]
    assert costs[1] < 0.9 * costs[0]


def head_error(graph: Graph, wanted: Graph, *arguments: object) -> float:
    """Mean squared difference of the heads, summed over heads."""
    total = 0.0
    runs = (
        Observer(wanted, wanted.heads).run(pictures(wanted)),
        Observer(graph, graph.heads, *arguments).run(pictures(graph)),
    )  # type: ignore[arg-type]
    for before, after in zip(*runs, strict=True):
        total += sum(float(np.square(after[name] - before[name]).mean()) for name in graph.heads)
    return total


def test_one_scale_costs_little_where_it_is_balanced(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph, _ = network
    errors = {}
    for form in ("per-channel", "per-tensor"):
        scaled, nearest = quantise(graph, statistics, form)  # type: ignore[arg-type]
        learned = refine(scaled, nearest, pictures(graph), learned_rounding=True)
        errors[form] = head_error(scaled, graph, learned)
    assert errors["per-tensor"] < 2 * errors["per-channel"]


def test_every_convolution_of_the_file_has_one_scale(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics], tmp_path: Path
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph, _ = network
    scaled, quantization = quantise(graph, statistics, "per-tensor")
    content = write_tflite(scaled, quantization)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (subgraph,) = model.subgraphs
    tensors = {tensor.name.decode(): tensor for tensor in subgraph.tensors}
    names = [operation.outputs[0] for operation in scaled.operations if isinstance(operation, Convolution)]
    assert names == list(quantization.convolutions)
    for name in names:
        assert len(tensors[f"{name}/weights"].quantization.scale) == 1
        assert len(tensors[f"{name}/bias"].quantization.scale) == 1
    outputs = [subgraph.tensors[index] for operator in subgraph.operators for index in operator.outputs]
    assert {tensor.type for tensor in outputs} == {schema.TensorType.INT8}


def test_an_outlier_that_hardly_matters_is_cut_off() -> None:
    random = np.random.default_rng(0)
    weights = random.uniform(-1, 1, (4, 3, 3, 8))
    importance = np.ones((4, 1, 1, 8))
    full = float(np.abs(weights).max()) / 127
    assert least_error_scale(weights, importance) == pytest.approx(full, rel=0.05)
    weights[0, 0, 0, 0] = 1.8
    importance[0, 0, 0, 0] = 1e-6
    assert least_error_scale(weights, importance) == pytest.approx(full, rel=0.05)


def test_the_largest_bias_must_fit_the_one_scale() -> None:
    weights = np.full((2, 1, 1, 1), 1e-30, np.float32)
    operation = Convolution(("a",), ("b",), weights, np.array([3.0, -70.0], np.float32), 1, same=True, relu=False)
    numbers = quantise_convolution(operation, {"a": Affine(0.02, 0), "b": Affine(0.05, 3)}, np.ones((2, 1)))
    assert numbers.scales.shape == (1,)
    np.testing.assert_allclose(numbers.bias * 0.02 * numbers.scales.astype(float), [3, -70], rtol=1e-3)


def test_the_target_decides_and_contradictions_are_refused() -> None:
    assert resolve_weights(None, None) == resolve_weights(None, "imx93") == DEFAULT_WEIGHTS
    assert resolve_weights(None, "imx8mp") == "per-tensor"
    assert resolve_weights("per-channel", "imx93") == "per-channel"
    with pytest.raises(OptionError, match="target imx8mp needs weight_scales 'per-tensor', got 'per-channel'"):
        resolve_weights("per-channel", "imx8mp")
    with pytest.raises(OptionError, match="weight_scales must be of per-tensor, per-channel, got 'one'"):
        resolve_weights("one", None)
    with pytest.raises(OptionError, match="target imx8mp needs the format int8 or quant"):
        check_target("imx8mp", ["float32"])
    with pytest.raises(OptionError, match="target must be imx8mp, imx93, got 'imx95'"):
        check_target("imx95", ["int8"])
