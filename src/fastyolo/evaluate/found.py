"""What was found in many pictures, as COCO counts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.detections import Detections

# Far finer than a detector resolves; written files stay readable and hold exactly what was scored.
_BOX_DECIMALS = 4
_SCORE_DECIMALS = 8

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
    def empty(cls) -> Found:
        """Nothing at all."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))

    @classmethod
    def collect(cls, found: Mapping[int, Detections], category_ids: Sequence[int | None]) -> Found:
        """Join the detections of each image id; those of a class without a category are left out."""
        parts = [cls.empty()]
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

    def part(self, rows: npt.NDArray[Any]) -> Found:
        """Some of the rows, by number or mask."""
        return Found(*(column[rows] for column in self._columns()))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Entries of a COCO results file."""
        for image_id, category_id, bbox, score in zip(*(column.tolist() for column in self._columns()), strict=True):
            yield {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}

    def __len__(self) -> int:
        return len(self.score)
