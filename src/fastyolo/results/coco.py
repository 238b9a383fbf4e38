"""COCO results entries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastyolo.errors import OptionError
from fastyolo.names import COCO_CATEGORY_IDS, is_coco
from fastyolo.results.json import ArrayWriter
from fastyolo.results.numbers import rounded
from fastyolo.results.writer import Output, Result

if TYPE_CHECKING:
    from fastyolo.detections import Detections

# COCO files are evaluated: ranking follows the score, so it keeps all that a float32 holds near 1.
_BOX_DECIMALS = 3
_SCORE_DECIMALS = 6


def to_coco(detections: Detections, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """See `Detections.to_coco`.

    Raises:
        OptionError: `category_ids` has no entry for a class.
    """
    if category_ids is None and is_coco(detections.names):
        category_ids = COCO_CATEGORY_IDS
    entries = []
    for detection in detections:
        if category_ids is None:
            category = detection.class_id + 1
        elif 0 <= detection.class_id < len(category_ids):
            category = int(category_ids[detection.class_id])
        else:
            raise OptionError(
                f"category_ids must hold an id for class {detection.class_id}, got {len(category_ids)} ids"
            )
        x1, y1, x2, y2 = detection.xyxy
        entries.append(
            {
                "image_id": int(image_id),
                "category_id": category,
                "bbox": [rounded(value, _BOX_DECIMALS) for value in (x1, y1, x2 - x1, y2 - y1)],
                "score": rounded(detection.confidence, _SCORE_DECIMALS),
            }
        )
    return entries


class CocoWriter(ArrayWriter):
    """A COCO results file, as pycocotools' ``loadRes`` takes it: one array, an entry and line for each box.

    `image_id` is the number that the file is called by, as COCO's pictures are (000000000139.jpg), else which picture
    it is, from 1. Each entry also has its `file_name`. Pictures that failed have no entry.
    """

    pictures_only = True

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._pictures = 0

    def write(self, result: Result) -> None:
        self._pictures += 1
        if result.detections is None:
            return
        stem = os.path.splitext(os.path.basename(result.source))[0]
        image_id = int(stem) if stem.isascii() and stem.isdigit() else self._pictures
        for entry in to_coco(result.detections, image_id):
            self.append({**entry, "file_name": os.path.basename(result.source)})
