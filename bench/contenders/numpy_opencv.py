"""The fastest way found with NumPy and OpenCV alone: `Decoder`'s results from vectorised code."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from contenders.task import DecodeContender, DecodeTask, Found

_F32 = np.float32
Array = npt.NDArray[Any]


class NumpyOpenCV(DecodeContender):
    """Whatever does not depend on the frame is computed once.

    A box is gathered only where its raw objectness passes, a class scored only where its raw value does. Bytes are
    compared as bytes, and what survives becomes numbers through tables. OpenCV suppresses the best candidates first and
    is given more of them only where too few were kept, for its time grows with candidates x kept. `all_at_once` leaves
    that out: one call for all candidates, as one would write it first.
    """

    name = "NumPy + OpenCV"

    def __init__(self, task: DecodeTask, *, all_at_once: bool = False) -> None:
        if all_at_once:
            self.name = f"{self.name}, all candidates at once"
        self._all_at_once = all_at_once
        self._task = task
        self._threshold = _F32(task.score_threshold)
        self._num_terms = 5 + task.spec.num_classes
        self._rows = [buffer.reshape(-1, self._num_terms) for buffer in task.buffers]
        self._objectness = [rows[:, 4] for rows in self._rows]
        self._first_box = np.cumsum([0, *(len(rows) for rows in self._rows)])
        self._gates: list[Any] = [_F32(_logit(task.score_threshold) - 1e-5)] * len(self._rows)
        if task.quantization is not None:
            self._prepare_tables(task.quantization)
        self._prepare_boxes()

    def _prepare_boxes(self) -> None:
        """centre = sigmoid(t) * gain + origin and side = exp(t) * anchor, both in image pixels."""
        task, spec = self._task, self._task.spec
        to_image = np.array([task.image_size[1] / spec.input_size[1], task.image_size[0] / spec.input_size[0]], _F32)
        gains, origins, anchors = [], [], []
        for head, (height, width, _) in zip(spec.heads, spec.head_shapes, strict=True):
            line, column, anchor = (grid.ravel() for grid in np.mgrid[:height, :width, : len(head.anchors)])
            stride = head.stride * to_image
            origins.append((np.stack([column, line], axis=1) - (head.scale_x_y - 1) / 2) * stride)
            gains.append(np.broadcast_to(head.scale_x_y * stride, origins[-1].shape))
            anchors.append(np.array(head.anchors)[anchor] * to_image)
        self._gain, self._origin, self._anchor = (
            np.concatenate(parts).astype(_F32) for parts in (gains, origins, anchors)
        )

    def _prepare_tables(self, quantization: tuple[tuple[float, int], ...]) -> None:
        """For each head and byte the number, its sigmoid, and for objectness the smallest class byte that passes."""
        bytes_in_order = np.arange(256, dtype=np.uint8).view(np.int8)
        self._reals = [_F32(scale) * (bytes_in_order.astype(_F32) - zero) for scale, zero in quantization]
        self._units = [_sigmoid(real) for real in self._reals]
        self._class_gates = []
        self._gates = []
        for units in self._units:
            ascending = np.roll(units, 128)
            passes = ascending[:, None] * ascending[None] >= self._threshold
            smallest = np.where(passes.any(axis=1), passes.argmax(axis=1), 255) - 128
            self._class_gates.append(np.roll(smallest, -128).astype(np.int8))
            self._gates.append(np.int8((ascending >= self._threshold).argmax() - 128))

    def __call__(self) -> tuple[Array, Array, Array]:
        parts = [self._candidates(index) for index in range(len(self._rows))]
        box, terms, class_id, score = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not len(box):
            return np.empty((0, 4), _F32), score, class_id
        return self._suppress(box, terms, class_id, score)

    def _candidates(self, index: int) -> tuple[Array, Array, Array, Array]:
        """Box number, real-valued terms of the box, class and score of what passes in one head."""
        passed = np.flatnonzero(self._objectness[index] >= self._gates[index])
        raw = self._rows[index].take(passed, axis=0)
        classes = raw[:, 5:]
        objectness = self._unit(index, raw[:, 4])
        if self._task.multi_label:
            gates = self._gates_of_classes(index, raw[:, 4], objectness)
            row, class_id = np.divmod(np.flatnonzero(classes >= gates[:, None]), self._num_terms - 5)
        else:
            row = np.arange(len(raw))
            class_id = classes.argmax(axis=1)
        score = objectness[row] * self._unit(index, classes[row, class_id])
        good = np.flatnonzero(score >= self._threshold)
        row = row[good]
        terms = raw[row, :4]
        if self._task.quantization is not None:
            terms = self._reals[index].take(terms.view(np.uint8))
        return passed[row] + self._first_box[index], terms, class_id[good], score[good]

    def _unit(self, index: int, raw: Array) -> Array:
        if self._task.quantization is None:
            return _sigmoid(raw)
        return self._units[index].take(raw.view(np.uint8))

    def _gates_of_classes(self, index: int, raw: Array, objectness: Array) -> Array:
        if self._task.quantization is None:
            least = np.minimum(self._threshold / objectness, _F32(1 - 1e-6))
            return _logit(least) - _F32(1e-3)
        return self._class_gates[index].take(raw.view(np.uint8))

    def _suppress(self, box: Array, terms: Array, class_id: Array, score: Array) -> tuple[Array, Array, Array]:
        most = self._task.max_detections
        count = len(score) if self._all_at_once else 2 * most
        while True:
            best = np.argpartition(score, len(score) - count)[-count:] if len(score) > count else np.arange(len(score))
            xywh = self._boxes(box[best], terms[best])
            # Lists and arrays in the mixture that OpenCV converted fastest.
            ids = class_id[best].astype(np.int32)
            kept = cv2.dnn.NMSBoxesBatched(xywh.tolist(), score[best], ids, 0.0, self._task.iou_threshold)
            if len(kept) >= most or len(best) == len(score):
                break
            count *= 2
        chosen = np.asarray(kept, np.intp)[:most]
        xyxy = xywh[chosen]
        xyxy[:, 2:] += xyxy[:, :2]
        return xyxy, score[best[chosen]], class_id[best[chosen]]

    def _boxes(self, box: Array, terms: Array) -> Array:
        """Left, top, width, height in image pixels."""
        size = np.exp(terms[:, 2:]) * self._anchor[box]
        corner = _sigmoid(terms[:, :2]) * self._gain[box] + self._origin[box] - size * _F32(0.5)
        return np.concatenate([corner, size], axis=1)

    def found(self) -> Found:
        return Found(*self())


def _sigmoid(x: Array) -> Array:
    result: Array = _F32(1) / (_F32(1) + np.exp(-x))
    return result


def _logit(probability: Any) -> Any:
    return np.log(probability / (1 - probability))
