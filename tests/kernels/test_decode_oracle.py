"""The kernel against the plain oracle, on heads where float noise cannot change what is kept."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

import fastyolo
from decode_cases import DTYPES, SPECS, Case, Levels, build_case, kept_boxes
from fastyolo.spec import HeadSpec, ModelSpec
from reference import decode_boxes, decode_reference, network_to_image, real_heads

THRESHOLDS = (0.0, 0.001, 0.25, 0.6, 1.0)
GEOMETRIES = (
    {},
    {"image_size": (480, 640)},
    {"image_size": (480, 640), "resize": "letterbox"},
    {"image_size": (1080, 607), "resize": "letterbox", "clip": True},
    {"image_size": (31, 47)},
    {"clip": True},
    {"image_size": (427, 640), "clip": True},
)
SWITCHES = tuple(itertools.product(("iou", "diou"), (False, True), (False, True)))


def rng_for(*key: object) -> np.random.Generator:
    # Not hash(), which differs between runs.
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def check(case: Case) -> None:
    """The kernel returns the oracle's boxes: the same candidates in the same order, with the same numbers."""
    expected = case.expected
    result = fastyolo.decode_nms(case.heads, **case.options)
    np.testing.assert_array_equal(result.class_id, expected.class_id)
    np.testing.assert_allclose(result.confidence, expected.confidence, rtol=1e-4, atol=1e-9)
    # Corners are sums of terms as large as the largest coordinate, and keep its rounding near 0.
    noise = 1e-6 * np.abs(expected.xyxy).max(initial=1.0)
    np.testing.assert_allclose(result.xyxy, expected.xyxy, rtol=1e-4, atol=noise)
    spec, quantization = case.options["spec"], case.options["quantization"]
    if len(set(spec.head_shapes)) == len(spec.heads):
        turned = {**case.options, "quantization": quantization and quantization[::-1]}
        for ours, theirs in zip(fastyolo.decode_nms(case.heads[::-1], **turned), result, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    if not case.options.get("clip"):
        boxes = kept_boxes(result.xyxy, all_boxes(case))
        np.testing.assert_array_equal(boxes * spec.num_classes + result.class_id, expected.index)


def all_boxes(case: Case) -> np.ndarray:
    spec = case.options["spec"]
    heads = real_heads(case.heads, spec, case.options["quantization"])
    boxes = [decode_boxes(head, head_spec) for head, head_spec in zip(heads, spec.heads, strict=True)]
    image_size, resize = case.options.get("image_size"), case.options.get("resize", "stretch")
    return network_to_image(np.concatenate(boxes), image_size, spec.input_size, resize)


@pytest.mark.parametrize("score_threshold", THRESHOLDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.slow
def test_kernel_keeps_what_the_oracle_keeps(spec: str, dtype: str, score_threshold: float) -> None:
    rng = rng_for(spec, dtype, score_threshold)
    # The COCO heads are slow in the oracle; over dtypes and thresholds they see every switch too.
    limits = (1, 7, 60, 120) if spec == "coco" else (1, 7, 300, 1000)
    for switches in rng.permutation(len(SWITCHES))[: 2 if spec == "coco" else 3]:
        nms, multi_label, class_agnostic = SWITCHES[switches]
        case = build_case(
            rng,
            SPECS[spec],
            DTYPES[dtype],
            ("random", "crowded")[rng.integers(2)],
            score_threshold=score_threshold,
            iou_threshold=float(rng.choice([0.0, 0.3, 0.45, 0.6, 1.0], p=[0.1, 0.2, 0.3, 0.3, 0.1])),
            max_detections=int(rng.choice(limits, p=[0.15, 0.25, 0.45, 0.15])),
            nms=nms,
            multi_label=multi_label,
            class_agnostic=class_agnostic,
            **GEOMETRIES[rng.integers(len(GEOMETRIES))],
        )
        check(case)


@pytest.mark.parametrize("nms", ["iou", "diou"])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", ["coco", "three heads", "new coords", "twin heads"])
def test_equal_scores_everywhere_leave_the_canonical_order(spec: str, dtype: str, multi_label: bool, nms: str) -> None:
    rng = rng_for("tied", spec, dtype, multi_label, nms)
    case = build_case(
        rng,
        SPECS[spec],
        DTYPES[dtype],
        "tied",
        score_threshold=0.25,
        iou_threshold=0.45,
        max_detections=250,
        nms=nms,
        multi_label=multi_label,
    )
    for confidence in np.unique(case.expected.confidence):
        assert (np.diff(case.expected.index[case.expected.confidence == confidence]) > 0).all()
    check(case)


@pytest.mark.parametrize("score_threshold", THRESHOLDS)
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("spec", ["one class", "two classes", "three heads", "scale 1"])
def test_nan_and_infinity_among_numbers(spec: str, multi_label: bool, score_threshold: float) -> None:
    rng = rng_for("wild", spec, multi_label, score_threshold)
    case = build_case(
        rng,
        SPECS[spec],
        np.float32,
        "wild",
        score_threshold=score_threshold,
        iou_threshold=0.45,
        max_detections=1000,
        nms="iou",
        multi_label=multi_label,
        image_size=(480, 640),
    )
    check(case)


@pytest.mark.parametrize("score_threshold", [0.001, 0.25, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", ["coco", "one class", "new coords"])
def test_heads_below_the_threshold_give_nothing(spec: str, dtype: str, score_threshold: float) -> None:
    options = {"iou_threshold": 0.45, "max_detections": 300, "nms": "iou", "multi_label": True}
    rng = rng_for("empty", spec, dtype)
    case = build_case(rng, SPECS[spec], DTYPES[dtype], "empty", score_threshold=score_threshold, **options)
    assert len(case.expected.index) == 0
    check(case)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_chosen_classes(dtype: str, multi_label: bool) -> None:
    rng = rng_for("classes", dtype, multi_label)
    for classes in ([3], [0, 5], [5, 1, 1], list(range(6))):
        case = build_case(
            rng,
            SPECS["320x320"],
            DTYPES[dtype],
            "crowded",
            score_threshold=0.1,
            iou_threshold=0.45,
            max_detections=60,
            nms="iou",
            multi_label=multi_label,
            class_agnostic=True,
            classes=classes,
        )
        assert set(case.expected.class_id) <= set(classes)
        check(case)


SINGLE_CELL = ModelSpec((32, 32), (HeadSpec(32, ((10, 20),), 1.05),), ("only",))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_score_is_kept_at_itself_and_dropped_one_step_above(dtype: str) -> None:
    """The gates on raw logits must neither reject what the product keeps, nor keep what it rejects."""
    rng = rng_for("gate", dtype)
    levels = Levels(DTYPES[dtype], 0.1, 3 if dtype == "int8" else 120)
    quantization = None if dtype == "float32" else [(levels.scale, levels.zero_point)]
    head = np.empty((1, 1, 6), DTYPES[dtype])
    seen = set()
    for objectness, logit in rng.uniform(-14, 14, (1500, 2)):
        head[0, 0] = levels.store([0, 0, 0, 0, objectness, logit])

        def count(threshold: float) -> int:
            return len(
                fastyolo.decode_nms(
                    [head], spec=SINGLE_CELL, quantization=quantization, score_threshold=float(threshold)
                ).confidence
            )

        options = {"spec": SINGLE_CELL, "quantization": quantization, "score_threshold": 0.0}
        score = fastyolo.decode_nms([head], **options).confidence[0]
        np.testing.assert_allclose(score, decode_reference([head], **options).confidence[0], rtol=1e-5)
        assert count(score) == 1
        assert count(np.nextafter(score, np.float32(0))) == 1
        if score < 1:
            assert count(np.nextafter(score, np.float32(2))) == 0
        seen.add(score)
    assert len(seen) > 500
