"""Decoding and NMS against numbers computed by hand; the oracle must give them too."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastyolo
from fastyolo.spec import HeadSpec, ModelSpec
from reference import decode_reference

INF, NAN = math.inf, math.nan
LN2, LN3, LN4, LN9 = (math.log(n) for n in (2, 3, 4, 9))
# sigmoid(LN3) = 3/4, sigmoid(-LN3) = 1/4, sigmoid(LN4) = 4/5, sigmoid(LN9) = 9/10, sigmoid(0) = 1/2

Decode = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture(params=["kernel", "oracle"])
def decode(request: pytest.FixtureRequest) -> Decode:
    if request.param == "kernel":
        return fastyolo.decode_nms

    def oracle(heads: list[np.ndarray], **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return decode_reference(heads, **options)[:3]

    return oracle


def network(*heads: HeadSpec, classes: int = 1, size: tuple[int, int] = (64, 64)) -> ModelSpec:
    return ModelSpec(size, heads, tuple(f"class {i}" for i in range(classes)))


def blank(spec: ModelSpec) -> list[np.ndarray]:
    """Heads of which every box scores 0, shaped (rows, columns, anchors, 5 + classes) for writing."""
    heads = []
    for (rows, columns, _), head_spec in zip(spec.head_shapes, spec.heads, strict=True):
        head = np.zeros((rows, columns, len(head_spec.anchors), 5 + spec.num_classes), np.float32)
        head[..., 4] = 0 if head_spec.new_coords else -INF
        heads.append(head)
    return heads


def tensors(heads: list[np.ndarray]) -> list[np.ndarray]:
    return [head.reshape(head.shape[0], head.shape[1], -1) for head in heads]


def single(*terms: float, dtype: Any = np.float32) -> list[np.ndarray]:
    """The head of a network with one cell and one anchor."""
    return [np.array(terms, dtype).reshape(1, 1, -1)]


# One cell of 32 pixels, one anchor.
CELL = network(HeadSpec(32, ((10, 20),)), size=(32, 32))
CELL_2 = network(HeadSpec(32, ((10, 20),)), size=(32, 32), classes=2)
CELL_3 = network(HeadSpec(32, ((10, 20),)), size=(32, 32), classes=3)
# A row of six cells of 10 pixels, boxes of 30 x 10: with tx = 0 the box of column k is [10k - 10, 10k + 20] x [0, 10].
ROW = network(HeadSpec(10, ((30, 10),)), size=(10, 60))
ROW_2 = network(HeadSpec(10, ((30, 10),)), size=(10, 60), classes=2)


def in_row(spec: ModelSpec, boxes: dict[int, tuple[float, ...]]) -> list[np.ndarray]:
    """Heads of ROW or ROW_2 with (objectness, class logits...) at some columns."""
    heads = blank(spec)
    for column, logits in boxes.items():
        heads[0][0, column, 0, 4:] = logits
    return tensors(heads)


def columns_of(result: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[int]:
    """Which columns of ROW the boxes came from."""
    return [round((x1 + x2) / 20 - 0.5) for x1, _, x2, _ in result[0].tolist()]


# Box terms


def test_column_moves_x_and_tx_moves_within_the_cell(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20),)))
    heads = blank(spec)
    heads[0][0, 1, 0] = [LN3, 0, 0, 0, INF, INF]
    # cx = (3/4 + 1) * 32 = 56, cy = (1/2 + 0) * 32 = 16, w = 10, h = 20
    np.testing.assert_allclose(decode(tensors(heads), spec=spec)[0], [[51, 6, 61, 26]], rtol=1e-6)


def test_row_moves_y_and_ty_moves_within_the_cell(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20),)))
    heads = blank(spec)
    heads[0][1, 0, 0] = [0, -LN3, 0, 0, INF, INF]
    # cx = (1/2 + 0) * 32 = 16, cy = (1/4 + 1) * 32 = 40, w = 10, h = 20
    np.testing.assert_allclose(decode(tensors(heads), spec=spec)[0], [[11, 30, 21, 50]], rtol=1e-6)


def test_tw_and_th_are_exponents_of_the_anchor(decode: Decode) -> None:
    # cx = cy = 16, w = 2 * 10 = 20, h = 1/4 * 20 = 5
    result = decode(single(0, 0, LN2, -LN4, INF, INF), spec=CELL)
    np.testing.assert_allclose(result[0], [[6, 13.5, 26, 18.5]], rtol=1e-6)


def test_scale_x_y_lets_a_centre_leave_its_cell(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20),), 1.05), size=(32, 32))
    # cx = (3/4 * 1.05 - 0.025) * 32 = 0.7625 * 32 = 24.4; cy = (1 * 1.05 - 0.025) * 32 = 32.8
    result = decode(single(LN3, INF, 0, 0, INF, INF), spec=spec)
    np.testing.assert_allclose(result[0], [[19.4, 22.8, 29.4, 42.8]], rtol=1e-6)
    # cx = (0 * 1.05 - 0.025) * 32 = -0.8; cy = (1/2 * 1.05 - 0.025) * 32 = 16
    result = decode(single(-INF, 0, 0, 0, INF, INF), spec=spec)
    np.testing.assert_allclose(result[0], [[-5.8, 6, 4.2, 26]], rtol=1e-6)


def test_large_scale_x_y(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20),), 2.0), size=(32, 32))
    # cx = (3/4 * 2 - 1/2) * 32 = 32; cy = (1/4 * 2 - 1/2) * 32 = 0
    result = decode(single(LN3, -LN3, 0, 0, INF, INF), spec=spec)
    np.testing.assert_allclose(result[0], [[27, -10, 37, 10]], rtol=1e-6, atol=1e-5)


def test_each_head_has_its_stride_and_anchors(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20), (30, 8))), HeadSpec(16, ((6, 4),)), size=(32, 64))
    heads = blank(spec)
    heads[0][0, 1, 1] = [0, 0, 0, 0, INF, LN9]
    heads[1][1, 3, 0] = [0, 0, 0, 0, INF, LN4]
    xyxy, confidence, _ = decode(tensors(heads), spec=spec)
    # stride 32, anchor 30 x 8: cx = 1.5 * 32 = 48, cy = 16. Stride 16, anchor 6 x 4: cx = 3.5 * 16 = 56, cy = 24.
    np.testing.assert_allclose(xyxy, [[33, 12, 63, 20], [53, 22, 59, 26]], rtol=1e-6)
    np.testing.assert_allclose(confidence, [0.9, 0.8], rtol=1e-6)


def test_new_coords_pass_through_no_sigmoid_and_no_exp(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((10, 20),), 2.0, True), size=(32, 64))
    heads = blank(spec)
    heads[0][0, 1, 0] = [0.75, 0.5, 0.75, 0.25, 0.8, 0.5]
    xyxy, confidence, _ = decode(tensors(heads), spec=spec)
    # cx = (0.75 * 2 - 0.5 + 1) * 32 = 64, cy = (0.5 * 2 - 0.5) * 32 = 16
    # w = (2 * 0.75)^2 * 10 = 22.5, h = (2 * 0.25)^2 * 20 = 5, score = 0.8 * 0.5 = 0.4
    np.testing.assert_allclose(xyxy, [[52.75, 13.5, 75.25, 18.5]], rtol=1e-6)
    np.testing.assert_allclose(confidence, [0.4], rtol=1e-6)


@pytest.mark.parametrize(("position", "expected"), [(0, [27, 6, 37, 26]), (1, [11, 22, 21, 42])])
def test_plus_infinity_puts_a_centre_on_the_far_edge(decode: Decode, position: int, expected: list[float]) -> None:
    terms = [0, 0, 0, 0, INF, INF]
    terms[position] = INF
    # (sigmoid(inf) + 0) * 32 = 32 instead of 16
    np.testing.assert_allclose(decode(single(*terms), spec=CELL)[0], [expected], rtol=1e-6)


@pytest.mark.parametrize(("position", "expected"), [(2, [16, 6, 16, 26]), (3, [11, 16, 21, 16])])
def test_minus_infinity_makes_a_side_zero(decode: Decode, position: int, expected: list[float]) -> None:
    terms = [0, 0, 0, 0, INF, INF]
    terms[position] = -INF
    np.testing.assert_allclose(decode(single(*terms), spec=CELL)[0], [expected], rtol=1e-6)


@pytest.mark.parametrize("size_term", [32.0, 33.0, 1000.0, INF])
def test_sizes_stay_finite(decode: Decode, size_term: float) -> None:
    # exp(32) = 7.896296e13; half of it times 10 = 3.948148e14, half of it times 20 = 7.896296e14
    xyxy = decode(single(0, 0, size_term, size_term, INF, INF), spec=CELL)[0]
    np.testing.assert_allclose(xyxy, [[-3.948148e14, -7.896296e14, 3.948148e14, 7.896296e14]], rtol=1e-5)


# Scores and classes


def test_score_is_objectness_times_class(decode: Decode) -> None:
    # 3/4 * 4/5 = 0.6
    _, confidence, class_id = decode(single(0, 0, 0, 0, LN3, LN4), spec=CELL)
    np.testing.assert_allclose(confidence, [0.6], rtol=1e-6)
    assert class_id.tolist() == [0]


def test_a_box_has_its_best_class(decode: Decode) -> None:
    # 3/4 * (1/2, 4/5, 3/4) = 0.375, 0.6, 0.5625
    _, confidence, class_id = decode(single(0, 0, 0, 0, LN3, 0, LN4, LN3), spec=CELL_3)
    np.testing.assert_allclose(confidence, [0.6], rtol=1e-6)
    assert class_id.tolist() == [1]


def test_multi_label_gives_every_class_above_the_threshold(decode: Decode) -> None:
    # 3/4 * (1/2, 4/5, 3/4) = 0.375, 0.6, 0.5625, of which two reach 0.5
    heads = single(0, 0, 0, 0, LN3, 0, LN4, LN3)
    xyxy, confidence, class_id = decode(heads, spec=CELL_3, multi_label=True, score_threshold=0.5)
    np.testing.assert_allclose(confidence, [0.6, 0.5625], rtol=1e-6)
    assert class_id.tolist() == [1, 2]
    np.testing.assert_array_equal(xyxy, [[11, 6, 21, 26]] * 2)


def test_class_agnostic_leaves_one_class_of_a_multi_label_box(decode: Decode) -> None:
    heads = single(0, 0, 0, 0, LN3, 0, LN4, LN3)
    result = decode(heads, spec=CELL_3, multi_label=True, class_agnostic=True)
    assert result[2].tolist() == [1]


def test_equal_classes_give_the_lower(decode: Decode) -> None:
    assert decode(single(0, 0, 0, 0, LN3, -1, LN4, LN4), spec=CELL_3)[2].tolist() == [1]


def test_raw_logits_choose_the_class_where_scores_are_equal(decode: Decode) -> None:
    # sigmoid(40) and sigmoid(50) are both 1 in float32; so are their scores, 0.75
    _, confidence, class_id = decode(single(0, 0, 0, 0, LN3, 40, 50, INF), spec=CELL_3)
    np.testing.assert_allclose(confidence, [0.75], rtol=1e-6)
    assert class_id.tolist() == [2]
    assert decode(single(0, 0, 0, 0, LN3, 40, 50, 45), spec=CELL_3)[2].tolist() == [1]


def test_listed_classes_only(decode: Decode) -> None:
    heads = single(0, 0, 0, 0, INF, LN9, LN4, LN3)
    # The best class, 0, is not listed: the box goes, though class 1 would reach the threshold.
    assert decode(heads, spec=CELL_3, classes=[1, 2])[2].tolist() == []
    assert decode(heads, spec=CELL_3, classes=[0, 2])[2].tolist() == [0]
    _, confidence, class_id = decode(heads, spec=CELL_3, classes=[2, 1], multi_label=True)
    np.testing.assert_allclose(confidence, [0.8, 0.75], rtol=1e-6)
    assert class_id.tolist() == [1, 2]


def test_classes_left_out_suppress_nothing(decode: Decode) -> None:
    # Columns 0 and 1 overlap by 1/2; the better one is of class 0.
    heads = in_row(ROW_2, {0: (INF, LN9, -9), 1: (INF, -9, LN3)})
    assert columns_of(decode(heads, spec=ROW_2, class_agnostic=True)) == [0]
    result = decode(heads, spec=ROW_2, class_agnostic=True, classes=[1], max_detections=1)
    assert columns_of(result) == [1]


# Thresholds


def test_a_score_equal_to_the_threshold_is_kept(decode: Decode) -> None:
    heads = single(0, 0, 0, 0, INF, 0)  # 1 * 1/2 = 0.5 exactly
    half = np.float32(0.5)
    for threshold, kept in ((half, 1), (np.nextafter(half, np.float32(0)), 1), (np.nextafter(half, np.float32(1)), 0)):
        assert len(decode(heads, spec=CELL, score_threshold=float(threshold))[1]) == kept


def test_objectness_alone_may_sit_on_the_threshold(decode: Decode) -> None:
    heads = single(0, 0, 0, 0, 0, INF)  # 1/2 * 1 = 0.5 exactly
    half = np.float32(0.5)
    for threshold, kept in ((half, 1), (np.nextafter(half, np.float32(0)), 1), (np.nextafter(half, np.float32(1)), 0)):
        assert len(decode(heads, spec=CELL, score_threshold=float(threshold))[1]) == kept


def test_threshold_0_keeps_even_score_0(decode: Decode) -> None:
    for objectness, logit in ((-INF, INF), (INF, -INF), (-INF, -INF), (-500, 0)):
        _, confidence, class_id = decode(single(0, 0, 0, 0, objectness, logit), spec=CELL, score_threshold=0)
        np.testing.assert_allclose(confidence, [0], atol=1e-30)
        assert class_id.tolist() == [0]


def test_threshold_1_keeps_only_certainty(decode: Decode) -> None:
    assert decode(single(0, 0, 0, 0, INF, INF), spec=CELL, score_threshold=1)[1].tolist() == [1]
    assert decode(single(0, 0, 0, 0, 40, 30), spec=CELL, score_threshold=1)[1].tolist() == [1]
    assert decode(single(0, 0, 0, 0, INF, 10), spec=CELL, score_threshold=1)[1].tolist() == []
    assert decode(single(0, 0, 0, 0, 10, INF), spec=CELL, score_threshold=1)[1].tolist() == []


@pytest.mark.parametrize("score_threshold", [0, 0.25, 1])
@pytest.mark.parametrize("position", range(6))
def test_nan_anywhere_drops_the_box(decode: Decode, position: int, score_threshold: float) -> None:
    terms = [0, 0, 0, 0, INF, INF]
    assert len(decode(single(*terms), spec=CELL, score_threshold=score_threshold)[1]) == 1
    terms[position] = NAN
    for multi_label in (False, True):
        result = decode(single(*terms), spec=CELL, score_threshold=score_threshold, multi_label=multi_label)
        assert len(result[1]) == 0


def test_a_nan_class_leaves_the_others(decode: Decode) -> None:
    for logits, best in (((NAN, LN3, 0), 1), ((LN3, NAN, 0), 0), ((0, LN3, NAN), 1)):
        assert decode(single(0, 0, 0, 0, INF, *logits), spec=CELL_3)[2].tolist() == [best]
    _, confidence, class_id = decode(single(0, 0, 0, 0, INF, NAN, 0, LN3), spec=CELL_3, multi_label=True)
    np.testing.assert_allclose(confidence, [0.75, 0.5], rtol=1e-6)
    assert class_id.tolist() == [2, 1]


def test_a_nan_box_suppresses_nothing(decode: Decode) -> None:
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN3)})
    heads[0][0, 0, 2] = NAN
    assert columns_of(decode(heads, spec=ROW)) == [1]


# Order


def test_equal_scores_come_in_canonical_order(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((4, 4), (4, 6))))
    heads = blank(spec)
    for row, column, anchor in itertools.product(range(2), range(2), range(2)):
        heads[0][row, column, anchor] = [0, 0, 0, 0, INF, LN3]
    xyxy = decode(tensors(heads), spec=spec, iou_threshold=0.9)[0]
    # Cells row by row, anchors within a cell; centres at 16 and 48, anchor heights 4 and 6.
    centres = [(16, 16), (16, 16), (48, 16), (48, 16), (16, 48), (16, 48), (48, 48), (48, 48)]
    np.testing.assert_allclose((xyxy[:, :2] + xyxy[:, 2:]) / 2, centres)
    np.testing.assert_allclose(xyxy[:, 3] - xyxy[:, 1], [4, 6] * 4)


def test_equal_scores_of_one_box_come_in_class_order(decode: Decode) -> None:
    result = decode(single(0, 0, 0, 0, INF, LN3, LN3, LN3), spec=CELL_3, multi_label=True)
    assert result[2].tolist() == [0, 1, 2]


def test_a_tie_goes_to_the_lower_box_before_the_lower_class(decode: Decode) -> None:
    # Columns 1 and 4 lie apart. (1, class 1) comes before (4, class 0).
    heads = in_row(ROW_2, {1: (INF, -9, LN3), 4: (INF, LN3, -9)})
    result = decode(heads, spec=ROW_2)
    assert columns_of(result) == [1, 4]
    assert result[2].tolist() == [1, 0]


def test_swapped_factors_tie_too(decode: Decode) -> None:
    # 3/4 * 4/5 = 4/5 * 3/4, so the lower box comes first.
    assert columns_of(decode(in_row(ROW, {0: (LN3, LN4), 4: (LN4, LN3)}), spec=ROW)) == [0, 4]
    assert columns_of(decode(in_row(ROW, {0: (LN4, LN3), 4: (LN3, LN4)}), spec=ROW)) == [0, 4]


def test_a_tie_decides_who_suppresses(decode: Decode) -> None:
    assert columns_of(decode(in_row(ROW, {2: (INF, LN3), 3: (INF, LN3)}), spec=ROW)) == [2]


def test_a_tie_across_heads_goes_to_the_spec_s_first(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((8, 8),)), HeadSpec(16, ((8, 8),)), size=(32, 32))
    heads = blank(spec)
    heads[0][0, 0, 0] = [0, 0, 0, 0, INF, LN3]  # centre (16, 16)
    heads[1][0, 0, 0] = [0, 0, 0, 0, INF, LN3]  # centre (8, 8)
    coarse, fine = tensors(heads)
    for order in ([coarse, fine], [fine, coarse]):
        np.testing.assert_allclose(decode(order, spec=spec)[0], [[12, 12, 20, 20], [4, 4, 12, 12]])
    # The spec's order rules, not the stride.
    turned = ModelSpec(spec.input_size, spec.heads[::-1], spec.names)
    for order in ([coarse, fine], [fine, coarse]):
        np.testing.assert_allclose(decode(order, spec=turned)[0], [[4, 4, 12, 12], [12, 12, 20, 20]])


def test_heads_of_one_shape_are_taken_as_given(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((8, 8),)), HeadSpec(32, ((20, 4),)), size=(32, 32))
    first, second = single(0, 0, 0, 0, INF, LN3) + single(0, 0, 0, 0, INF, LN9)
    # 0.9 for the second head's 20 x 4, 0.75 for the first head's 8 x 8, both centred on (16, 16)
    xyxy = decode([first, second], spec=spec)[0]
    np.testing.assert_allclose(xyxy, [[6, 14, 26, 18], [12, 12, 20, 20]])
    xyxy = decode([second, first], spec=spec)[0]
    np.testing.assert_allclose(xyxy, [[12, 12, 20, 20], [6, 14, 26, 18]])


def test_best_first(decode: Decode) -> None:
    heads = in_row(ROW, {0: (INF, 0), 2: (INF, LN9), 4: (LN3, LN4)})
    result = decode(heads, spec=ROW, iou_threshold=0.6)
    assert columns_of(result) == [2, 4, 0]
    np.testing.assert_allclose(result[1], [0.9, 0.6, 0.5], rtol=1e-6)


# NMS. Neighbouring columns of ROW: intersection 20 * 10 = 200, union 300 + 300 - 200 = 400, IoU 1/2.
# Two columns apart: intersection 10 * 10 = 100, union 500, IoU 1/5. Three apart: they touch, IoU 0.


def test_the_better_of_two_overlapping_boxes_stays(decode: Decode) -> None:
    assert columns_of(decode(in_row(ROW, {0: (INF, LN3), 1: (INF, LN9)}), spec=ROW)) == [1]
    assert columns_of(decode(in_row(ROW, {0: (INF, LN9), 1: (INF, LN3)}), spec=ROW)) == [0]


def test_an_overlap_equal_to_the_threshold_is_kept(decode: Decode) -> None:
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN3)})
    half = np.float32(0.5)
    assert columns_of(decode(heads, spec=ROW, iou_threshold=0.5)) == [0, 1]
    assert columns_of(decode(heads, spec=ROW, iou_threshold=float(np.nextafter(half, np.float32(0))))) == [0]


def test_touching_boxes_do_not_overlap(decode: Decode) -> None:
    heads = in_row(ROW, {0: (INF, LN9), 3: (INF, LN3)})
    assert columns_of(decode(heads, spec=ROW, iou_threshold=0)) == [0, 3]


def test_boxes_that_are_equal_survive_threshold_1(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((8, 8), (8, 8))), size=(32, 32))
    heads = blank(spec)
    heads[0][0, 0] = [0, 0, 0, 0, INF, LN3]
    for nms in ("iou", "diou"):
        assert len(decode(tensors(heads), spec=spec, nms=nms, iou_threshold=1)[1]) == 2
        assert len(decode(tensors(heads), spec=spec, nms=nms, iou_threshold=0.999)[1]) == 1


def test_a_suppressed_box_suppresses_nothing(decode: Decode) -> None:
    # 0 suppresses 1 (1/2 > 0.3); 1 would suppress 2, but is gone; 0 and 2 overlap by 1/5 only.
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN4), 2: (INF, LN3)})
    assert columns_of(decode(heads, spec=ROW, iou_threshold=0.3)) == [0, 2]


def test_diou_spares_boxes_with_distant_centres(decode: Decode) -> None:
    # IoU 1/2, d = 10, c^2 = 40^2 + 10^2 = 1700: (100 / 1700)^0.6 = 0.1827, 0.5 - 0.1827 = 0.3173
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN3)})
    assert columns_of(decode(heads, spec=ROW, nms="iou", iou_threshold=0.4)) == [0]
    assert columns_of(decode(heads, spec=ROW, nms="diou", iou_threshold=0.4)) == [0, 1]
    assert columns_of(decode(heads, spec=ROW, nms="diou", iou_threshold=0.318)) == [0, 1]
    assert columns_of(decode(heads, spec=ROW, nms="diou", iou_threshold=0.317)) == [0]


def test_diou_works_in_image_pixels(decode: Decode) -> None:
    # The image is four times as high: c^2 = 40^2 + 40^2 = 3200, (100 / 3200)^0.6 = 2^-3, 0.5 - 0.125 = 0.375
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN3)})
    options = {"spec": ROW, "nms": "diou", "iou_threshold": 0.35}
    assert columns_of(decode(heads, **options)) == [0, 1]
    assert columns_of(decode(heads, **options, image_size=(40, 60))) == [0]


def test_boxes_of_two_classes_do_not_suppress_each_other(decode: Decode) -> None:
    heads = in_row(ROW_2, {0: (INF, LN9, -9), 1: (INF, -9, LN3)})
    assert columns_of(decode(heads, spec=ROW_2)) == [0, 1]
    assert columns_of(decode(heads, spec=ROW_2, class_agnostic=True)) == [0]


def test_boxes_without_area_do_not_overlap(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((8, 8), (8, 8))), size=(32, 32))
    heads = blank(spec)
    heads[0][0, 0] = [0, 0, -INF, -INF, INF, LN3]  # two points in one place
    for nms in ("iou", "diou"):
        xyxy = decode(tensors(heads), spec=spec, nms=nms, iou_threshold=0)[0]
        np.testing.assert_array_equal(xyxy, [[16, 16, 16, 16]] * 2)
    heads[0][0, 0, 1, 2:4] = 0  # a point inside a box: intersection 0, union 64
    assert len(decode(tensors(heads), spec=spec, iou_threshold=0)[1]) == 2


def test_max_detections_counts_what_nms_leaves(decode: Decode) -> None:
    heads = in_row(ROW, {0: (INF, LN9), 1: (INF, LN4), 3: (LN9, LN3), 5: (INF, 0)})
    # 1 is suppressed by 0; 0.9, 0.675 and 0.5 remain
    for limit, columns in ((1, [0]), (2, [0, 3]), (3, [0, 3, 5]), (300, [0, 3, 5])):
        assert columns_of(decode(heads, spec=ROW, max_detections=limit)) == columns


def test_max_detections_counts_over_all_classes(decode: Decode) -> None:
    heads = in_row(ROW_2, {0: (INF, LN9, -9), 3: (INF, -9, LN4), 5: (INF, LN3, -9)})
    assert columns_of(decode(heads, spec=ROW_2, max_detections=2)) == [0, 3]


# Coordinates


def test_stretch_scales_each_axis(decode: Decode) -> None:
    # Network box [11, 6, 21, 26] in 32 x 32; image 64 wide, 96 high: x * 2, y * 3
    result = decode(single(0, 0, 0, 0, INF, INF), spec=CELL, image_size=(96, 64))
    np.testing.assert_allclose(result[0], [[22, 18, 42, 78]], rtol=1e-6)


def test_letterbox_takes_the_bars_off(decode: Decode) -> None:
    # 200 x 100 into 32 x 32: scale 0.16, 32 x 16 pixels, bars of 8 above and below.
    # x * 200 / 32 = x * 6.25; (y - 8) * 100 / 16 = (y - 8) * 6.25: [11, 6, 21, 26] -> [68.75, -12.5, 131.25, 112.5]
    result = decode(single(0, 0, 0, 0, INF, INF), spec=CELL, image_size=(100, 200), resize="letterbox")
    np.testing.assert_allclose(result[0], [[68.75, -12.5, 131.25, 112.5]], rtol=1e-6)


def test_letterbox_uses_the_size_in_whole_pixels(decode: Decode) -> None:
    # 30 wide, 100 high into 32 x 32: scale 0.32, 9.6 -> 9 pixels wide, bar (32 - 9) // 2 = 11 at the left.
    # (x - 11) * 30 / 9; y * 100 / 32 = y * 3.125: [11, 6, 21, 26] -> [0, 18.75, 100 / 3, 81.25]
    result = decode(single(0, 0, 0, 0, INF, INF), spec=CELL, image_size=(100, 30), resize="letterbox")
    np.testing.assert_allclose(result[0], [[0, 18.75, 100 / 3, 81.25]], rtol=1e-6, atol=1e-5)
    # 28 wide: 8.96 -> 8 pixels, bar (32 - 8) / 2 = 12: (x - 12) * 28 / 8 = (x - 12) * 3.5
    result = decode(single(0, 0, 0, 0, INF, INF), spec=CELL, image_size=(100, 28), resize="letterbox")
    np.testing.assert_allclose(result[0], [[-3.5, 18.75, 31.5, 81.25]], rtol=1e-6, atol=1e-5)


def test_boxes_are_clipped_on_request(decode: Decode) -> None:
    heads = single(0, 0, LN4, LN4, INF, INF)  # 40 x 80 around (16, 16): [-4, -24, 36, 56]
    np.testing.assert_allclose(decode(heads, spec=CELL)[0], [[-4, -24, 36, 56]], rtol=1e-6)
    np.testing.assert_array_equal(decode(heads, spec=CELL, clip=True)[0], [[0, 0, 32, 32]])
    # Twice as wide, half as high an image: [-8, -12, 72, 28] in 64 x 16
    np.testing.assert_array_equal(decode(heads, spec=CELL, clip=True, image_size=(16, 64))[0], [[0, 0, 64, 16]])


def test_nms_sees_boxes_before_clipping(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((40, 40), (80, 80))), size=(32, 32))
    heads = blank(spec)
    heads[0][0, 0] = [0, 0, 0, 0, INF, LN3]
    # 40 x 40 inside 80 x 80: IoU 1600 / 6400 = 1/4, though both fill the 32 x 32 picture.
    result = decode(tensors(heads), spec=spec, clip=True, iou_threshold=0.3)
    np.testing.assert_array_equal(result[0], [[0, 0, 32, 32]] * 2)
    assert len(decode(tensors(heads), spec=spec, clip=True, iou_threshold=0.2)[1]) == 1


# Quantised heads


@pytest.mark.parametrize(("dtype", "zero_point"), [(np.int8, -28), (np.uint8, 100)])
def test_quantised_head(decode: Decode, dtype: Any, zero_point: int) -> None:
    # A level is ln(3) / 2: tx = 2 levels -> 3/4, ty = -2 -> 1/4, tw = 2 -> times 3, th = -4 -> divided by 9,
    # objectness = 4 -> 9/10, classes = 2 and -2 -> 3/4 and 1/4
    terms = [zero_point + level for level in (2, -2, 2, -4, 4, 2, -2)]
    quantization = [(LN3 / 2, zero_point)]
    xyxy, confidence, class_id = decode(single(*terms, dtype=dtype), spec=CELL_2, quantization=quantization)
    # cx = 24, cy = 8, w = 30, h = 20/9, score = 0.9 * 0.75 = 0.675
    np.testing.assert_allclose(xyxy, [[9, 8 - 10 / 9, 39, 8 + 10 / 9]], rtol=1e-5)
    np.testing.assert_allclose(confidence, [0.675], rtol=1e-5)
    assert class_id.tolist() == [0]


@pytest.mark.parametrize(("dtype", "low", "high"), [(np.int8, -128, 127), (np.uint8, 0, 255)])
def test_quantised_extremes(decode: Decode, dtype: Any, low: int, high: int) -> None:
    # Zero point at the low end, scale 0.1: the highest level is 25.5, whose sigmoid is 1 in float32; the lowest is 0.
    heads = single(low, low, low, low, high, high, dtype=dtype)
    for threshold in (0.5, 1):
        xyxy, confidence, _ = decode(heads, spec=CELL, quantization=[(0.1, low)], score_threshold=threshold)
        np.testing.assert_allclose(xyxy, [[11, 6, 21, 26]], rtol=1e-6)
        assert confidence.tolist() == [1]
    # Zero point at the high end: the highest level is 0, the score 1/4.
    for threshold, kept in ((0, 1), (0.25, 1), (0.2500001, 0), (1, 0)):
        result = decode(heads, spec=CELL, quantization=[(0.1, high)], score_threshold=threshold)
        assert len(result[1]) == kept


def test_a_quantised_score_equal_to_the_threshold_is_kept(decode: Decode) -> None:
    # Objectness 127 levels of 0.25 above 0: 1 in float32. Class at the zero point: exactly 1/2.
    heads = single(0, 0, 0, 0, 127, 0, dtype=np.int8)
    half = np.float32(0.5)
    for threshold, kept in ((half, 1), (np.nextafter(half, np.float32(0)), 1), (np.nextafter(half, np.float32(1)), 0)):
        options = {"quantization": [(0.25, 0)], "score_threshold": float(threshold)}
        assert len(decode(heads, spec=CELL, **options)[1]) == kept


def test_quantisation_belongs_to_the_head_it_came_with(decode: Decode) -> None:
    spec = network(HeadSpec(32, ((8, 8),)), HeadSpec(16, ((8, 8),)), size=(32, 32))
    coarse = np.full((1, 1, 6), 10, np.int8)
    coarse[..., 4:] = 12  # 2 levels of ln(3) / 2: 3/4 * 3/4
    fine = np.full((2, 2, 6), -100, np.int8)
    fine[1, 1] = [-50, -50, -50, -50, -48, -48]  # 2 levels of ln(9) / 2: 9/10 * 9/10
    pairs = [(coarse, (LN3 / 2, 10)), (fine, (LN9 / 2, -50))]
    for order in (pairs, pairs[::-1]):
        xyxy, confidence, _ = decode(
            [head for head, _ in order], spec=spec, quantization=[levels for _, levels in order]
        )
        np.testing.assert_allclose(confidence, [0.81, 0.5625], rtol=1e-5)
        np.testing.assert_allclose(xyxy, [[20, 20, 28, 28], [12, 12, 20, 20]], rtol=1e-5)


# Nothing, and the network most people have


def test_nothing_found(decode: Decode) -> None:
    xyxy, confidence, class_id = decode(tensors(blank(CELL)), spec=CELL)
    assert (xyxy.shape, confidence.shape, class_id.shape) == ((0, 4), (0,), (0,))
    assert (xyxy.dtype, confidence.dtype, class_id.dtype) == (np.float32, np.float32, np.int32)


def test_coco_yolov4_tiny_is_the_default() -> None:
    fine, coarse = np.full((26, 26, 255), -20, np.float32), np.full((13, 13, 255), -20, np.float32)
    # Third anchor of the coarse head, 344 x 319, class 16 (dog), cell row 6, column 5.
    coarse[6, 5, 170:174] = 0
    coarse[6, 5, 174] = LN9
    coarse[6, 5, 175 + 16] = LN4
    # First anchor of the fine head, 23 x 27, class 0 (person), cell row 20, column 3.
    fine[20, 3, 0:4] = 0
    fine[20, 3, 4] = LN3
    fine[20, 3, 5] = LN4
    xyxy, confidence, class_id = fastyolo.decode_nms([fine, coarse])
    # cx = (0.525 - 0.025 + 5) * 32 = 176, cy = 208; cx = 3.5 * 16 = 56, cy = 20.5 * 16 = 328
    np.testing.assert_allclose(xyxy, [[4, 48.5, 348, 367.5], [44.5, 314.5, 67.5, 341.5]], rtol=1e-6)
    np.testing.assert_allclose(confidence, [0.72, 0.6], rtol=1e-6)
    assert class_id.tolist() == [16, 0]
