"""How one contender's detections differ from ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contenders.task import Found

SAME_OBJECT_IOU = 0.5


@dataclass
class Differences:
    """Sums over frames: detections of ours, those of theirs without a partner and ours without one; largest differences
    of a corner (image pixels) and of a score among the pairs."""

    ours: int = 0
    theirs: int = 0
    missing: int = 0
    extra: int = 0
    pixels: float = 0.0
    score: float = 0.0

    def add(self, ours: Found, theirs: Found) -> None:
        """Pair every detection of ours, best first, with theirs of its class that overlaps it most."""
        free = np.ones(len(theirs.scores), bool)
        self.ours += len(ours.scores)
        self.theirs += len(theirs.scores)
        for box, score, class_id in zip(*ours, strict=True):
            rivals = np.flatnonzero(free & (theirs.class_ids == class_id))
            overlaps = _iou(box, theirs.xyxy[rivals])
            if not len(rivals) or overlaps.max() < SAME_OBJECT_IOU:
                self.missing += 1
                continue
            partner = rivals[overlaps.argmax()]
            free[partner] = False
            self.pixels = max(self.pixels, float(np.abs(box - theirs.xyxy[partner]).max()))
            self.score = max(self.score, float(abs(score - theirs.scores[partner])))
        self.extra += int(free.sum())

    def __str__(self) -> str:
        return (
            f"{self.theirs} detections for our {self.ours}: {self.missing} of ours missing, {self.extra} extra, "
            f"corners within {self.pixels:.3g} px, scores within {self.score:.3g}"
        )


def _iou(box: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    lower = np.maximum(box[:2], others[:, :2])
    upper = np.minimum(box[2:], others[:, 2:])
    intersection = np.clip(upper - lower, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + areas - intersection
    return np.where(union > 0, intersection / np.where(union > 0, union, 1), 0)
