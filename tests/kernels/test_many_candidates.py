"""More candidates than the kernel collects at once: it leaves the lower ones out, and comes back where they are needed.

What all candidates are the kernel says itself, with an NMS that suppresses nothing and as many detections as there are;
the plain NMS of the oracle then says which of them must be kept.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import fastyolo
from reference import Candidates, suppress

SPEC = fastyolo.ModelSpec.yolov4_tiny(names=[f"class {index}" for index in range(2)])
NUM_CANDIDATES = 2535 * 2
QUANTIZATION = ((0.05, 3), (0.04, -7))
EVERY_ONE = pytest.param(NUM_CANDIDATES, marks=pytest.mark.pc("the plain NMS takes eight emulated seconds a case"))
AT_ONCE = 4096
"""So many are collected for 300 detections and fewer."""


def heads(kind: str, dtype: str) -> list[np.ndarray]:
    random = np.random.default_rng(11)
    arrays = []
    for (rows, columns, _), (scale, zero_point) in zip(SPEC.head_shapes, QUANTIZATION, strict=True):
        terms = random.normal(0, 1, (rows, columns, 3, 7)).astype(np.float32)
        if kind == "piled":  # boxes as large as the picture, none far from its middle
            terms[..., 2:4] = random.uniform(2.5, 3, terms[..., 2:4].shape)
        elif kind == "tied":
            terms[..., 4:] = 1
        elif kind == "two levels":
            terms[..., 4:] = random.choice(np.float32([0.5, 1]), (rows, columns, 3, 1))
        elif kind == "points among piles":  # the best boxes are so small that not even they themselves overlap them
            terms[..., 2:4] = random.uniform(2.5, 3, terms[..., 2:4].shape)
            points = random.random((rows, columns, 3)) < 0.02
            terms[points, 2:4] = -80
            terms[points, 4] = 6
        elif kind == "half of one":  # few scores above, most of exactly 0.5, where a range of scores begins
            terms[..., 4] = 40
            terms[..., 5:] = np.where(random.random(terms[..., 5:].shape) < 0.6, 0, -np.abs(terms[..., 5:]))
            terms[..., 0, 5] = np.where(random.random((rows, columns)) < 0.1, 1, -1)
        if dtype == "int8":
            terms = np.clip(np.rint(terms / scale) + zero_point, -128, 127).astype(np.int8)
        arrays.append(terms.reshape(rows, columns, 21))
    return arrays


def decode(kind: str, dtype: str, **options: Any) -> fastyolo.DecodeResult:
    return fastyolo.decode_nms(
        heads(kind, dtype),
        spec=SPEC,
        quantization=QUANTIZATION if dtype == "int8" else None,
        score_threshold=0.0,
        multi_label=True,
        **options,
    )


@cache
def every_candidate(kind: str, dtype: str) -> fastyolo.DecodeResult:
    return decode(kind, dtype, iou_threshold=1.0, max_detections=NUM_CANDIDATES)


@pytest.mark.parametrize("max_detections", [1, 300, EVERY_ONE])
@pytest.mark.parametrize("class_agnostic", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("kind", ["spread", "piled", "tied", "two levels", "points among piles", "half of one"])
def test_what_is_left_out_is_not_lost(kind: str, dtype: str, class_agnostic: bool, max_detections: int) -> None:
    everything = every_candidate(kind, dtype)
    assert len(everything.confidence) == NUM_CANDIDATES
    assert (np.diff(everything.confidence) <= 0).all()
    candidates = Candidates(*everything, np.arange(NUM_CANDIDATES))
    expected = suppress(candidates, 0.45, max_detections, "iou", class_agnostic)
    result = decode(kind, dtype, iou_threshold=0.45, max_detections=max_detections, class_agnostic=class_agnostic)
    for ours, all_of_them in zip(result, everything, strict=True):
        np.testing.assert_array_equal(ours, all_of_them[expected])


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_candidates_come_in_the_order_of_scores_then_heads_cells_anchors_and_classes(dtype: str) -> None:
    tied = decode("tied", dtype, iou_threshold=1.0, max_detections=NUM_CANDIDATES)
    assert np.ptp(tied.confidence[: 507 * 2]) == 0
    # int8 heads have a scale each; what ties are one head's.
    for first, last in ((0, 507 * 2), (507 * 2, NUM_CANDIDATES)) if dtype == "int8" else ((0, NUM_CANDIDATES),):
        np.testing.assert_array_equal(tied.class_id[first:last], np.tile(np.arange(2), (last - first) // 2))


def test_the_cases_need_both_turns() -> None:
    """Otherwise the tests above would test nothing."""
    assert NUM_CANDIDATES > AT_ONCE
    assert len(decode("spread", "float32").confidence) == 300, "the first turn has enough"
    assert len(decode("piled", "float32", class_agnostic=True).confidence) < 300, "no turn has enough"
