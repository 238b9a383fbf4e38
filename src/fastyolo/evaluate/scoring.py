"""COCO's average precision, by pycocotools: one category at a time, so that memory stays small and progress shows."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.detections import Detections
from fastyolo.errors import FastYoloError
from fastyolo.evaluate.ground_truth import GroundTruth, LabelledObject

Progress = Callable[[str, int, int], None]
"""Called as progress(step, done, total)."""

# Far finer than a detector resolves; written files stay readable and hold exactly what was scored.
_BOX_DECIMALS = 4
_SCORE_DECIMALS = 8

# Positions in pycocotools' lists of IoU thresholds (0.50, 0.55 ... 0.95) and of areas.
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in many pictures, as COCO counts it.

    Attributes:
        image_id, category_id: int64 (N,).
        bbox: float64 (N, 4), (x, y, width, height) in image pixels.
        score: float64 (N,).
    """

    image_id: npt.NDArray[np.int64]
    category_id: npt.NDArray[np.int64]
    bbox: Float64Array
    score: Float64Array

    @classmethod
    def collect(cls, found: Mapping[int, Detections], category_ids: Sequence[int | None]) -> Found:
        """Join the detections of each image id; those of a class without a category are left out."""
        parts = [cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))]
        parts += [cls._of_one(image_id, detections, category_ids) for image_id, detections in sorted(found.items())]
        columns = zip(*(part._columns() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @classmethod
    def _of_one(cls, image_id: int, detections: Detections, category_ids: Sequence[int | None]) -> Found:
        known = np.array([id_ is not None for id_ in category_ids])[detections.class_id]
        ids = np.array([id_ or 0 for id_ in category_ids], np.int64)[detections.class_id[known]]
        boxes = detections.xyxy[known].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        scores = detections.confidence[known].astype(np.float64)
        return cls(
            np.full(len(ids), image_id, np.int64), ids, boxes.round(_BOX_DECIMALS), scores.round(_SCORE_DECIMALS)
        )

    def _columns(self) -> tuple[npt.NDArray[Any], ...]:
        return self.image_id, self.category_id, self.bbox, self.score

    def of(self, category_id: int) -> Found:
        """The part that belongs to one category."""
        rows = self.category_id == category_id
        return Found(*(column[rows] for column in self._columns()))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Entries of a COCO results file."""
        for image_id, category_id, bbox, score in zip(*(column.tolist() for column in self._columns()), strict=True):
            yield {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class CategoryScore:
    """One category. `ap` (IoU 0.50 to 0.95) and `ap50` in percent, None without objects.

    Attributes:
        objects: how many are annotated, crowd regions not counted.
        precision_at_50: at IoU 0.50, the precision (0 to 1) at recall 0.00, 0.01 ... 1.00; empty without objects.
    """

    id: int
    name: str
    objects: int
    ap: float | None
    ap50: float | None
    precision_at_50: tuple[float, ...]


@dataclass(frozen=True)
class Scores:
    """COCO's averages in percent over all categories with objects of that size, None where there are none."""

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    categories: tuple[CategoryScore, ...]

    @property
    def objects(self) -> int:
        """How many objects there were to find, crowd regions not counted."""
        return sum(category.objects for category in self.categories)


def score(truth: GroundTruth, found: Found, *, max_detections: int, progress: Progress | None = None) -> Scores:
    """Score what was found in the pictures of `truth`.

    The rules are pycocotools': ten IoU thresholds, 101 recall points, crowd regions neither right nor wrong; but the
    best `max_detections` of a picture and category count, where `COCOeval.summarize` insists on 100.

    Raises:
        FastYoloError: pycocotools is not installed.
    """
    require_pycocotools()
    objects = _by_category(truth.objects)
    precisions: dict[int, Float64Array] = {}
    for done, id_ in enumerate(truth.categories, 1):
        if any(not entry.crowd for entry in objects.get(id_, ())):
            precisions[id_] = _precision(truth, objects[id_], found.of(id_), max_detections)
        if progress is not None:
            progress("scoring", done, len(truth.categories))
    categories = tuple(
        _category_score(id_, name, objects.get(id_, ()), precisions.get(id_)) for id_, name in truth.categories.items()
    )
    # (categories, IoU thresholds, recall points, areas); -1 where a category has no objects of that area.
    stacked = np.stack(list(precisions.values())) if precisions else np.full((1, 10, 101, 4), -1.0)
    return Scores(
        _average(stacked[..., _ALL]),
        _average(stacked[:, _IOU_50, :, _ALL]),
        _average(stacked[:, _IOU_75, :, _ALL]),
        _average(stacked[..., _SMALL]),
        _average(stacked[..., _MEDIUM]),
        _average(stacked[..., _LARGE]),
        categories,
    )


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


def _by_category(objects: Iterable[LabelledObject]) -> dict[int, list[LabelledObject]]:
    result: dict[int, list[LabelledObject]] = {}
    for entry in objects:
        result.setdefault(entry.category_id, []).append(entry)
    return result


def _precision(
    truth: GroundTruth, objects: Sequence[LabelledObject], found: Found, max_detections: int
) -> Float64Array:
    """pycocotools' precision of one category: (IoU thresholds, recall points, areas), -1 where there is no object."""
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
    # pycocotools prints what it does.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_coco(truth, labelled), _coco(truth, detected), "bbox")
        evaluation.params.catIds = [objects[0].category_id]
        evaluation.params.maxDets = [max_detections]
        evaluation.evaluate()
        evaluation.accumulate()
    precision: Float64Array = evaluation.eval["precision"][:, :, 0, :, 0]
    return precision


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
    id_: int, name: str, objects: Sequence[LabelledObject], precision: Float64Array | None
) -> CategoryScore:
    count = Counter(entry.crowd for entry in objects)[False]
    if precision is None:
        return CategoryScore(id_, name, count, None, None, ())
    at_50 = precision[_IOU_50, :, _ALL]
    return CategoryScore(id_, name, count, _average(precision[..., _ALL]), _average(at_50), tuple(at_50.tolist()))


def _average(precision: Float64Array) -> float | None:
    """In percent, None if there is nothing to average."""
    valid = precision[precision > -1]
    return 100 * float(valid.mean()) if valid.size else None
