"""The rules by which a reference recipe reads a YOLO network, and ours, each on its own switch, in plain NumPy.

For `ladder.py` only. Decoding calls no kernel, so the last rung, which has all of our rules, checks them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastyolo.detections import Detections
from fastyolo.letterbox import ResizeMode, network_to_image
from fastyolo.spec import HeadSpec, ModelSpec

Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]
Tensor = npt.NDArray[Any]
InputRule = Literal["truncated", "rounded", "ours"]

_F32 = np.float32
_WEIGHT_ONE = 2048


@dataclass(frozen=True)
class Rules:
    """How a picture becomes a tensor, and tensors become boxes. The defaults are the reference recipe's.

    Attributes:
        input: resized as OpenCV does, scaled in float64 and truncated or rounded to int8; or `Preprocessor`.
        gate: objectness of this or less is dropped, whatever `score_threshold` says.
        score_threshold: lowest score that is kept.
        class_scores: score = objectness x class, not objectness alone.
        all_classes: every class of a box counts, not only its best.
        per_class: boxes of different classes do not suppress each other.
        iou_threshold, max_detections: of NMS.
        whole_pixels: corners are cut to whole pixels.
        clip: corners outside the picture are moved to its edge.
        scale_inside: centres are sigmoid(s * x) - (s - 1) / 2, not s * sigmoid(x) - (s - 1) / 2.
    """

    input: InputRule = "truncated"
    gate: float = 0.2
    score_threshold: float = 0.0
    class_scores: bool = False
    all_classes: bool = False
    per_class: bool = False
    iou_threshold: float = 0.5
    max_detections: int = 100
    whole_pixels: bool = True
    clip: bool = False
    scale_inside: bool = True


def reference_tensor(
    image: UInt8Array,
    input_size: tuple[int, int],
    dtype: np.dtype[Any],
    quantization: tuple[float, int],
    rule: InputRule,
) -> Tensor:
    """The (height, width, 3) tensor of an integer network: pixels stretched, divided by 255 in float64, quantised."""
    scale, zero_point = quantization
    real = resize_bytes(image, input_size) / 255.0 / scale + zero_point
    limits = np.iinfo(dtype)
    whole = np.trunc(real) if rule == "truncated" else np.rint(real)
    return np.clip(whole, limits.min, limits.max).astype(dtype)


def resize_bytes(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """Stretch to (height, width) as OpenCV's INTER_LINEAR does for bytes, whose sums drop bits on the way.

    Weights are eleven-bit integers; four bits go before the vertical pass, sixteen in each of its products.
    """
    row, below, row_weights = _taps(image.shape[0], size[0])
    column, right, column_weights = _taps(image.shape[1], size[1])
    wide = image.astype(np.int32)
    wide = wide[:, column] * column_weights[0][:, None] + wide[:, right] * column_weights[1][:, None]
    wide >>= 4
    upper = (wide[row] * row_weights[0][:, None, None]) >> 16
    lower = (wide[below] * row_weights[1][:, None, None]) >> 16
    resized: UInt8Array = np.clip((upper + lower + 2) >> 2, 0, 255).astype(np.uint8)
    return resized


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """For every target pixel the two source pixels between which it lies, and their weights in 1/2048."""
    centre = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(_F32)
    first = np.floor(centre)
    share = np.where((first < 0) | (first >= source - 1), _F32(0), centre - first)
    left = np.clip(first, 0, source - 1).astype(np.intp)
    weights = np.rint(np.stack([1 - share, share]) * _WEIGHT_ONE).astype(np.int32)
    return left, np.minimum(left + 1, source - 1), weights


def dequantise(head: Tensor, quantization: tuple[float, int] | None) -> Float32Array:
    """The real numbers that a head stands for."""
    if quantization is None:
        return head.astype(_F32)
    scale, zero_point = quantization
    return (scale * (head.astype(np.float64) - zero_point)).astype(_F32)


def decode(
    heads: Sequence[Float32Array],
    spec: ModelSpec,
    image_size: tuple[int, int],
    rules: Rules,
    *,
    resize: ResizeMode = "stretch",
) -> Detections:
    """What the rules find in a picture of (height, width) `image_size`.

    Args:
        heads: real numbers, (rows, columns, anchors * (5 + classes)) each, in the order of `spec`.
        resize: how the picture was fitted into the network input.
    """
    parts = [_boxes_and_scores(head, head_spec, rules) for head, head_spec in zip(heads, spec.heads, strict=True)]
    boxes, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    scale_x, scale_y, offset_x, offset_y = network_to_image(image_size, spec.input_size, resize=resize)
    boxes = boxes * np.array([scale_x, scale_y, scale_x, scale_y], _F32)
    boxes += np.array([offset_x, offset_y, offset_x, offset_y], _F32)
    # -inf marks the classes that do not count.
    index = np.flatnonzero(scores >= _F32(rules.score_threshold))
    # A stable sort: equal scores keep the order of boxes, then classes.
    index = index[np.argsort(-scores.reshape(-1)[index], kind="stable")]
    box, class_id = np.divmod(index, spec.num_classes)
    kept = _suppress(boxes[box], class_id if rules.per_class else np.zeros_like(class_id), rules)
    xyxy = boxes[box[kept]]
    height, width = image_size
    if rules.clip:
        xyxy = np.clip(xyxy, _F32(0), np.array([width, height, width, height], _F32))
    if rules.whole_pixels:
        xyxy = np.trunc(xyxy)
    confidence = scores.reshape(-1)[index[kept]]
    return Detections(xyxy, confidence, class_id[kept].astype(np.int32), spec.names, image_size)


def _boxes_and_scores(head: Float32Array, head_spec: HeadSpec, rules: Rules) -> tuple[Float32Array, Float32Array]:
    """Corners (N, 4) in network pixels and scores (N, classes) of the boxes whose objectness passes."""
    rows, columns = head.shape[-3:-1]
    terms = head.reshape(rows * columns * len(head_spec.anchors), -1)
    objectness = _sigmoid(terms[:, 4])
    # No score is above its objectness, so the threshold drops most boxes here.
    passed = np.flatnonzero((objectness > _F32(rules.gate)) & (objectness >= _F32(rules.score_threshold)))
    terms, objectness = terms[passed], objectness[passed, None]
    cell, anchor = np.divmod(passed, len(head_spec.anchors))
    corner = np.stack([cell % columns, cell // columns], axis=1).astype(_F32)
    centre = (_centre(terms[:, :2], _F32(head_spec.scale_x_y), rules) + corner) * _F32(head_spec.stride)
    half = np.exp(np.minimum(terms[:, 2:4], _F32(32))) * np.array(head_spec.anchors, _F32)[anchor] / _F32(2)
    classes = terms[:, 5:]
    scores = objectness * _sigmoid(classes) if rules.class_scores else np.repeat(objectness, classes.shape[1], axis=1)
    if not rules.all_classes:
        scores[np.arange(classes.shape[1]) != classes.argmax(axis=1)[:, None]] = -np.inf
    return np.concatenate([centre - half, centre + half], axis=1), scores


def _centre(x: Float32Array, scale: np.float32, rules: Rules) -> Float32Array:
    """Offset of the centre from the corner of its cell, in cells."""
    margin = (scale - _F32(1)) / _F32(2)
    offset: Float32Array = _sigmoid(x * scale) - margin if rules.scale_inside else _sigmoid(x) * scale - margin
    return offset


def _sigmoid(x: Float32Array) -> Float32Array:
    with np.errstate(over="ignore"):  # exp(-x) of a very negative x is inf, which rightly gives 0
        result: Float32Array = _F32(1) / (_F32(1) + np.exp(-x))
    return result


def _suppress(boxes: Float32Array, group: npt.NDArray[np.intp], rules: Rules) -> list[int]:
    """Greedy NMS within each group over boxes sorted best first; the positions that stay."""
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for best in range(len(boxes)):
        if len(kept) == rules.max_detections:
            break
        if not alive[best]:
            continue
        kept.append(best)
        rivals = best + 1 + np.flatnonzero(alive[best + 1 :] & (group[best + 1 :] == group[best]))
        alive[rivals[_iou(boxes[best], boxes[rivals]) > _F32(rules.iou_threshold)]] = False
    return kept


def _iou(box: Float32Array, others: Float32Array) -> Float32Array:
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    intersection = np.maximum(width, _F32(0)) * np.maximum(height, _F32(0))
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - intersection
    # Boxes without any area do not overlap.
    iou: Float32Array = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou
