"""AP of many ways on the same pictures, and how sure their differences are."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastyolo.detections import Detections

Entry = dict[str, Any]
Float64Array = npt.NDArray[np.float64]
MAX_DETECTIONS = 300
_RECALLS = np.linspace(0, 1, 101)


class Category(NamedTuple):
    """The detections of one class in all pictures, best first: pycocotools' matching, before anything is counted.

    Attributes:
        picture: (N,), the picture of each.
        matched, counted: bool (10, N), by IoU threshold: found an object; is not left out (crowd regions).
        objects: (pictures,), how many there are to find.
    """

    picture: npt.NDArray[np.intp]
    matched: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    objects: npt.NDArray[np.intp]


class Truth:
    """What is to be found in each picture: pictures are numbered from 0."""

    def __init__(self, objects: Sequence[Sequence[Entry]]) -> None:
        """`objects[picture]`: entries with bbox, area, category_id (a class index) and iscrowd."""
        self.num_pictures = len(objects)
        entries = [{**entry, "image_id": picture} for picture, group in enumerate(objects) for entry in group]
        self.num_objects = len(entries)
        self._coco = _coco(self.num_pictures, sorted({entry["category_id"] for entry in entries}), entries)

    def match(self, found: Sequence[Detections]) -> list[Category]:
        """Let pycocotools say which detections are right."""
        entries = [entry for picture, detections in enumerate(found) for entry in _entries(picture, detections)]
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self._coco, _coco(self.num_pictures, self._coco.getCatIds(), entries), "bbox")
            evaluation.params.maxDets = [MAX_DETECTIONS]
            evaluation.params.areaRng, evaluation.params.areaRngLbl = evaluation.params.areaRng[:1], ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
        starts = range(0, len(evaluation.evalImgs), self.num_pictures)
        categories = [_category(evaluation.evalImgs[start : start + self.num_pictures]) for start in starts]
        precision = evaluation.eval["precision"]
        # Our counting, for which pictures may weigh more or less, must give what pycocotools counts.
        expected = [100 * values[values > -1].mean() for values in (precision[0], precision)]
        assert np.allclose(average_precision(categories, np.ones(self.num_pictures)), expected, atol=1e-6)
        return categories


def average_precision(categories: Sequence[Category], weights: Float64Array) -> Float64Array:
    """(AP50, AP) in percent where picture i is there weights[i] times."""
    precisions = [_precision(one, weights) for one in categories if (one.objects * weights).sum()]
    return 100 * np.array([np.mean([values[0].mean() for values in precisions]), np.mean(precisions)])


def bootstrap(categories: Sequence[Category], resamples: int) -> Float64Array:
    """(resamples, 2) of AP50 and AP, pictures drawn with replacement: the same draws at every call."""
    count = len(categories[0].objects)
    random = np.random.default_rng(0)
    draws = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples)]
    return np.array([average_precision(categories, draw.astype(np.float64)) for draw in draws])


def _precision(category: Category, weights: Float64Array) -> Float64Array:
    """(10, 101): by IoU threshold and recall, the best precision at that recall or more."""
    weight = weights[category.picture]
    right = np.cumsum(weight * (category.matched & category.counted), axis=1)
    wrong = np.cumsum(weight * (~category.matched & category.counted), axis=1)
    recall = right / (category.objects * weights).sum()
    precision = right / np.maximum(right + wrong, np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    result = np.zeros((len(recall), len(_RECALLS)))
    for at, best, row in zip(recall, envelope, result, strict=True):
        # Sums of weights are whole numbers, so recall ends at the same float as pycocotools'.
        places = np.searchsorted(at, _RECALLS, side="left")
        reached = places < len(at)
        row[reached] = best[places[reached]]
    return result


def _category(pictures: Sequence[dict[str, Any] | None]) -> Category:
    """Join what pycocotools matched in every picture; None where there is neither an object nor a detection."""
    given = [(index, one) for index, one in enumerate(pictures) if one is not None]
    objects = np.zeros(len(pictures), np.intp)
    for index, one in given:
        objects[index] = np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)
    score = np.concatenate([np.empty(0), *(np.asarray(one["dtScores"], float) for _, one in given)])
    picture = np.concatenate([np.empty(0, np.intp), *(np.full(len(one["dtScores"]), i, np.intp) for i, one in given)])
    matched = np.concatenate([np.empty((10, 0)), *(one["dtMatches"] for _, one in given)], axis=1) != 0
    ignored = np.concatenate([np.empty((10, 0)), *(one["dtIgnore"] for _, one in given)], axis=1) != 0
    order = np.argsort(-score, kind="mergesort")
    return Category(picture[order], matched[:, order], ~ignored[:, order], objects)


def _entries(picture: int, detections: Detections) -> list[Entry]:
    return [
        {
            "image_id": picture,
            "category_id": one.class_id,
            "bbox": [one.xyxy[0], one.xyxy[1], one.xyxy[2] - one.xyxy[0], one.xyxy[3] - one.xyxy[1]],
            "area": (one.xyxy[2] - one.xyxy[0]) * (one.xyxy[3] - one.xyxy[1]),
            "score": one.confidence,
            "iscrowd": 0,
        }
        for one in detections
    ]


def _coco(pictures: int, categories: Sequence[int], entries: Sequence[Entry]) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": picture} for picture in range(pictures)],
            "categories": [{"id": category} for category in categories],
            # Ids from 1: pycocotools takes a match with annotation 0 for no match.
            "annotations": [{**entry, "id": id_} for id_, entry in enumerate(entries, 1)],
        }
        coco.createIndex()
    return coco
