"""`nms` on plain boxes: the cases of ONNX and TensorFlow, a plain oracle, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest

import fastyolo
from fastyolo import OptionError, nms

# Three clusters: the inputs that the tests of ONNX's NonMaxSuppression and of TensorFlow's kernels share.
CLUSTERS = np.array(
    [[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [0, 100, 1, 101]],
    np.float32,
)
FLIPPED = np.array(
    [[1, 1, 0, 0], [0, 0.1, 1, 1.1], [0, 0.9, 1, -0.1], [0, 10, 1, 11], [1, 10.1, 0, 11.1], [1, 101, 0, 100]],
    np.float32,
)
CENTRES = np.array([[0.5, y, 1, 1] for y in (0.5, 0.6, 0.4, 10.5, 10.6, 100.5)], np.float32)
SCORES = np.array([0.9, 0.75, 0.6, 0.95, 0.5, 0.3], np.float32)


def kept(
    boxes: npt.ArrayLike, scores: npt.ArrayLike, class_ids: npt.ArrayLike | None = None, **options: object
) -> list:
    ids = None if class_ids is None else np.array(class_ids)
    indices = nms(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), ids, **options)
    assert indices.dtype == np.intp
    return indices.tolist()


def corners(centres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.hstack([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2])


ONNX = {
    "center_point_box_format": (corners(CENTRES), SCORES, {"max_per_class": 3, "score_threshold": 0}, [3, 0, 5]),
    "flipped_coordinates": (FLIPPED, SCORES, {"max_per_class": 3, "score_threshold": 0}, [3, 0, 5]),
    "identical_boxes": (np.tile([0, 0, 1, 1], (10, 1)), [0.9] * 10, {"max_per_class": 3, "score_threshold": 0}, [0]),
    "limit_output_size": (CLUSTERS, SCORES, {"max_per_class": 2, "score_threshold": 0}, [3, 0]),
    "single_box": ([[0, 0, 1, 1]], [0.9], {"max_per_class": 3, "score_threshold": 0}, [0]),
    "suppress_by_IOU": (CLUSTERS, SCORES, {"max_per_class": 3, "score_threshold": 0}, [3, 0, 5]),
    "suppress_by_IOU_and_scores": (CLUSTERS, SCORES, {"max_per_class": 3, "score_threshold": 0.4}, [3, 0]),
    "two_batches": (CLUSTERS, SCORES, {"max_per_class": 2, "score_threshold": 0}, [3, 0]),
}


@pytest.mark.parametrize("case", ONNX)
def test_onnx_cases(case: str) -> None:
    boxes, scores, options, expected = ONNX[case]
    assert kept(boxes, scores, iou_threshold=0.5, **options) == expected


def test_onnx_two_classes() -> None:
    ids = [0] * 6 + [1] * 6
    both = kept(
        np.tile(CLUSTERS, (2, 1)), np.tile(SCORES, 2), ids, iou_threshold=0.5, max_per_class=2, score_threshold=0
    )
    assert [(ids[row], row % 6) for row in both] == [(0, 3), (1, 3), (0, 0), (1, 0)]


TENSORFLOW = {
    "SelectFromThreeClusters": (CLUSTERS, SCORES, {"max_detections": 3}, [3, 0, 5]),
    "SelectFromThreeClustersFlippedCoordinates": (FLIPPED, SCORES, {"max_detections": 3}, [3, 0, 5]),
    "SelectAtMostTwoBoxesFromThreeClusters": (CLUSTERS, SCORES, {"max_detections": 2}, [3, 0]),
    "SelectAtMostThirtyBoxesFromThreeClusters": (CLUSTERS, SCORES, {"max_detections": 30}, [3, 0, 5]),
    "SelectFromThreeClustersWithScoreThreshold": (
        CLUSTERS, SCORES, {"max_detections": 3, "score_threshold": 0.4}, [3, 0],
    ),
    "SelectFromThreeClustersWithScoreThresholdZeroScores": (
        CLUSTERS, [0.1, 0, 0, 0.3, 0.2, -5], {"max_detections": 6, "score_threshold": -3}, [3, 0],
    ),
    "SelectSingleBox": ([[0, 0, 1, 1]], [0.9], {"max_detections": 3}, [0]),
    "SelectFromTenIdenticalBoxes": (np.tile([0, 0, 1, 1], (10, 1)), [0.9] * 10, {"max_detections": 3}, [0]),
    "EmptyInput": (np.empty((0, 4)), [], {"max_detections": 30}, []),
}  # fmt: skip


@pytest.mark.parametrize("case", TENSORFLOW)
def test_tensorflow_cases(case: str) -> None:
    boxes, scores, options, expected = TENSORFLOW[case]
    assert kept(boxes, scores, iou_threshold=0.5, **options) == expected


@pytest.mark.parametrize(
    ("boxes", "threshold"),
    [
        ([[0, 0, 1, 1], [0, 0, 1, 0.5]], 0.5),
        ([[0, 0, 2, 1], [1, 0, 3, 1]], 1 / 3),
        ([[0, 0, 10, 1], [3, 0, 10, 1]], 0.7),
        ([[0, 0, 1, 1], [0, 0, 1, 1]], 1.0),
        ([[0, 0, 1, 1], [1, 0, 2, 1]], 0.0),
    ],
)
def test_an_overlap_that_equals_the_threshold_stays(boxes: list, threshold: float) -> None:
    assert kept(boxes, [0.9, 0.8], iou_threshold=threshold) == [0, 1]
    if threshold > 0:
        below = float(np.nextafter(np.float32(threshold), np.float32(0)))
        assert kept(boxes, [0.9, 0.8], iou_threshold=below) == [0]


def greedy(
    boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], ids: npt.NDArray[np.int32], limit: float
) -> list:
    """The plain oracle: the float32 quotient of every pair."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    areas = (high - low).prod(1)
    result: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        for other in result:
            sides = np.minimum(high[row], high[other]) - np.maximum(low[row], low[other])
            if ids[row] != ids[other] or sides.min() <= 0 or min(areas[row], areas[other]) <= 0:
                continue
            if sides.prod() / (areas[other] + areas[row] - sides.prod()) > np.float32(limit):
                break
        else:
            result.append(int(row))
    return result


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.0, 0.25, 1 / 3, 0.5, 1.0])
def test_as_the_oracle(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    # Small whole numbers: overlaps often equal the threshold, corners are in any order, and some boxes have no area.
    boxes = random.integers(0, 9, (150, 4)).astype(np.float32)
    scores = random.integers(-20, 20, 150).astype(np.float32) / 16
    ids = random.integers(0, 3, 150).astype(np.int32)
    assert kept(boxes, scores, ids, iou_threshold=threshold) == greedy(boxes, scores, ids, threshold)
    agnostic = kept(boxes, scores, ids, iou_threshold=threshold, class_agnostic=True)
    assert agnostic == greedy(boxes, scores, np.zeros(150, np.int32), threshold)


def test_a_limit_per_class_counts_classes_even_where_they_suppress_each_other() -> None:
    boxes = [[10 * i, 0, 10 * i + 5, 5] for i in range(6)]
    ids = [7, 7, 7, 2, 2, 2]
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert kept(boxes, scores, ids, max_per_class=2) == [0, 1, 3, 4]
    assert kept(boxes, scores, ids, max_per_class=2, class_agnostic=True) == [0, 1, 3, 4]
    assert kept(boxes, scores, ids, max_per_class=1, max_detections=1) == [0]


def test_class_ids_may_be_any_whole_numbers() -> None:
    boxes, scores = np.tile([0, 0, 1, 1], (4, 1)), [0.1, 0.2, 0.3, 0.4]
    assert kept(boxes, scores, np.array([-5, 2**40, -5, 2**40])) == [3, 2]
    assert kept(boxes, scores, np.array([3, 3, 70000, 3], np.uint32)) == [3, 2]


def test_diou_keeps_what_lies_apart() -> None:
    boxes = [[0, 0, 10, 10], [4, 0, 14, 10]]  # IoU 0.43; centres are 4 apart
    assert kept(boxes, [0.9, 0.8], iou_threshold=0.35) == [0]
    assert kept(boxes, [0.9, 0.8], iou_threshold=0.35, nms="diou") == [0, 1]


def test_as_decode_nms_suppresses() -> None:
    random = np.random.default_rng(5)
    heads = [random.normal(-3, 3, shape).astype(np.float32) for shape in ((13, 13, 255), (26, 26, 255))]
    everything = fastyolo.decode_nms(heads, score_threshold=0.3, iou_threshold=1, max_detections=2535)
    for kind in ("iou", "diou"):
        expected = fastyolo.decode_nms(heads, score_threshold=0.3, iou_threshold=0.4, max_detections=2535, nms=kind)
        rows = nms(everything.xyxy, everything.confidence, everything.class_id, iou_threshold=0.4, nms=kind)
        np.testing.assert_array_equal(everything.xyxy[rows], expected.xyxy)
        np.testing.assert_array_equal(everything.class_id[rows], expected.class_id)


def test_what_is_no_number_never_stays() -> None:
    nan, inf = np.nan, np.inf
    assert kept([[0, 0, 1, 1], [nan, 0, 1, 1], [5, 5, 6, nan]], [0.5, 0.9, 0.8]) == [0]
    assert kept([[0, 0, 1, 1], [5, 5, 6, 6]], [nan, 0.5]) == [1]
    assert kept([[0, 0, 1, 1], [5, 5, 6, 6]], [-inf, inf]) == [1, 0]


def test_infinite_boxes_are_huge_ones() -> None:
    inf = np.inf
    assert kept([[-inf, -inf, inf, inf], [-1e30, -1e30, 1e30, 1e30], [0, 0, 1, 1]], [0.9, 0.8, 0.7]) == [0, 2]


def test_arrays_may_be_of_any_layout_and_are_left_alone() -> None:
    table = np.zeros((6, 10), np.float32)
    table[:, 2:6], table[:, 7] = CLUSTERS, SCORES
    table.flags.writeable = False
    before = table.copy()
    assert nms(table[:, 2:6], table[:, 7], iou_threshold=0.5).tolist() == [3, 0, 5]
    np.testing.assert_array_equal(table, before)


BOXES, TWO = np.zeros((2, 4), np.float32), np.zeros(2, np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            (BOXES.astype(np.float64), TWO),
            {},
            "boxes must be float32 (N, 4), got float64; pass boxes.astype(np.float32)",
        ),
        (
            (BOXES, TWO.astype(np.float16)),
            {},
            "scores must be float32 (N,), got float16; pass scores.astype(np.float32)",
        ),
        ((BOXES[:, :3], TWO), {}, "boxes must have shape (N, 4), got (2, 3)"),
        ((BOXES[0], TWO), {}, "boxes must be float32 (N, 4), got shape (4,)"),
        (([[0, 0, 1, 1]], TWO), {}, "boxes must be a NumPy array float32 (N, 4), got list"),
        ((BOXES, TWO[:1]), {}, "scores must hold one number per box, expected 2, got 1"),
        ((BOXES, TWO.reshape(2, 1)), {}, "scores must be float32 (N,), got shape (2, 1)"),
        ((BOXES, TWO, [1]), {}, "class_ids must hold one number per box, expected (2,), got (1,)"),
        ((BOXES, TWO, TWO), {}, "class_ids must be whole numbers (N,), got float32; pass class_ids.astype(np.int32)"),
        ((BOXES, TWO), {"iou_threshold": 1.2}, "iou_threshold must be between 0 and 1, got 1.2"),
        ((BOXES, TWO), {"score_threshold": np.nan}, "score_threshold must be a number, got nan"),
        ((BOXES, TWO), {"max_detections": 0}, "max_detections must be at least 1, got 0"),
        ((BOXES, TWO), {"max_per_class": 1.5}, "max_per_class must be a whole number, got 1.5"),
        ((BOXES, TWO), {"nms": "soft"}, "nms must be 'iou' or 'diou', got 'soft'"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(message)}$"):
        nms(*arguments, **options)
