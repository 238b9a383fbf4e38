"""Which int8 numbers are chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from darknet_networks import cfg_text, conv, head, load, pictures, pool, tiny, write_network, yolov3_tiny
from fastyolo import ExportError, HeadSpec, ModelSpec, OptionError
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.equalise import equalising_factors, rescale
from fastyolo.export.gradient import backward
from fastyolo.export.graph import Convolution, Graph, scale_groups
from fastyolo.export.int8 import Affine, Quantization
from fastyolo.export.layerwise import refine
from fastyolo.export.quantise import quantise, quantise_convolution
from fastyolo.export.ranges import affine, affine_before_leaky, leaky, least_squares_range, squared_error, stored
from fastyolo.export.recipe import Recipe
from fastyolo.export.relevance import head_relevance, tensor_relevance
from fastyolo.export.report import measure
from fastyolo.export.rounding import round_to_least_error
from fastyolo.export.tflite import write_tflite


@pytest.mark.parametrize("limits", [(-3.0, 5.0), (0.0, 7.0), (2.0, 7.0), (-9.0, -1.0), (-1e-3, 30.0)])
def test_a_range_covers_its_ends_and_holds_zero_exactly(limits: tuple[float, float]) -> None:
    parameters = affine(*limits)
    low, high = parameters.limits
    assert low <= min(limits[0], 0) + parameters.scale / 2
    assert high >= max(limits[1], 0) - parameters.scale / 2
    assert -128 <= parameters.zero_point <= 127


def test_a_tensor_that_is_always_zero_still_has_a_scale() -> None:
    assert affine(0.0, 0.0).scale > 0


def test_a_rare_outlier_does_not_make_all_steps_coarse() -> None:
    values = np.append(np.linspace(-1, 1, 2001), 100.0)
    weights = np.append(np.full(2001, 1000.0), 1.0)
    low, high = least_squares_range(values, weights)
    assert high < 100
    assert squared_error(values, weights, affine(low, high)) < squared_error(values, weights, affine(-1, 100))


def test_a_range_never_ends_before_what_must_be_kept() -> None:
    values = np.append(np.linspace(-1, 1, 2001), [-9.0, 7.0])
    weights = np.append(np.full(2001, 1000.0), [1e-6, 1e-6])
    assert least_squares_range(values, weights) == pytest.approx((-1, 1), abs=0.2)
    assert least_squares_range(values, weights, 4.0) == pytest.approx((-4, 4))
    assert least_squares_range(values, weights, 8.0) == pytest.approx((-8, 7))


def test_in_front_of_a_leaky_relu_roundings_fit_and_negative_values_may_be_cut_off() -> None:
    values = np.linspace(-4, 1, 5001)
    weights = np.ones(5001)
    behind = affine(-0.1, 1.0)
    found = affine_before_leaky(values, weights, behind)

    def error(parameters: Affine) -> float:
        return float(np.square(stored(leaky(stored(values, parameters)), behind) - leaky(values)).mean())

    assert found.limits[0] == pytest.approx(-1, abs=0.1)  # where the range behind ends, too
    assert error(found) < error(affine(*least_squares_range(values, weights)))
    # Positive values then lose nothing in the second rounding.
    steps = found.scale / behind.scale
    assert steps == pytest.approx(round(steps), abs=0.02)


def test_statistics_keep_exact_extremes_and_histograms_that_grow() -> None:
    statistics = Statistics(2)
    for values in ([0.001, -0.002], [3.0, -1.0], [0.5, 0.25]):
        statistics.add(np.array(values, np.float32).reshape(1, 1, 2), np.full((1, 1, 2), 2, np.float32))
    assert statistics.minimum.tolist() == pytest.approx([0.001, -1.0])
    assert statistics.maximum.tolist() == pytest.approx([3.0, 0.25])
    assert statistics.limits.tolist() == [4.0, 2.0]
    assert statistics.counts.sum(axis=1).tolist() == [3, 3]
    assert statistics.weights.sum(axis=1).tolist() == [6, 6]
    for channel, wanted in enumerate(([0.001, 0.5, 3.0], [-1.0, -0.002, 0.25])):
        spread = np.repeat(statistics.centres[channel], statistics.counts[channel])
        np.testing.assert_allclose(spread, wanted, atol=statistics.limits[channel] / 1024)


def test_statistics_of_two_halves_are_those_of_the_whole() -> None:
    random = np.random.default_rng(1)
    pictures = [(scale * random.normal(size=(4, 5, 3))).astype(np.float32) for scale in (0.1, 7, 1)]
    whole, parts = Statistics(3), [Statistics(3) for _ in pictures]
    for picture, part in zip(pictures, parts, strict=True):
        whole.add(picture, np.abs(picture))
        part.add(picture, np.abs(picture))
    parts[0].update(parts[1])
    parts[0].update(parts[2])
    for name in ("minimum", "maximum", "limits", "counts"):
        np.testing.assert_array_equal(getattr(parts[0], name), getattr(whole, name))
    np.testing.assert_allclose(parts[0].weights, whole.weights)


def test_the_common_range_leaves_out_the_rarest_values() -> None:
    statistics = Statistics(1)
    statistics.add(np.append(np.linspace(-1, 1, 998), [-30, 50]).astype(np.float32).reshape(-1, 1, 1))
    low, high = statistics.common_range(0.99)
    assert -1.1 < low[0] < -0.9
    assert 0.9 < high[0] < 1.1


def test_a_network_that_computes_nan_cannot_be_calibrated() -> None:
    with pytest.raises(ExportError, match="finite numbers"):
        Statistics(2).add(np.array([[[1.0, np.nan]]], np.float32))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, ModelSpec]:
    return describe(*write_network(tmp_path_factory.mktemp("net"), tiny()))


@pytest.fixture(scope="module")
def graph(network: tuple[Graph, ModelSpec]) -> Graph:
    return network[0]


@pytest.fixture(scope="module")
def statistics(network: tuple[Graph, ModelSpec]) -> dict[str, Statistics]:
    return calibrate(*network, pictures(network[0]))


@pytest.fixture(scope="module")
def quantised(graph: Graph, statistics: dict[str, Statistics]) -> tuple[Graph, Quantization]:
    return quantise(graph, statistics)


def describe(cfg: Path, weights: Path) -> tuple[Graph, ModelSpec]:
    return load(cfg, weights), ModelSpec.from_cfg(cfg)


def test_tensors_that_meet_in_a_route_share_a_scale(graph: Graph) -> None:
    groups = scale_groups(graph)
    assert groups["04_convolutional/leaky"] == groups["03_convolutional/leaky"] == groups["05_route"]
    assert groups["04_convolutional"] != groups["04_convolutional/leaky"]


def test_weights_have_one_symmetric_scale_per_filter() -> None:
    weights = np.zeros((2, 1, 1, 2), np.float32)
    weights[0, 0, 0] = [1.27, -0.5]
    weights[1, 0, 0] = [0.0127, -0.0127]
    operation = Convolution(("a",), ("b",), weights, np.array([1, -1], np.float32), 1, same=True, relu=False)
    numbers = quantise_convolution(operation, {"a": Affine(0.5, 0), "b": Affine(0.1, 3)})
    assert numbers.weights[:, 0, 0].tolist() == [[127, -50], [127, -127]]
    np.testing.assert_allclose(numbers.scales, [0.01, 0.0001], rtol=1e-5)
    np.testing.assert_allclose(numbers.bias * 0.5 * numbers.scales, [1, -1], rtol=1e-3)


def test_a_filter_that_is_switched_off_keeps_its_bias() -> None:
    weights = np.full((2, 1, 1, 1), 1e-30, np.float32)
    weights[1] = 0
    operation = Convolution(("a",), ("b",), weights, np.array([3.0, -70.0], np.float32), 1, same=True, relu=False)
    numbers = quantise_convolution(operation, {"a": Affine(0.02, 0), "b": Affine(0.05, 3)})
    np.testing.assert_allclose(numbers.bias * 0.02 * numbers.scales.astype(float), [3, -70], rtol=1e-3)


def test_a_logistic_output_joined_with_other_values_is_an_error(tmp_path: Path) -> None:
    text = cfg_text(conv(4, activation="logistic"), conv(4), "[route]\nlayers=-1,-2", head("0", 1))
    graph, spec = describe(*write_network(tmp_path, text))
    with pytest.raises(ExportError, match=r"int8 needs one scale around .*, got logistic or input values joined"):
        quantise(graph, calibrate(graph, spec, pictures(graph)))


def test_products_too_large_for_the_kernels_are_an_error(
    graph: Graph, statistics: dict[str, Statistics], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastyolo.export.quantise.MAX_MULTIPLIER", 1e-6)
    with pytest.raises(ExportError, match=r"int8 cannot hold .*: expected products of at most 1e-06 of its steps"):
        quantise(graph, statistics)


@pytest.mark.parametrize("size", [1e6, 1e15])
def test_heads_of_any_size_have_a_range(tmp_path: Path, size: float) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    content = np.frombuffer(weights.read_bytes(), "<f4").copy()
    content[5 : 5 + 8] = size
    weights.write_bytes(content.tobytes())
    graph, spec = describe(cfg, weights)
    _, quantization = quantise(graph, calibrate(graph, spec, pictures(graph)))
    assert all(quantization.tensors[head].limits[1] > size / 100 for head in graph.heads)


def head_errors(graph: Graph, quantization: Quantization) -> list[npt.NDArray[np.float32]]:
    """Int8 less float, of each picture's first head, inside the int8 range."""
    name = graph.heads[0]
    low, high = quantization.tensors[name].limits
    wanted = Observer(graph, [name]).run(pictures(graph))
    found = Observer(graph, [name], quantization).run(pictures(graph))
    return [b[name] - np.clip(a[name], low, high) for a, b in zip(wanted, found, strict=True)]


def power(errors: list[npt.NDArray[np.float32]]) -> float:
    return float(np.square(errors).mean())


def test_ranges_by_relevance_beat_those_that_cover_everything(
    graph: Graph, quantised: tuple[Graph, Quantization]
) -> None:
    scaled, chosen = quantised
    tensors = dict(chosen.tensors)
    plain = Observer(scaled, names := [n for op in scaled.operations for n in op.outputs])
    extremes = dict.fromkeys(names, (0.0, 0.0))
    for found in plain.run(pictures(graph)):
        for name, values in found.items():
            low, high = extremes[name]
            extremes[name] = min(low, float(values.min())), max(high, float(values.max()))
    roots = scale_groups(scaled)
    for root in {roots[name] for name in names if name not in graph.heads} - {roots["input"]}:
        members = [name for name in names if roots[name] == root]
        covering = affine(min(extremes[m][0] for m in members), max(extremes[m][1] for m in members))
        tensors |= dict.fromkeys(members, covering)
    convolutions = [op for op in scaled.operations if isinstance(op, Convolution)]
    numbers = {op.outputs[0]: quantise_convolution(op, tensors) for op in convolutions}
    assert power(head_errors(scaled, chosen)) < power(head_errors(scaled, Quantization(tensors, numbers)))


def test_refining_brings_channel_means_closer_and_learned_rounding_everything(
    graph: Graph, quantised: tuple[Graph, Quantization]
) -> None:
    scaled, nearest = quantised
    biased, learned = (refine(scaled, nearest, pictures(graph), learned_rounding=how) for how in (False, True))
    means = [np.abs(np.mean(head_errors(scaled, q), axis=(0, 1, 2, 3))).mean() for q in (nearest, biased)]
    assert means[1] < means[0]
    assert power(head_errors(scaled, learned)) < power(head_errors(scaled, nearest))


def test_refining_counts_convolutions(graph: Graph, quantised: tuple[Graph, Quantization]) -> None:
    ticks: list[int] = []
    refine(*quantised, pictures(graph)[:2], learned_rounding=False, tick=ticks.append)
    assert ticks == list(range(1, 12))


def test_learned_rounding_errs_less_than_the_nearest_integers() -> None:
    random = np.random.default_rng(2)
    inputs = random.normal(size=(500, 40)) @ random.normal(size=(40, 200)) + 0.1 * random.normal(size=(500, 200))
    moments = inputs.T @ inputs / len(inputs)
    weights = random.normal(size=(8, 200))
    scales = np.abs(weights).max(axis=1) / 127
    learned = round_to_least_error(weights, scales, moments)
    errors = [
        float(np.square(inputs @ (whole * scales[:, None] - weights).T).mean())
        for whole in (np.rint(weights / scales[:, None]), learned)
    ]
    assert learned.dtype == np.int8
    assert np.abs(learned * scales[:, None] - weights).max() < 12 * scales.max()
    assert errors[1] < 0.5 * errors[0]


def test_inputs_that_never_vary_are_rounded_to_the_nearest() -> None:
    weights = np.array([[0.4, -1.27, 0.626]])
    rounded = round_to_least_error(weights, np.array([0.01]), np.zeros((3, 3)))
    assert rounded.tolist() == [[40, -127, 63]]


SHORTCUT = cfg_text(
    conv(8, 3, 2), conv(8), conv(8, 3, 1, "relu"), "[shortcut]\nfrom=-2\nactivation=leaky", pool(2, 1), pool(3, 2),
    conv(12, 3, 1, "logistic"), conv(9), head("0", 1),
)  # fmt: skip
NETWORKS = {
    "tiny": tiny(),
    "1 class": tiny(classes=1),
    "20 classes": tiny(classes=20),
    "yolov3-tiny": yolov3_tiny(64, 96, classes=1, n=8),  # half as wide: rounding takes the cube of the width
    "shortcut, relu, logistic, pools": SHORTCUT,
    "grey": tiny().replace("channels=3", "channels=1"),
    "new_coords": cfg_text(conv(8, 3, 2), conv(8, 3, 2), conv(21, activation="logistic"))
    + "[yolo]\nmask=3,4,5\nanchors=10,14, 23,27, 37,58, 81,82, 135,169, 344,319\nclasses=2\nnum=6\nnew_coords=1\n",
}


@pytest.fixture(scope="module", params=list(NETWORKS))
def any_network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, ModelSpec]:
    return describe(*write_network(tmp_path_factory.mktemp("net"), NETWORKS[request.param]))


@pytest.fixture(scope="module")
def any_statistics(any_network: tuple[Graph, ModelSpec]) -> dict[str, Statistics]:
    return calibrate(*any_network, pictures(any_network[0]))


def every_tensor(graph: Graph) -> list[str]:
    return [name for operation in graph.operations for name in operation.outputs]


def test_gradients_say_what_a_bias_changes(any_network: tuple[Graph, ModelSpec]) -> None:
    graph, _ = any_network
    picture = pictures(graph)[:1]
    values = {name: found[0] for name, found in next(Observer(graph, every_tensor(graph)).run(picture)).items()}
    random = np.random.default_rng(4)
    seeds = {head: random.normal(size=values[head].shape).astype(np.float32) for head in graph.heads}
    gradients = backward(graph, values, seeds)
    # In front of the last convolutions nothing has a kink that a small step could cross.
    for operation in [op for op in graph.operations if isinstance(op, Convolution)][-3:]:
        name = operation.outputs[0]
        channel = int(np.abs(gradients[name].sum(axis=(0, 1))).argmax())
        totals = []
        for step in (-1e-3, 1e-3):
            bias = operation.bias.copy()
            bias[channel] += np.float32(step)
            operations = tuple(replace(op, bias=bias) if op is operation else op for op in graph.operations)
            heads = next(Observer(replace(graph, operations=operations), graph.heads).run(picture))
            totals.append(sum(float(np.vdot(heads[head][0].astype(np.float64), seeds[head])) for head in graph.heads))
        wanted = float(gradients[name][..., channel].sum())
        assert (totals[1] - totals[0]) / 2e-3 == pytest.approx(wanted, rel=0.1, abs=0.05)


def test_equalising_leaves_the_float_network_as_it_was(
    any_network: tuple[Graph, ModelSpec], any_statistics: dict[str, Statistics]
) -> None:
    graph, spec = any_network
    factors = equalising_factors(graph, any_statistics)
    assert any((found != 1).any() for found in factors.values()) or "new_coords" in str(spec)
    for before, after in zip(
        *(Observer(g, g.heads).run(pictures(g)) for g in (graph, rescale(graph, factors))), strict=True
    ):
        for name in graph.heads:
            np.testing.assert_allclose(after[name], before[name], atol=1e-4 * np.abs(before[name]).max())


@pytest.mark.slow
def test_every_network_comes_close_to_float(
    any_network: tuple[Graph, ModelSpec], any_statistics: dict[str, Statistics]
) -> None:
    graph, _ = any_network
    scaled, nearest = quantise(graph, any_statistics)
    learned = refine(scaled, nearest, pictures(graph), learned_rounding=True)
    low, high = learned.tensors[graph.heads[0]].limits
    assert power(head_errors(scaled, learned)) ** 0.5 < 0.03 * (high - low)


def test_the_same_pictures_give_the_same_numbers(network: tuple[Graph, ModelSpec]) -> None:
    contents = []
    for _ in range(2):
        scaled, nearest = quantise(network[0], calibrate(*network, pictures(network[0])))
        contents.append(write_tflite(scaled, refine(scaled, nearest, pictures(scaled), learned_rounding=True)))
    assert contents[0] == contents[1]


def test_numbers_that_decide_more_weigh_more() -> None:
    head_spec = HeadSpec(16, ((20.0, 40.0),), 1.05)
    logits = np.full((1, 3, 7), -8, np.float32)
    logits[0, 1, :] = 0, 0, 0, 0, 2, 3, -6  # a likely object
    logits[0, 2, :] = 0, 0, 0, 0, -3, 3, -6  # an unlikely one
    weights = head_relevance(logits, head_spec, 2)
    assert weights.shape == logits.shape
    others = [0, 1, 2, 3, 5, 6]
    assert (weights[0, 1, others] > weights[0, 2, others]).all()
    assert (weights[0, 2] > weights[0, 0]).all()
    assert weights[0, 1, 0] == pytest.approx(4 * weights[0, 1, 1])  # half the width: an error in x counts twice
    assert weights[0, 1, 5] > 10 * weights[0, 1, 6]


def test_relevance_inside_the_network_is_what_random_errors_cost(network: tuple[Graph, ModelSpec]) -> None:
    graph, spec = network
    picture = pictures(graph)[:1]
    values = {name: found[0] for name, found in next(Observer(graph, every_tensor(graph)).run(picture)).items()}
    name = "04_convolutional"
    random = np.random.default_rng(0)
    estimate = np.mean([tensor_relevance(graph, spec, values, random)[name].sum() for _ in range(200)])
    channels = graph.shapes[name][2]
    operation = next(op for op in graph.operations if op.outputs == (name,))
    assert isinstance(operation, Convolution)
    # The same from the other side: one pass for every output would be needed; a few channels' bias will do.
    exact = 0.0
    weights = {h: head_relevance(values[h], s, spec.num_classes) for h, s in zip(graph.heads, spec.heads, strict=True)}
    for head_name, found in weights.items():
        for cell in np.argsort(-found.ravel())[:60]:
            seed = {h: np.zeros_like(w) for h, w in weights.items()}
            seed[head_name].ravel()[cell] = np.sqrt(found.ravel()[cell])
            exact += float(np.square(backward(graph, values, seed)[name]).sum())
    assert channels == 4
    assert 0 < exact < estimate * 1.2


def test_efforts_by_name() -> None:
    assert Recipe.of("high").learned_rounding
    assert not Recipe.of("default").learned_rounding
    with pytest.raises(OptionError, match="effort must be of default, high, got 'low'"):
        Recipe.of("low")  # type: ignore[arg-type]


def test_the_report_names_every_tensor(tmp_path: Path, graph: Graph, quantised: tuple[Graph, Quantization]) -> None:
    scaled, quantization = quantised
    report = measure(scaled, quantization, pictures(graph)[:3], sigmoid_outputs=True)
    assert [one.name for one in report.tensors] == every_tensor(scaled)
    assert report.pictures == 3
    assert all(one.snr_db > 10 for one in report.tensors)
    for one in report.tensors:
        assert (one.scale, one.zero_point) == (
            quantization.tensors[one.name].scale,
            quantization.tensors[one.name].zero_point,
        )
    highest = max(quantization.tensors[name].limits[1] for name in graph.heads)
    assert report.most_score == pytest.approx(1 / (1 + np.exp(-highest)) ** 2)
    report.write(tmp_path / "report.json")
    report.write(tmp_path / "report.md")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["tensors"][0]["name"] == report.tensors[0].name
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert len(lines) == 4 + len(report.tensors)
    assert lines[4].startswith(f"| {report.tensors[0].name} | Pad | 65x97x3 | 0.000 to 1.000 |")
