"""Every rule of the ladder by hand, and its ends against `evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from command import fastyolo, one_line
from fastyolo import Detections, ModelSpec, decode_nms
from fastyolo.errors import EvaluationError
from fastyolo.evaluate import Settings, evaluate
from fastyolo.evaluate.ladder import FLOAT, REFERENCE, STEPS, Ladder, climb
from fastyolo.evaluate.ladder_rules import Rules, decode, reference_tensor, resize_bytes
from fastyolo.spec import HeadSpec

OURS = Rules(**{name: value for _, change in STEPS for name, value in change.items()})
SPEC = ModelSpec((32, 32), (HeadSpec(16, ((10.0, 12.0), (20.0, 8.0)), 1.2),), ("cat", "dog"))


def heads_with(*boxes: tuple[int, int, int, list[float]]) -> list[np.ndarray]:
    """One head in which only the given (row, column, anchor, terms) may pass any gate."""
    head = np.full((2, 2, 2, 7), -20, np.float32)
    for row, column, anchor, terms in boxes:
        head[row, column, anchor] = terms
    return [head.reshape(2, 2, 14)]


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


def found(rules: Rules, *boxes: tuple[int, int, int, list[float]], size: tuple[int, int] = (32, 32)) -> Detections:
    return decode(heads_with(*boxes), SPEC, size, rules)


# Centre of its cell, size of its anchor; objectness 0.5, cat 0.8, dog 0.6.
CAT = [0.0, 0.0, 0.0, 0.0, logit(0.5), logit(0.8), logit(0.6)]
FAINT = [0.0, 0.0, 0.0, 0.0, logit(0.1), logit(0.8), logit(0.6)]


def test_the_gate_drops_what_no_threshold_asked_to_drop() -> None:
    assert len(found(Rules(score_threshold=0.001), (0, 0, 0, FAINT))) == 0
    assert len(found(Rules(score_threshold=0.001, gate=0), (0, 0, 0, FAINT))) == 1


def test_the_score_is_objectness_or_its_product_with_the_class() -> None:
    np.testing.assert_allclose(found(Rules(), (0, 0, 0, CAT)).confidence, [0.5], rtol=1e-6)
    np.testing.assert_allclose(found(Rules(class_scores=True), (0, 0, 0, CAT)).confidence, [0.4], rtol=1e-6)


def test_all_classes_show_only_once_they_do_not_suppress_each_other() -> None:
    rules = Rules(class_scores=True, all_classes=True)
    assert found(rules, (0, 0, 0, CAT)).class_id.tolist() == [0]
    both = found(replace(rules, per_class=True), (0, 0, 0, CAT))
    assert both.class_id.tolist() == [0, 1]
    np.testing.assert_allclose(both.confidence, [0.4, 0.3], rtol=1e-6)


def test_nms_threshold_and_number_of_boxes() -> None:
    dog = [*CAT[:4], logit(0.4), logit(0.1), logit(0.9)]
    boxes = ((0, 0, 0, CAT), (0, 0, 1, dog))  # 10 x 12 in 20 x 8: IoU 80 / 200
    assert len(found(Rules(), *boxes)) == 2
    assert len(found(Rules(iou_threshold=0.39), *boxes)) == 1
    assert len(found(Rules(iou_threshold=0.39, per_class=True), *boxes)) == 2
    assert len(found(Rules(max_detections=1), *boxes)) == 1


def test_corners_are_cut_to_whole_pixels_or_moved_to_the_edge() -> None:
    exact = Rules(whole_pixels=False, scale_inside=False)
    # The box of 20 x 8 around (8, 8) has corners -2, 4, 18, 12; stretched to 48 x 80 times 2.5 and 1.5.
    corners = found(exact, (0, 0, 1, CAT), size=(48, 80)).xyxy
    np.testing.assert_allclose(corners, [[-5, 6, 45, 18]], rtol=1e-5)
    clipped = found(replace(exact, clip=True), (0, 0, 1, CAT), size=(48, 80)).xyxy
    np.testing.assert_allclose(clipped, [[0, 6, 45, 18]], rtol=1e-5)
    corners = found(exact, (0, 0, 1, CAT), size=(50, 83)).xyxy
    np.testing.assert_allclose(corners, [[-5.1875, 6.25, 46.6875, 18.75]], rtol=1e-5)
    whole = found(replace(exact, whole_pixels=True), (0, 0, 1, CAT), size=(50, 83)).xyxy
    assert whole.tolist() == [[-5, 6, 46, 18]]


def test_the_factor_stands_inside_or_outside_the_sigmoid() -> None:
    terms = [2.0, 0.0, 0.0, 0.0, *CAT[4:]]
    for inside, share in ((True, 1 / (1 + np.exp(-2.4)) - 0.1), (False, 1.2 / (1 + np.exp(-2)) - 0.1)):
        box = found(Rules(scale_inside=inside, whole_pixels=False), (1, 0, 0, terms)).xyxy[0]
        assert (box[0] + box[2]) / 2 == pytest.approx(16 * share, rel=1e-5)


def test_with_all_of_our_rules_it_decodes_as_the_kernel_does() -> None:
    rng = np.random.default_rng(5)
    spec = ModelSpec.yolov4_tiny(names=[str(index) for index in range(7)], input_size=(96, 160))
    heads = [rng.normal(-1, 2, shape).astype(np.float32) for shape in spec.head_shapes]
    for resize in ("stretch", "letterbox"):
        ours = decode(heads, spec, (300, 400), OURS, resize=resize)
        kernel = decode_nms(
            heads,
            spec=spec,
            score_threshold=0.001,
            multi_label=True,
            clip=True,
            image_size=(300, 400),
            resize=resize,
        )
        np.testing.assert_array_equal(ours.class_id, kernel.class_id)
        np.testing.assert_allclose(ours.confidence, kernel.confidence, rtol=1e-5)
        np.testing.assert_allclose(ours.xyxy, kernel.xyxy, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [(480, 640), (333, 500), (100, 37), (416, 416), (1, 1), (97, 1201)])
def test_the_resize_is_opencvs(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    theirs = cv2.resize(image, (416, 416)).astype(int)
    ours = resize_bytes(image, (416, 416)).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 0.01


def test_truncation_darkens_the_bright_half_of_the_pixels_by_one() -> None:
    image = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    quantization = (float(np.float32(1 / 255)), -128)
    stored = np.arange(256) - 128
    for rule, expected in (("truncated", np.where(stored > 0, stored - 1, stored)), ("rounded", stored)):
        tensor = reference_tensor(image, (256, 1), np.dtype(np.int8), quantization, rule)  # type: ignore[arg-type]
        np.testing.assert_array_equal(tensor[:, 0, 0], expected)


@pytest.fixture(scope="module")
def ladder(coco_dir: Path, float_model: Path) -> Ladder:
    """The bundled model's, on a few pictures."""
    return climb(
        float_model=float_model,
        images=coco_dir / "val2017",
        annotations=coco_dir / "instances_val2017_128.json",
        limit=16,
    )


@pytest.mark.slow
def test_its_ends_are_what_evaluate_says(ladder: Ladder, coco_dir: Path, float_model: Path) -> None:
    assert [rung.change for rung in ladder.rungs] == [REFERENCE, *(change for change, _ in STEPS), FLOAT]
    # The ladder's own rule; the exported file says "diou", as its .cfg.
    settings = Settings(nms="iou")
    where = {"images": coco_dir / "val2017", "annotations": coco_dir / "instances_val2017_128.json"}
    for rung, model in zip(ladder.rungs[-2:], (None, float_model), strict=True):
        evaluation = evaluate(model, **where, settings=settings, limit=16)
        assert rung.scores.ap50 == pytest.approx(evaluation.scores.ap50, abs=0.01)
        assert rung.scores.ap == pytest.approx(evaluation.scores.ap, abs=0.01)
        assert rung.scores.ap_small == pytest.approx(evaluation.scores.ap_small, abs=0.01)


@pytest.mark.slow
def test_most_of_the_loss_is_in_the_rules(ladder: Ladder) -> None:
    first, *_, integer, real = (rung.scores.ap50 or 0 for rung in ladder.rungs)
    assert integer - first > 5
    assert abs(real - integer) < integer - first


@pytest.mark.slow
def test_stopped_early_it_scores_what_was_done(coco_dir: Path, float_model: Path) -> None:
    stop = Event()

    def progress(step: str, done: int, total: int) -> None:
        assert total == (30 if step == "detecting" else 12)
        if done == 2:
            stop.set()

    ladder = climb(
        float_model=float_model,
        images=coco_dir / "val2017",
        annotations=coco_dir / "instances_val2017_128.json",
        limit=30,
        progress=progress,
        stop=stop,
    )
    assert 2 <= ladder.images < 10
    assert ladder.interrupted


def test_the_models_must_be_a_pair(coco_dir: Path, float_model: Path) -> None:
    where = {"images": coco_dir / "val2017", "annotations": coco_dir / "instances_val2017_128.json", "limit": 5}
    with pytest.raises(EvaluationError, match="--model must have int8 or uint8 input, got float32 in"):
        climb(float_model, float_model=float_model, **where)
    from fastyolo.detector import BUNDLED_MODEL

    with pytest.raises(EvaluationError, match="--float-model must have float32 input, got int8 in"):
        climb(float_model=BUNDLED_MODEL, **where)


@pytest.mark.slow
def test_the_command_prints_the_ladder(coco_dir: Path, float_model: Path) -> None:
    where = ("--images", coco_dir / "val2017", "--annotations", coco_dir / "instances_val2017_128.json")
    run = fastyolo("evaluate", "--ladder", "--float-model", float_model, *where, "--limit", "4")
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 12
    assert len({len(row) for row in rows}) == 1
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows[2:]]
    # Differences are those of the printed numbers.
    for before, row in pairwise(cells):
        assert float(row[3]) == pytest.approx(float(row[2]) - float(before[2]), abs=1e-6)
    run = fastyolo("evaluate", "--ladder", "--float-model", float_model, *where, "--limit", "2", "--format", "json")
    assert json.loads(run.stdout)["rungs"][0]["change"] == REFERENCE
    run = fastyolo("evaluate", "--ladder", "--float-model", "gone.tflite", *where)
    assert run.returncode == 1
    assert "gone.tflite: No such file" in one_line(run.stderr)
