"""Which int8 numbers are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from darknet_networks import cfg_text, conv, head, load, pictures, tiny, write_network
from fastyolo import ExportError
from fastyolo.export.bias import correct_biases
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.graph import Convolution, Graph
from fastyolo.export.int8 import Affine, Quantization
from fastyolo.export.quantise import Recipe, quantise, quantise_convolution, scale_groups
from fastyolo.export.ranges import affine, clipped, identity, leaky, least_squares_range, squared_error


@pytest.mark.parametrize("limits", [(-3.0, 5.0), (0.0, 7.0), (2.0, 7.0), (-9.0, -1.0), (-1e-3, 30.0)])
def test_a_range_covers_its_ends_and_holds_zero_exactly(limits: tuple[float, float]) -> None:
    parameters = affine(*limits)
    low, high = parameters.limits
    assert low <= min(limits[0], 0) + parameters.scale / 2
    assert high >= max(limits[1], 0) - parameters.scale / 2
    assert -128 <= parameters.zero_point <= 127


def test_a_tensor_that_is_always_zero_still_has_a_scale() -> None:
    assert affine(0.0, 0.0).scale > 0


def test_head_values_beyond_the_limit_are_cut_off() -> None:
    assert clipped((-36.0, 22.0), 6.0) == (-6.0, 6.0)
    assert clipped((-2.0, 22.0), 6.0) == (-2.0, 6.0)


def test_a_rare_outlier_does_not_make_all_steps_coarse() -> None:
    values = np.append(np.linspace(-1, 1, 2001), 100.0)
    counts = np.append(np.full(2001, 1000), 1)
    low, high = least_squares_range(values, counts)
    assert high < 100
    found = squared_error(values, counts, affine(low, high), identity)
    assert found < squared_error(values, counts, affine(-1, 100), identity)


def test_behind_a_leaky_relu_negative_values_may_be_cut_off() -> None:
    values = np.linspace(-4, 1, 5001)
    counts = np.ones(5001, np.int64)
    plain, _ = least_squares_range(values, counts)
    low, _ = least_squares_range(values, counts, leaky)
    assert plain < -3.5
    assert plain <= low


def test_statistics_keep_exact_extremes_and_a_histogram_that_grows() -> None:
    statistics = Statistics()
    for values in ([0.001, -0.002], [3.0, -1.0], [0.5, 0.25]):
        statistics.add(np.array(values, np.float32).reshape(1, 1, 1, 2))
    assert (statistics.minimum, statistics.maximum) == (-1.0, 3.0)
    assert statistics.counts.sum() == 6
    spread = np.repeat(statistics.centres, statistics.counts)
    np.testing.assert_allclose(spread, [-1.0, -0.002, 0.001, 0.25, 0.5, 3.0], atol=statistics.limit / 4096)


def test_a_network_that_computes_nan_cannot_be_calibrated() -> None:
    with pytest.raises(ExportError, match="finite numbers"):
        Statistics().add(np.array([[[[1.0, np.nan]]]], np.float32))


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return load(*write_network(tmp_path_factory.mktemp("net"), tiny()))


@pytest.fixture(scope="module")
def statistics(graph: Graph) -> dict[str, Statistics]:
    return calibrate(graph, pictures(graph))


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
    graph = load(*write_network(tmp_path, text))
    with pytest.raises(ExportError, match=r"int8 needs one scale around .*, got logistic or input values joined"):
        quantise(graph, calibrate(graph, pictures(graph)), Recipe())


def test_values_too_large_for_int8_heads_are_an_error(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    content = np.frombuffer(weights.read_bytes(), "<f4").copy()
    content[5 : 5 + 8] = 1e6
    weights.write_bytes(content.tobytes())
    graph = load(cfg, weights)
    with pytest.raises(ExportError, match="int8 cannot hold head_4x6: expected products of at most 255"):
        quantise(graph, calibrate(graph, pictures(graph)), Recipe())


def head_differences(graph: Graph, quantization: Quantization) -> list[npt.NDArray[np.float32]]:
    """Int8 less float, of each picture's first head, inside the int8 range."""
    name = graph.heads[0]
    low, high = quantization.tensors[name].limits
    wanted = Observer(graph, [name]).run(pictures(graph))
    found = Observer(graph, [name], quantization).run(pictures(graph))
    return [b[name] - np.clip(a[name], low, high) for a, b in zip(wanted, found, strict=True)]


def test_least_squares_ranges_bring_heads_closer_to_float(graph: Graph, statistics: dict[str, Statistics]) -> None:
    plain, chosen = (quantise(graph, statistics, Recipe(kind)) for kind in ("minmax", "least_squares"))
    errors = [float(np.square(head_differences(graph, quantization)).mean()) for quantization in (plain, chosen)]
    assert errors[1] < errors[0]


def test_bias_correction_brings_channel_means_closer(graph: Graph, statistics: dict[str, Statistics]) -> None:
    before = quantise(graph, statistics, Recipe())
    after = correct_biases(graph, before, pictures(graph))
    shifts = [np.mean(head_differences(graph, quantization), axis=(0, 1, 2, 3)) for quantization in (before, after)]
    assert np.abs(shifts[1]).mean() < np.abs(shifts[0]).mean()
