"""The plain NumPy oracle: box decoding and NMS as Darknet defines them, slow and meant to be read.

It shares no code with the kernel, not even the letterbox geometry, and takes the same options as
`fastyolo.decode_nms` except that `spec` must be given. Everything is float32, like the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fastyolo.spec import HeadSpec, ModelSpec

F32 = np.float32
EXP_LIMIT = F32(32)


class Candidates(NamedTuple):
    """(box, class) pairs that reach the score threshold, best first."""

    xyxy: np.ndarray  # float32 (N, 4), image pixels, unclipped
    confidence: np.ndarray  # float32 (N,)
    class_id: np.ndarray  # int32 (N,)
    index: np.ndarray  # int64 (N,), canonical: box * classes + class


def decode_reference(
    heads: Sequence[np.ndarray],
    *,
    spec: ModelSpec,
    quantization: Sequence[tuple[float, int]] | None = None,
    score_threshold: float = 0.25,
    iou_threshold: float = 0.45,
    max_detections: int = 300,
    nms: str = "iou",
    class_agnostic: bool = False,
    multi_label: bool = False,
    classes: Sequence[int] | None = None,
    image_size: tuple[int, int] | None = None,
    resize: str | None = None,
    clip: bool = False,
) -> Candidates:
    """The detections that `fastyolo.decode_nms` must return, with their canonical indices."""
    candidates = find_candidates(
        heads,
        spec=spec,
        quantization=quantization,
        score_threshold=score_threshold,
        multi_label=multi_label,
        classes=classes,
        image_size=image_size,
        resize=resize,
    )
    kept = suppress(candidates, iou_threshold, max_detections, nms, class_agnostic)
    return chosen(candidates, kept, (image_size or spec.input_size) if clip else None)


def chosen(candidates: Candidates, kept: list[int], clip_to: tuple[int, int] | None) -> Candidates:
    """Those that are kept, clipped to an image of this (height, width) if there is one."""
    result = Candidates(*(column[kept] for column in candidates))
    return result._replace(xyxy=clip_boxes(result.xyxy, clip_to)) if clip_to else result


def find_candidates(
    heads: Sequence[np.ndarray],
    *,
    spec: ModelSpec,
    quantization: Sequence[tuple[float, int]] | None = None,
    score_threshold: float = 0.25,
    multi_label: bool = False,
    classes: Sequence[int] | None = None,
    image_size: tuple[int, int] | None = None,
    resize: str | None = None,
) -> Candidates:
    """Decode every box, then keep the (box, class) pairs that reach the threshold, best first."""
    ordered = real_heads(heads, spec, quantization)
    cells = list(zip(ordered, spec.heads, strict=True))
    boxes = np.concatenate([decode_boxes(head, head_spec) for head, head_spec in cells])
    boxes = network_to_image(boxes, image_size, spec.input_size, resize or spec.resize)
    scores = np.concatenate([decode_scores(head, head_spec) for head, head_spec in cells])
    logits = np.concatenate([head[..., 5:].reshape(-1, spec.num_classes) for head in ordered])

    # A comparison with NaN is false, so NaN never survives.
    alive = (scores >= F32(score_threshold)) & ~np.isnan(boxes).any(axis=1)[:, None]
    if not multi_label:
        alive &= is_best_class(logits)
    if classes is not None:
        alive &= np.isin(np.arange(spec.num_classes), list(classes))
    index = np.flatnonzero(alive)
    # A stable sort of ascending indices: equal scores stay in canonical order.
    index = index[np.argsort(-scores.reshape(-1)[index], kind="stable")]
    box, class_id = np.divmod(index, spec.num_classes)
    return Candidates(boxes[box], scores.reshape(-1)[index], class_id.astype(np.int32), index)


def real_heads(
    heads: Sequence[np.ndarray], spec: ModelSpec, quantization: Sequence[tuple[float, int]] | None
) -> list[np.ndarray]:
    """The heads in spec order as float32 (rows, columns, anchors, 5 + classes)."""
    waiting = list(range(len(heads)))
    result = []
    for shape, head_spec in zip(spec.head_shapes, spec.heads, strict=True):
        chosen = next(i for i in waiting if heads[i].shape[-3:] == shape)
        waiting.remove(chosen)
        head = heads[chosen]
        if head.dtype != np.float32:
            assert quantization is not None
            scale, zero_point = quantization[chosen]
            head = (scale * (head.astype(np.float64) - zero_point)).astype(F32)
        result.append(head.reshape(shape[0], shape[1], len(head_spec.anchors), 5 + spec.num_classes))
    return result


def sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # exp(-x) of a very negative x is inf, which rightly gives 0
        return F32(1) / (F32(1) + np.exp(-x))


def decode_boxes(head: np.ndarray, head_spec: HeadSpec) -> np.ndarray:
    """(boxes, 4) corners in network pixels, in canonical order: cell row-major, then anchor."""
    rows, columns = head.shape[:2]
    column = np.arange(columns, dtype=F32)[None, :, None]
    row = np.arange(rows, dtype=F32)[:, None, None]
    anchor_width, anchor_height = np.array(head_spec.anchors, F32).T
    tx, ty, tw, th = (head[..., term] for term in range(4))
    if head_spec.new_coords:
        x, y = tx, ty
        width = (F32(2) * tw) ** 2 * anchor_width
        height = (F32(2) * th) ** 2 * anchor_height
    else:
        x, y = sigmoid(tx), sigmoid(ty)
        width = np.exp(np.minimum(tw, EXP_LIMIT)) * anchor_width
        height = np.exp(np.minimum(th, EXP_LIMIT)) * anchor_height
    scale = F32(head_spec.scale_x_y)
    margin = (scale - F32(1)) / F32(2)
    stride = F32(head_spec.stride)
    cx = (x * scale - margin + column) * stride
    cy = (y * scale - margin + row) * stride
    half_width, half_height = width / F32(2), height / F32(2)
    corners = np.stack([cx - half_width, cy - half_height, cx + half_width, cy + half_height], axis=-1)
    # A NaN in any term makes at least one corner NaN, which is how find_candidates knows it.
    return corners.reshape(-1, 4)


def decode_scores(head: np.ndarray, head_spec: HeadSpec) -> np.ndarray:
    """(boxes, classes) scores in canonical order."""
    objectness, classes = head[..., 4:5], head[..., 5:]
    scores = objectness * classes if head_spec.new_coords else sigmoid(objectness) * sigmoid(classes)
    return scores.reshape(-1, classes.shape[-1])


def is_best_class(logits: np.ndarray) -> np.ndarray:
    """(boxes, classes) mask of each box's highest raw logit; ties go to the lower class, NaN is passed over."""
    best = np.where(np.isnan(logits), -np.inf, logits).max(axis=1, keepdims=True)
    first = (logits == best).argmax(axis=1)
    return np.arange(logits.shape[1]) == first[:, None]


def network_to_image(
    boxes: np.ndarray, image_size: tuple[int, int] | None, input_size: tuple[int, int], resize: str
) -> np.ndarray:
    """Network pixels to image pixels; sizes are (height, width)."""
    if image_size is None:
        return boxes
    resized = input_size
    if resize == "letterbox":
        ratio = min(Fraction(inner, outer) for inner, outer in zip(input_size, image_size, strict=True))
        resized = tuple(max(1, math.floor(side * ratio)) for side in image_size)
    bar_y, bar_x = ((outer - inner) // 2 for outer, inner in zip(input_size, resized, strict=True))
    scale_y, scale_x = (image / inner for image, inner in zip(image_size, resized, strict=True))
    offset = np.array([bar_x, bar_y, bar_x, bar_y], F32)
    return (boxes - offset) * np.array([scale_x, scale_y, scale_x, scale_y], F32)


def clip_boxes(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Corners moved into [0, width] x [0, height]."""
    height, width = size
    return np.clip(boxes, F32(0), np.array([width, height, width, height], F32))


def suppress(
    candidates: Candidates, iou_threshold: float, max_detections: int, nms: str, class_agnostic: bool
) -> list[int]:
    """Greedy NMS over candidates sorted best first; the positions that are kept."""
    group = np.zeros_like(candidates.class_id) if class_agnostic else candidates.class_id
    alive = np.ones(len(group), bool)
    kept: list[int] = []
    for best in range(len(group)):
        if len(kept) == max_detections:
            break
        if not alive[best]:
            continue
        kept.append(best)
        rivals = best + 1 + np.flatnonzero(alive[best + 1 :] & (group[best + 1 :] == group[best]))
        overlaps = overlap(candidates.xyxy[best], candidates.xyxy[rivals], nms)
        alive[rivals[overlaps > F32(iou_threshold)]] = False
    return kept


def overlap(box: np.ndarray, others: np.ndarray, nms: str) -> np.ndarray:
    """What NMS compares with its threshold: IoU, less the centre-distance penalty for "diou"."""
    x1, y1, x2, y2 = others.T
    inter_width = np.maximum(np.minimum(box[2], x2) - np.maximum(box[0], x1), F32(0))
    inter_height = np.maximum(np.minimum(box[3], y2) - np.maximum(box[1], y1), F32(0))
    inter = inter_width * inter_height
    union = (box[2] - box[0]) * (box[3] - box[1]) + (x2 - x1) * (y2 - y1) - inter
    iou = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    if nms == "iou":
        return iou
    assert nms == "diou"
    distance_x = (box[0] + box[2]) / F32(2) - (x1 + x2) / F32(2)
    distance_y = (box[1] + box[3]) / F32(2) - (y1 + y2) / F32(2)
    enclosing_width = np.maximum(box[2], x2) - np.minimum(box[0], x1)
    enclosing_height = np.maximum(box[3], y2) - np.minimum(box[1], y1)
    distance = distance_x**2 + distance_y**2
    diagonal = enclosing_width**2 + enclosing_height**2
    # Two points in one place have no diagonal, and no distance either.
    share = np.divide(distance, diagonal, out=np.zeros_like(distance), where=diagonal > 0)
    return iou - share ** F32(0.6)
