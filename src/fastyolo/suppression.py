"""Boxes that somebody else decoded -> those that stay: `nms`."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastyolo.errors import OptionError
from fastyolo.kernels import postprocess as kernel
from fastyolo.postprocess import DEFAULT_IOU_THRESHOLD, _fraction, _whole_number
from fastyolo.texts import brief

# Class ids up to here index memory as they are; others are numbered first.
_SMALL_ID = 1 << 16
_MOST_BOXES = 2**31 - 1


def nms(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.integer[Any]] | None = None,
    *,
    iou_threshold: float = DEFAULT_IOU_THRESHOLD,
    score_threshold: float | None = None,
    max_detections: int | None = None,
    max_per_class: int | None = None,
    nms: Literal["iou", "diou"] = "iou",
    class_agnostic: bool = False,
) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression of plain boxes.

    The best box stays; of its class, boxes that overlap it by more than the threshold go; and so on. A box whose
    overlap equals the threshold stays, as in ONNX's NonMaxSuppression and in TensorFlow, and the overlap is the same
    float32 quotient.

    Args:
        boxes: float32 (N, 4), two opposite corners (x1, y1, x2, y2) in any unit. Boxes without area overlap nothing.
        scores: float32 (N,), in any range.
        class_ids: whole numbers (N,); None says that all boxes are of one class.
        iou_threshold: 0 to 1.
        score_threshold: leave out scores below this; None leaves out none.
        max_detections: keep at most this many, the best ones; None keeps all.
        max_per_class: keep at most this many of each class; None keeps all.
        nms: "iou", or "diou" for IoU - (d2 / c2) ** 0.6, as `Decoder` has it.
        class_agnostic: let boxes of different classes suppress each other.

    Returns:
        Indices of the boxes that stay, best first; of equal scores the lower index first. A row with NaN in its box or
        score never stays; infinite coordinates count as 1e18.

    Raises:
        OptionError: arrays of other types or shapes, or an option outside its domain.

    Safe to call from many threads at once; the GIL is released while boxes are compared.
    """
    boxes = _array("boxes", boxes, "float32 (N, 4)", 2)
    if boxes.shape[1] != 4:
        raise OptionError(f"boxes must have shape (N, 4), got {boxes.shape}")
    count = len(boxes)
    if count > _MOST_BOXES:
        raise OptionError(f"boxes must be at most {_MOST_BOXES}, got {count}")
    scores = _array("scores", scores, "float32 (N,)", 1)
    if len(scores) != count:
        raise OptionError(f"scores must hold one number per box, expected {count}, got {len(scores)}")
    groups, num_groups = _groups(class_ids, count)
    if nms not in ("iou", "diou"):
        raise OptionError(f"nms must be 'iou' or 'diou', got {brief(nms)}")
    iou_threshold = _fraction("iou_threshold", iou_threshold)
    floor = _floor(score_threshold)
    most = count if max_detections is None else _whole_number("max_detections", max_detections)
    most_of_class = count if max_per_class is None else _whole_number("max_per_class", max_per_class)
    if count == 0:
        return np.empty(0, np.intp)
    kept = np.empty(min(most, count), np.intp)
    found = kernel.suppress(
        boxes,
        scores,
        groups,
        iou_threshold,
        floor,
        nms == "diou",
        class_agnostic,
        min(most_of_class, count),
        np.empty(count, np.uint64),
        np.empty(num_groups, np.int32),
        np.empty(num_groups, np.intp),
        kept,
    )
    kept.resize(found, refcheck=False)
    return kept


def _array(name: str, array: object, expected: str, rank: int) -> npt.NDArray[np.float32]:
    if not isinstance(array, np.ndarray):
        raise OptionError(f"{name} must be a NumPy array {expected}, got {type(array).__name__}")
    if array.dtype.str != np.dtype(np.float32).str:
        raise OptionError(f"{name} must be {expected}, got {array.dtype}; pass {name}.astype(np.float32)")
    if array.ndim != rank:
        raise OptionError(f"{name} must be {expected}, got shape {array.shape}")
    return np.ascontiguousarray(array)


def _groups(class_ids: object, count: int) -> tuple[npt.NDArray[np.int32], int]:
    """Class ids as small numbers that index memory, and how many there may be."""
    if class_ids is None:
        return np.zeros(count, np.int32), 1
    ids = class_ids if isinstance(class_ids, np.ndarray) else np.asarray(class_ids)
    if ids.shape != (count,):
        raise OptionError(f"class_ids must hold one number per box, expected ({count},), got {ids.shape}")
    if count == 0:
        return np.zeros(0, np.int32), 1
    if ids.dtype.kind not in "iu":
        raise OptionError(f"class_ids must be whole numbers (N,), got {ids.dtype}; pass class_ids.astype(np.int32)")
    highest = int(ids.max())
    if int(ids.min()) >= 0 and highest < _SMALL_ID:
        return np.ascontiguousarray(ids, np.int32), highest + 1
    names, numbered = np.unique(ids, return_inverse=True)
    return np.ascontiguousarray(numbered.reshape(-1), np.int32), len(names)


def _floor(score_threshold: float | None) -> float:
    if score_threshold is None:
        return -math.inf
    try:
        number = float(score_threshold)
    except (TypeError, ValueError):
        raise OptionError(f"score_threshold must be a number, got {brief(score_threshold)}") from None
    if math.isnan(number):
        raise OptionError(f"score_threshold must be a number, got {brief(score_threshold)}")
    return number
