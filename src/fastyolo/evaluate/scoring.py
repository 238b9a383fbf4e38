"""COCO's average precision, by pycocotools: one category at a time, so that memory stays small and progress shows."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastyolo.errors import FastYoloError
from fastyolo.evaluate.found import Float64Array, Found
from fastyolo.evaluate.matches import Counts, Matches, sum_of
from fastyolo.evaluate.truth import GroundTruth, LabelledObject

Progress = Callable[[str, int, int], None]
"""Called as progress(step, done, total)."""

DEFAULT_THRESHOLD = 0.25
"""The score from which on precision and recall count: that of everyday detection, and of Darknet's ``map``."""

# Positions in pycocotools' lists of IoU thresholds (0.50, 0.55 ... 0.95) and of areas.
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
# How many detections of a picture and category COCO's average recall is of.
_FEW = (1, 10, 100)


@dataclass(frozen=True)
class CategoryScore:
    """One category. `ap` (IoU 0.50 to 0.95) and `ap50` in percent, None without objects.

    Attributes:
        objects: how many are annotated, crowd regions not counted.
        precision_at_50: at IoU 0.50, the precision (0 to 1) at recall 0.00, 0.01 ... 1.00; empty without objects.
        ap50_area: like `ap50`, but the whole area under precision and recall in place of 101 points of it, as Darknet's
            ``map`` has it.
        counts: at IoU 0.50 and the threshold.
    """

    id: int
    name: str
    objects: int
    ap: float | None
    ap50: float | None
    precision_at_50: tuple[float, ...]
    ap50_area: float | None
    counts: Counts


@dataclass(frozen=True)
class Scores:
    """COCO's averages in percent over all categories with objects of that size, None where there are none.

    Attributes:
        ap, ap50, ap75: average precision at IoU 0.50 to 0.95, 0.50 and 0.75.
        ap_small, ap_medium, ap_large: of objects of less than 32 x 32, up to 96 x 96, and more pixels.
        ar1, ar10, ar100: average recall of the best 1, 10 and 100 detections of a picture and category.
        ar_small, ar_medium, ar_large: of the best 100, for objects of that size.
        ap50_area: mean of the categories' `CategoryScore.ap50_area`.
        threshold, counts: of all categories, at IoU 0.50 and detections of at least this score.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    ap50_area: float | None
    threshold: float
    counts: Counts
    categories: tuple[CategoryScore, ...]

    @property
    def objects(self) -> int:
        """How many objects there were to find, crowd regions not counted."""
        return sum(category.objects for category in self.categories)


def score(
    truth: GroundTruth,
    found: Found,
    *,
    max_detections: int,
    threshold: float = DEFAULT_THRESHOLD,
    progress: Progress | None = None,
) -> Scores:
    """Score what was found in the pictures of `truth`.

    The rules are pycocotools': ten IoU thresholds, 101 recall points, crowd regions neither right nor wrong; but in
    average precision the best `max_detections` of a picture and category count, where `COCOeval.summarize` insists on
    100. Precision and recall are of detections with a score of at least `threshold`.

    Raises:
        FastYoloError: pycocotools is not installed.
    """
    return score_and_match(truth, found, max_detections=max_detections, threshold=threshold, progress=progress)[0]


def score_and_match(
    truth: GroundTruth, found: Found, *, max_detections: int, threshold: float, progress: Progress | None = None
) -> tuple[Scores, Matches]:
    """The same, and which detection found which object of `truth`."""
    require_pycocotools()
    matches = Matches.of_none(len(found), [entry.crowd for entry in truth.objects])
    object_rows: dict[int, list[int]] = {}
    for row, entry in enumerate(truth.objects):
        object_rows.setdefault(entry.category_id, []).append(row)
    categories, curves = [], []
    for done, (id_, name) in enumerate(truth.categories.items(), 1):
        rows = np.flatnonzero(found.category_id == id_)
        curve = None
        if labelled := object_rows.get(id_, []):
            curve, images = _evaluated(
                truth, [truth.objects[row] for row in labelled], found.part(rows), max_detections
            )
            matches.fill(images, rows, labelled, max_detections)
            curves.append(curve)
        part = Matches(matches.found[rows], matches.objects[labelled])
        categories.append(_category_score(id_, name, curve, part, found.score[rows], threshold))
        if progress is not None:
            progress("scoring", done, len(truth.categories))
    return _scores(categories, curves, threshold), matches


def require_pycocotools() -> tuple[Any, Any]:
    """pycocotools' COCO and COCOeval.

    Raises:
        FastYoloError: it is not installed, or was built for another NumPy.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise FastYoloError("evaluation needs pycocotools: pip install pycocotools") from None
    except ValueError as error:
        raise FastYoloError(
            f"pycocotools does not work with NumPy {np.__version__} ({error}): "
            "pip install --force-reinstall --no-cache-dir pycocotools"
        ) from None
    return COCO, COCOeval


class _Curve(NamedTuple):
    """pycocotools' numbers of one category, -1 where there is no object.

    Attributes:
        precision: (IoU thresholds, recall points, areas), of the detections that count.
        recall: (IoU thresholds, areas, 3), of the best 1, 10 and 100.
    """

    precision: Float64Array
    recall: Float64Array


def _evaluated(
    truth: GroundTruth, objects: Sequence[LabelledObject], found: Found, max_detections: int
) -> tuple[_Curve, Sequence[dict[str, Any] | None]]:
    """The numbers of one category, and pycocotools' pairs in each picture for objects of all areas."""
    _, COCOeval = require_pycocotools()
    labelled = [
        {
            "image_id": entry.image_id,
            "category_id": entry.category_id,
            "bbox": list(entry.bbox),
            "area": entry.area,
            "iscrowd": int(entry.crowd),
        }
        for entry in objects
    ]
    detected = [{**entry, "area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": 0} for entry in found.entries()]
    counted = sorted({*_FEW, max_detections})
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, labelled), _coco(truth, detected), "bbox")
        evaluation.params.catIds = [objects[0].category_id]
        evaluation.params.maxDets = counted
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][:, :, 0], evaluation.eval["recall"][:, 0]
    curve = _Curve(precision[..., counted.index(max_detections)], recall[..., [counted.index(few) for few in _FEW]])
    return curve, evaluation.evalImgs[: len(truth.pictures)]


def _coco(truth: GroundTruth, entries: Sequence[dict[str, Any]]) -> Any:
    COCO, _ = require_pycocotools()
    coco = COCO()
    # Ids of our own: pycocotools takes a match with annotation 0 for no match.
    annotations = [{**entry, "id": id_} for id_, entry in enumerate(entries, 1)]
    coco.dataset = {
        "images": [{"id": picture.id} for picture in truth.pictures],
        "categories": [{"id": id_} for id_ in truth.categories],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _category_score(
    id_: int, name: str, curve: _Curve | None, matches: Matches, score: Float64Array, threshold: float
) -> CategoryScore:
    objects = int((~np.isnan(matches.objects)).sum())
    counts = matches.counts(score, threshold)
    if curve is None or not objects:
        return CategoryScore(id_, name, objects, None, None, (), None, counts)
    at_50 = curve.precision[_IOU_50, :, _ALL]
    ap, ap50 = _average(curve.precision[..., _ALL]), _average(at_50)
    return CategoryScore(id_, name, objects, ap, ap50, tuple(at_50.tolist()), matches.area(score), counts)


def _scores(categories: Sequence[CategoryScore], curves: Sequence[_Curve], threshold: float) -> Scores:
    none = _Curve(np.full((10, 101, 4), -1.0), np.full((10, 4, 3), -1.0))
    # (categories, IoU thresholds, recall points, areas) and (categories, IoU thresholds, areas, detections).
    precision = np.stack([curve.precision for curve in curves or [none]])
    recall = np.stack([curve.recall for curve in curves or [none]])
    ap_of_size = [_average(precision[..., area]) for area in (_SMALL, _MEDIUM, _LARGE)]
    ar_of_size = [_average(recall[:, :, area, -1]) for area in (_SMALL, _MEDIUM, _LARGE)]
    ar_of_few = [_average(recall[:, :, _ALL, few]) for few in range(len(_FEW))]
    areas = [category.ap50_area for category in categories if category.ap50_area is not None]
    return Scores(
        ap=_average(precision[..., _ALL]),
        ap50=_average(precision[:, _IOU_50, :, _ALL]),
        ap75=_average(precision[:, _IOU_75, :, _ALL]),
        ap_small=ap_of_size[0],
        ap_medium=ap_of_size[1],
        ap_large=ap_of_size[2],
        ar1=ar_of_few[0],
        ar10=ar_of_few[1],
        ar100=ar_of_few[2],
        ar_small=ar_of_size[0],
        ar_medium=ar_of_size[1],
        ar_large=ar_of_size[2],
        ap50_area=sum(areas) / len(areas) if areas else None,
        threshold=threshold,
        counts=sum_of([category.counts for category in categories]),
        categories=tuple(categories),
    )


def _average(values: npt.NDArray[np.float64]) -> float | None:
    """In percent, None if there is nothing to average."""
    valid = values[values > -1]
    return 100 * float(valid.mean()) if valid.size else None
