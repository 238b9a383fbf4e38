"""Int8 beyond plain convolutions: depthwise and grouped ones, curved activations, products and means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema

from darknet_networks import cfg_text, conv, head, load, pictures, pool, tiny, write_network
from fastyolo import ModelSpec
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.doubling import costly_leaky, doubled
from fastyolo.export.equalise import equalising_factors, rescale, tied_channels
from fastyolo.export.gradient import backward
from fastyolo.export.graph import (
    INPUT_NAME,
    Convolution,
    Graph,
    HardSwish,
    Maximum,
    Mean,
    Multiply,
    Operation,
    Pad,
    Slice,
)
from fastyolo.export.grouped import GroupedTerm, by_group
from fastyolo.export.int8 import Affine, Quantization
from fastyolo.export.layerwise import refine
from fastyolo.export.quantise import quantise, tensor_parameters
from fastyolo.export.tflite import write_tflite

EVERYTHING = cfg_text(
    conv(8, 3, 2), conv(16) + "groups=8\n", "[dropout]\n", conv(8, 1, 1, "linear"), "[shortcut]\nfrom=0\n",
    conv(12, 3, 1, "relu6") + "groups=4\n", conv(12, 5, 2, "swish") + "groups=12\n", "[avgpool]\n",
    conv(4, 1, 1, "relu"), conv(12, 1, 1, "logistic"), "[scale_channels]\nfrom=6\n",
    conv(8, 1, 1, "hardswish"), conv(10, 1), "[shortcut]\nfrom=-2\nactivation=leaky\n", "[shortcut]\nfrom=-4,-3\n",
    pool(2, 2) + "stride_x=1\n", conv(8, 1) + "stride_y=1\nstride_x=2\n", head("0", 2),
)  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, ModelSpec]:
    cfg, weights = write_network(tmp_path_factory.mktemp("net"), EVERYTHING)
    return load(cfg, weights), ModelSpec.from_cfg(cfg)


@pytest.fixture(scope="module")
def statistics(network: tuple[Graph, ModelSpec]) -> dict[str, Statistics]:
    return calibrate(*network, pictures(network[0]))


def heads(graph: Graph, quantization: Quantization | None = None) -> list[npt.NDArray[np.float32]]:
    found = Observer(graph, graph.heads, quantization).run(pictures(graph)[:2])
    return [tensors[name] for tensors in found for name in graph.heads]


@pytest.mark.parametrize("weights", ["per-channel", "per-tensor"])
def test_int8_agrees_with_float(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics], weights: Any
) -> None:
    graph = network[0]
    int8_graph, quantization = quantise(graph, statistics, weights)
    quantization = refine(int8_graph, quantization, pictures(graph), learned_rounding=weights == "per-tensor")
    for wanted, found in zip(heads(graph), heads(int8_graph, quantization), strict=True):
        low, high = quantization.tensors[graph.heads[0]].limits
        assert np.abs(found - np.clip(wanted, low, high)).mean() < 0.03 * (high - low)


def test_depthwise_weights_have_their_scales_along_the_last_axis(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    for weights, count in (("per-channel", 16), ("per-tensor", 1)):
        graph, quantization = quantise(network[0], statistics, weights)  # type: ignore[arg-type]
        (main,) = schema.ModelT.InitFromPackedBuf(write_tflite(graph, quantization), 0).subgraphs
        (tensor,) = (tensor for tensor in main.tensors if tensor.name == b"01_convolutional/weights")
        assert list(tensor.shape) == [1, 3, 3, 16]
        assert len(tensor.quantization.scale) == count
        assert tensor.quantization.quantizedDimension == (3 if count > 1 else 0)


def test_rescaled_channels_compute_the_same(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph = network[0]
    factors = equalising_factors(graph, statistics)
    assert any(np.ptp(found) > 0.1 for found in factors.values())
    for wanted, found in zip(heads(graph), heads(rescale(graph, factors)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_what_only_depthwise_convolutions_read_is_made_equally_loud(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, cfg_text(conv(8, 3, 2), conv(8) + "groups=8\n", conv(8, 1), head("0", 2)))
    graph = load(cfg, weights)
    factors = equalising_factors(graph, calibrate(graph, ModelSpec.from_cfg(cfg), pictures(graph)), exponent=0)
    assert np.ptp(factors["00_convolutional/leaky"]) > 0.1
    assert factors["01_convolutional/leaky"].tolist() == [1] * 8


def test_curves_keep_their_channels(network: tuple[Graph, ModelSpec]) -> None:
    graph = network[0]
    channels = tied_channels(graph)
    for name in ("05_convolutional", "06_convolutional", "06_convolutional/swish", "11_convolutional/hardswish"):
        assert channels.fixed[channels.ids[name]].all(), name
    assert not channels.fixed[channels.ids["01_convolutional"]].any()
    # What is zero is as free as what it is added to.
    assert channels.ids["14_shortcut/other_1"].tolist()[:8] == channels.ids["14_shortcut"].tolist()[:8]


def test_a_doubled_leaky_relu_is_the_same_in_float(
    network: tuple[Graph, ModelSpec], statistics: dict[str, Statistics]
) -> None:
    graph = network[0]
    factors = equalising_factors(graph, statistics)
    names = costly_leaky(graph, statistics, factors, tensor_parameters(graph, statistics, factors))
    assert names
    twice = doubled(graph, names)
    assert sum(isinstance(operation, Maximum) for operation in twice.operations) == len(names)
    for wanted, found in zip(heads(graph), heads(twice), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def test_networks_without_groups_are_not_doubled(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    graph = load(cfg, weights)
    found, _ = quantise(graph, calibrate(graph, ModelSpec.from_cfg(cfg), pictures(graph)))
    assert [type(operation) for operation in found.operations] == [type(operation) for operation in graph.operations]


def test_gradients_are_those_of_small_steps(network: tuple[Graph, ModelSpec]) -> None:
    graph = network[0]
    every = [name for operation in graph.operations for name in operation.outputs]
    (tensors,) = Observer(graph, every).run(pictures(graph)[:1])
    values = {name: found[0] for name, found in tensors.items()}
    random = np.random.default_rng(2)
    seeds = {name: random.normal(size=values[name].shape).astype(np.float32) for name in graph.heads}
    gradients = backward(graph, values, seeds)
    for operation in graph.operations:
        if not isinstance(operation, Convolution):
            continue
        # A larger bias of one filter moves its channel everywhere.
        name, filter_ = operation.outputs[0], len(operation.bias) // 2
        sums = []
        for step in (-1e-2, 1e-2):
            bias = operation.bias.copy()
            bias[filter_] += step
            moved = Convolution(
                operation.inputs, operation.outputs, operation.weights, bias, operation.stride, operation.same,
                operation.relu, operation.groups, operation.relu6,
            )  # fmt: skip
            operations = tuple(moved if one is operation else one for one in graph.operations)
            changed = Graph(graph.shapes, operations, graph.heads)
            (found,) = Observer(changed, graph.heads).run(pictures(graph)[:1])
            sums.append(sum(float((seeds[head] * found[head][0]).sum()) for head in graph.heads))
        slope = (sums[1] - sums[0]) / 2e-2
        live = gradients[name][..., filter_]
        if operation.relu or operation.relu6:
            inside = values[name][..., filter_] > 0
            live = live * (inside & (values[name][..., filter_] < 6) if operation.relu6 else inside)
        assert float(live.sum()) == pytest.approx(slope, rel=0.05, abs=0.02 * float(np.abs(live).sum()) + 1e-3), name


def test_the_balance_of_groups_follows_its_gradient() -> None:
    random = np.random.default_rng(0)
    columns = 6 + random.integers(0, 4, (6, 2))
    term = GroupedTerm(random.random((6, 2)), np.arange(6), random.random(6), columns, random.random((6, 2)), 16.0)
    logs, gradient = random.normal(size=10) * 0.3, np.zeros(10)
    term.cost(logs, gradient)
    for index, step in enumerate(1e-5 * np.eye(10)):
        slope = (term.cost(logs + step, np.zeros(10)) - term.cost(logs - step, np.zeros(10))) / 2e-5
        assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_windows_are_split_as_the_filters_see_them() -> None:
    weights = np.zeros((4, 2, 2, 3), np.float32)
    operation = Convolution(("a",), ("b",), weights, weights[:, 0, 0, 0], 1, False, False, groups=2)
    windows = np.arange(2 * 2 * 6).reshape(1, -1)
    (first, left), (second, right) = by_group(operation, windows)
    assert (first, second) == (slice(0, 2), slice(2, 4))
    assert left.tolist() == [[0, 1, 2, 6, 7, 8, 12, 13, 14, 18, 19, 20]]
    assert right.tolist() == [[3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23]]


STEP = Affine(0.05, 10)
ALONE: dict[str, tuple[Operation, tuple[int, int, int], Any]] = {
    "hardswish": (HardSwish(("input",), ("out",)), (6, 4, 8), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "mean": (Mean(("input",), ("out",)), (1, 1, 8), lambda x: x.mean(axis=(0, 1), keepdims=True)),
    "product": (Multiply(("input", "input"), ("out",)), (6, 4, 8), lambda x: x * x),
    "maximum": (Maximum(("input", "input"), ("out",)), (6, 4, 8), lambda x: x),
    "slice": (Slice(("input",), ("out",), (1, 0, 2), (2, 3)), (2, 2, 5), lambda x: x[1:4:2, ::3, 2:7]),
    "more channels": (Pad(("input",), ("out",), (0, 0), (0, 0), 3), (6, 4, 11),
                      lambda x: np.pad(x, ((0, 0), (0, 0), (0, 3)))),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_one_operation_alone_is_within_a_step(name: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    operation, shape, compute = ALONE[name]
    graph = Graph({INPUT_NAME: (6, 4, 8), "out": shape}, (operation,), ("out",))
    moves = isinstance(operation, Maximum | Slice | Pad)
    output = STEP if moves else Affine(0.1, -20)
    content = write_tflite(graph, Quantization({INPUT_NAME: STEP, "out": output}, {}))
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    stored = np.random.default_rng(3).integers(-128, 128, (1, 6, 4, 8)).astype(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].astype(int)
    wanted = compute((stored[0].astype(np.float64) - STEP.zero_point) * STEP.scale) / output.scale + output.zero_point
    assert np.abs(found - np.clip(np.rint(wanted), -128, 127)).max() <= (0 if moves else 1)
