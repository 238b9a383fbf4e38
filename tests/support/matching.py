"""Pair the objects that two programs found in one picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastyolo import DecodeResult


class Agreement(NamedTuple):
    """Two objects of different programs are the same when class, place and score agree this well."""

    min_iou: float
    max_score_difference: float


def iou_table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) overlaps of corner boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    area_first, area_second = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second))
    union = area_first[:, None] + area_second[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def unmatched(wanted: DecodeResult, found: DecodeResult, agreement: Agreement) -> list[int]:
    """The rows of `wanted` without an own partner in `found`; the best overlaps pair up first."""
    overlaps = iou_table(wanted.xyxy.astype(np.float64), found.xyxy.astype(np.float64))
    differences = np.abs(wanted.confidence[:, None] - found.confidence[None])
    overlaps[wanted.class_id[:, None] != found.class_id[None]] = 0
    overlaps[differences > agreement.max_score_difference] = 0
    free = set(range(len(wanted.confidence)))
    taken: set[int] = set()
    for pair in np.argsort(-overlaps, axis=None, kind="stable"):
        row, column = divmod(int(pair), overlaps.shape[1])
        if overlaps[row, column] < agreement.min_iou:
            break
        if row in free and column not in taken:
            free.remove(row)
            taken.add(column)
    return sorted(free)


def at_least(found: DecodeResult, score: float) -> DecodeResult:
    mask = found.confidence >= score
    return DecodeResult(*(column[mask] for column in found))
