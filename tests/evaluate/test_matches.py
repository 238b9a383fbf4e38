"""Precision, recall, recall of few, and the area under the curve: computed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fastyolo.evaluate import Evaluation
from fastyolo.evaluate.found import Found
from fastyolo.evaluate.matches import Counts
from fastyolo.evaluate.scoring import Scores, score
from fastyolo.evaluate.truth import GroundTruth, LabelledObject, Picture

Box = tuple[float, float, float, float]
PLACES: tuple[Box, ...] = tuple((100.0 * place, 0.0, 40.0, 40.0) for place in range(8))
CAT, DOG = 1, 2


def scored(
    objects: Sequence[tuple[int, Box]],
    found: Sequence[tuple[int, Box, float]],
    *,
    crowds: Sequence[tuple[int, Box]] = (),
    threshold: float = 0.25,
    max_detections: int = 300,
) -> Scores:
    """Scores of one picture with (category, box) objects and (category, box, score) detections."""
    labelled = [
        LabelledObject(1, category, box, box[2] * box[3], is_crowd)
        for entries, is_crowd in ((objects, False), (crowds, True))
        for category, box in entries
    ]
    truth = GroundTruth(Path("t"), (Picture(1, Path("1"), "1"),), {CAT: "cat", DOG: "dog"}, tuple(labelled))
    categories, boxes, scores = zip(*found, strict=True) if found else ((), (), ())
    table = Found(
        np.ones(len(found), np.int64),
        np.array(categories, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float64),
    )
    return score(truth, table, max_detections=max_detections, threshold=threshold)


def test_detections_count_from_the_threshold_on() -> None:
    objects = [(CAT, PLACES[0]), (CAT, PLACES[1]), (CAT, PLACES[2])]
    found = [(CAT, PLACES[0], 0.9), (CAT, PLACES[5], 0.8), (CAT, PLACES[1], 0.25), (CAT, PLACES[2], 0.24)]
    counts = scored(objects, found).counts
    assert counts == Counts(true_positives=2, false_positives=1, false_negatives=1)
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx((200 / 3, 200 / 3, 200 / 3))
    assert scored(objects, found, threshold=0.85).counts == Counts(1, 0, 2)
    assert scored(objects, found, threshold=0).counts == Counts(3, 1, 0)
    assert scored(objects, found, threshold=1).counts == Counts(0, 0, 3)


def test_without_detections_there_is_no_precision() -> None:
    counts = scored([(CAT, PLACES[0])], []).counts
    assert (counts.precision, counts.recall, counts.f1) == (None, 0, 0)


def test_a_second_detection_of_an_object_is_wrong() -> None:
    assert scored([(CAT, PLACES[0])], [(CAT, PLACES[0], 0.9), (CAT, PLACES[0], 0.8)]).counts == Counts(1, 1, 0)


def test_overlap_decides_at_a_half() -> None:
    x, y, side, _ = PLACES[0]
    assert scored([(CAT, PLACES[0])], [(CAT, (x, y, side, side / 2), 0.9)]).counts == Counts(1, 0, 0)
    assert scored([(CAT, PLACES[0])], [(CAT, (x, y, side, side / 2.1), 0.9)]).counts == Counts(0, 1, 1)


def test_a_class_without_objects_has_false_alarms_all_the_same() -> None:
    scores = scored([(CAT, PLACES[0])], [(CAT, PLACES[0], 0.9), (DOG, PLACES[0], 0.8)])
    assert scores.counts == Counts(1, 1, 0)
    cat, dog = scores.categories
    assert (cat.counts, dog.counts) == (Counts(1, 0, 0), Counts(0, 1, 0))
    assert (dog.ap, dog.ap50, dog.ap50_area) == (None, None, None)
    assert scores.ap == pytest.approx(100)  # COCO's averages leave it out


def test_what_is_found_in_a_crowd_counts_for_nothing() -> None:
    crowd = (CAT, (100.0, 0.0, 400.0, 40.0))
    found = [(CAT, PLACES[0], 0.9), (CAT, PLACES[2], 0.8), (CAT, PLACES[3], 0.7)]
    assert scored([(CAT, PLACES[0])], found, crowds=[crowd]).counts == Counts(1, 0, 0)
    # Of a class that is there in crowds only, too.
    assert scored([(DOG, PLACES[7])], found, crowds=[crowd]).counts == Counts(0, 1, 1)


def test_only_the_best_of_a_picture_count() -> None:
    objects = [(CAT, place) for place in PLACES[:4]]
    found = [(CAT, place, 0.9 - index / 10) for index, place in enumerate(PLACES[:4])]
    assert scored(objects, found, max_detections=3).counts == Counts(3, 0, 1)
    found.insert(0, (CAT, PLACES[6], 0.95))
    assert scored(objects, found, max_detections=3).counts == Counts(2, 1, 2)


def test_recall_of_the_best_1_10_and_100() -> None:
    boxes: list[Box] = [(30.0 * (place % 20), 30.0 * (place // 20), 20.0, 20.0) for place in range(150)]
    objects = [(CAT, box) for box in boxes]
    scores = scored(objects, [(CAT, box, 0.9 - index / 1000) for index, box in enumerate(boxes)])
    assert (scores.ar1, scores.ar10, scores.ar100) == pytest.approx((100 / 150, 1000 / 150, 10000 / 150))
    assert (scores.ar_small, scores.ar_medium) == (pytest.approx(10000 / 150), None)
    assert scores.ap50 == pytest.approx(100)
    assert scores.counts == Counts(150, 0, 0)


def test_the_area_is_that_under_every_step() -> None:
    objects = [(CAT, place) for place in PLACES[:4]]
    # Right, wrong, right, wrong, right: precision 1, 2/3, 3/5 at recall 1/4, 2/4, 3/4; the fourth is never found.
    found = [
        (CAT, box, 0.9 - index / 10)
        for index, box in enumerate((PLACES[0], PLACES[5], PLACES[1], PLACES[6], PLACES[2]))
    ]
    scores = scored(objects, found)
    assert scores.ap50_area == pytest.approx(100 * (1 + 2 / 3 + 3 / 5) / 4)
    assert scores.ap50 == pytest.approx(100 * (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101)


def test_the_area_takes_the_best_precision_at_that_recall_or_more() -> None:
    objects = [(CAT, place) for place in PLACES[:2]]
    found = [(CAT, PLACES[5], 0.9), (CAT, PLACES[0], 0.8), (CAT, PLACES[1], 0.7)]
    assert scored(objects, found).ap50_area == pytest.approx(100 * 2 / 3)


@pytest.mark.slow
def test_on_coco_the_area_is_close_to_101_points(on_coco: Evaluation) -> None:
    scores = on_coco.scores
    assert scores.ap50_area == pytest.approx(scores.ap50, abs=0.3)
    assert scores.counts.true_positives + scores.counts.false_negatives == scores.objects
    at_threshold = int((on_coco.found.score >= scores.threshold).sum())
    assert scores.counts.true_positives + scores.counts.false_positives == at_threshold
