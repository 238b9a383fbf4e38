"""What was found right, at IoU 0.50: counts at a score threshold, and the area under precision and recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.evaluate.found import Float64Array

RIGHT, WRONG, NEITHER = 1, 0, -1
_NOT_FOUND = -np.inf


@dataclass(frozen=True)
class Counts:
    """How many detections of at least a score are right, how many wrong, and how many objects they miss."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def precision(self) -> float | None:
        """In percent, None where nothing was found."""
        return _percent(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """In percent, None where there was no object to find."""
        return _percent(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both in percent, None where neither is there."""
        return _percent(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


def sum_of(counts: Sequence[Counts]) -> Counts:
    """Those of all together."""
    return Counts(
        sum(one.true_positives for one in counts),
        sum(one.false_positives for one in counts),
        sum(one.false_negatives for one in counts),
    )


@dataclass(frozen=True, eq=False)
class Matches:
    """Which detection found which object, as pycocotools pairs them at IoU 0.50: the best-scored first.

    Attributes:
        found: int8 (N,), of each detection: RIGHT, WRONG, or NEITHER: in a crowd region, or beyond those of a picture
            and category that count.
        objects: float64 (M,), of each object the score of the detection that found it, -inf where none did, NaN of a
            crowd region.
    """

    found: npt.NDArray[np.int8]
    objects: Float64Array

    @classmethod
    def of_none(cls, found: int, crowd: Sequence[bool]) -> Matches:
        """Every detection wrong, no object found."""
        return cls(np.zeros(found, np.int8), np.where(np.asarray(crowd, bool), np.nan, _NOT_FOUND))

    def counts(self, score: Float64Array, threshold: float) -> Counts:
        """The counts of detections with these scores (N,)."""
        counted = self.found[score >= threshold]
        missed = self.objects < threshold  # not the NaN
        return Counts(int((counted == RIGHT).sum()), int((counted == WRONG).sum()), int(missed.sum()))

    def area(self, score: Float64Array) -> float | None:
        """The area under the curve of precision over recall in percent, None without objects.

        At each recall the highest precision at that or a higher one: average precision as PASCAL VOC has it since 2010.
        """
        objects = int((~np.isnan(self.objects)).sum())
        if not objects:
            return None
        order = np.argsort(-score, kind="stable")
        counted = self.found[order]
        right = (counted[counted != NEITHER] == RIGHT).astype(np.float64)
        precision = np.cumsum(right) / np.arange(1, len(right) + 1)
        highest = np.maximum.accumulate(precision[::-1])[::-1]
        return 100 * float((highest * right).sum()) / objects

    def fill(
        self,
        images: Sequence[Mapping[str, Any] | None],
        rows: npt.NDArray[np.intp],
        object_rows: Sequence[int],
        most: int,
    ) -> None:
        """Take over what pycocotools says of one category, at its first IoU threshold and for objects of all areas.

        Args:
            images: its ``evalImgs``, whose ids count detections and objects of the category from 1.
            rows, object_rows: which rows of `found` and `objects` these are.
            most: how many detections of a picture count.
        """
        self.found[rows] = NEITHER
        for image in images:
            if image is None:
                continue
            scores = dict(zip(image["dtIds"], image["dtScores"], strict=True))
            ignored = image["dtIgnore"][0]
            for id_, match, ignore in list(zip(image["dtIds"], image["dtMatches"][0], ignored, strict=True))[:most]:
                self.found[rows[id_ - 1]] = NEITHER if ignore else RIGHT if match else WRONG
            kept = set(image["dtIds"][:most])
            for id_, match, ignore in zip(image["gtIds"], image["gtMatches"][0], image["gtIgnore"], strict=True):
                if not ignore and match in kept:
                    self.objects[object_rows[id_ - 1]] = scores[match]


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
