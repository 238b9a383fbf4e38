"""The reference recipe's way: every box decoded in NumPy, objectness as score, NMS over all classes at once.

Written by the rules of the YOLOv4-tiny scripts of NXP's eIQ model zoo. OpenCV's NMS stands in for TensorFlow's.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from contenders.task import DecodeContender, DecodeTask, Found

Array = npt.NDArray[Any]
OBJECTNESS, IOU, MAX_BOXES = 0.2, 0.5, 100


def input_tensor(image: Array, size: tuple[int, int], quantization: tuple[float, int]) -> Array:
    """Resized, divided by 255 in float64, quantised and cut to whole numbers."""
    scale, zero_point = quantization
    real = cv2.resize(image, size[::-1]).astype(np.float64) / 255.0
    return (real / scale + zero_point).astype(np.int8)


class Recipe(DecodeContender):
    name = "reference recipe"

    def __init__(self, task: DecodeTask) -> None:
        self._task = task

    def __call__(self) -> tuple[Array, Array, Array]:
        task = self._task
        parts = []
        for index, (buffer, head) in enumerate(zip(task.buffers, task.spec.heads, strict=True)):
            real = buffer
            if task.quantization is not None:
                scale, zero_point = task.quantization[index]
                real = (buffer.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
            parts.append(_decode(real, head, task.spec.num_classes))
        boxes, objectness, classes = (np.concatenate(part) for part in zip(*parts, strict=True))
        kept = objectness > OBJECTNESS
        boxes, objectness, class_ids = boxes[kept], objectness[kept], classes[kept].argmax(axis=1)
        height, width = task.image_size
        input_height, input_width = task.spec.input_size
        boxes = boxes * np.array([width / input_width, height / input_height] * 2, np.float32)
        if not len(boxes):
            return boxes.astype(np.int32), objectness, class_ids
        best = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), objectness, OBJECTNESS, IOU), np.intp)[:MAX_BOXES]
        xyxy = boxes[best]
        xyxy[:, 2:] += xyxy[:, :2]
        return xyxy.astype(np.int32), objectness[best], class_ids[best]

    def found(self) -> Found:
        return Found(*self())


def _decode(head_values: Array, head: Any, num_classes: int) -> tuple[Array, Array, Array]:
    """Left, top, width, height in network pixels, objectness, and class scores of every box of one head."""
    rows, columns = head_values.shape[-3:-1]
    values = head_values.reshape(rows, columns, len(head.anchors), 5 + num_classes)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None].astype(np.float32)
    factor = np.float32(head.scale_x_y)
    centre = (_sigmoid(factor * values[..., :2]) - (factor - 1) / 2 + grid) * np.float32(head.stride)
    size = np.exp(values[..., 2:4]) * np.array(head.anchors, np.float32)
    boxes = np.concatenate([centre - size / 2, size], axis=-1)
    return boxes.reshape(-1, 4), _sigmoid(values[..., 4]).ravel(), _sigmoid(values[..., 5:]).reshape(-1, num_classes)


def _sigmoid(x: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-x))
    return result
