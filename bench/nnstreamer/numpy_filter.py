"""A plain NumPy filter for ``option1=yolov5``, that does what NXP's example does with the heads of YOLOv4-tiny.

Written anew from what that filter gives: boxes whose raw objectness passes are decoded into a float32 tensor of a
YOLOv5's size, objectness beside one number for the class; everything else stays 0, and `tensor_decoder` does the NMS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.spec import YOLOV4_TINY_ANCHORS

TERMS = 85
GRIDS = ((13, YOLOV4_TINY_ANCHORS[3:6]), (26, YOLOV4_TINY_ANCHORS[1:4]))


class NumpyFilter:
    """Takes the heads flat, stride 32 first, float32."""

    def __init__(self, score_threshold: float) -> None:
        self._gate = -np.log(1 / score_threshold - 1)
        self._rows = 3 * (13**2 + 26**2 + 52**2)

    def invoke(self, arrays: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        out = np.zeros((self._rows, TERMS), np.float32)
        first = 0
        for array, (side, anchors) in zip(arrays, GRIDS, strict=True):
            boxes = array.reshape(-1, TERMS)
            rows = np.flatnonzero(boxes[:, 4] > self._gate)
            if len(rows):
                cells, which = np.divmod(rows, 3)
                y, x = np.divmod(cells, side)
                found = boxes[rows]
                target = np.zeros((len(rows), TERMS), np.float32)
                target[:, :2] = (_sigmoid(found[:, :2]) * 1.05 - 0.025 + np.stack([x, y], 1)) / side
                target[:, 2:4] = np.exp(found[:, 2:4]) * np.array(anchors)[which] / 416
                target[:, 4] = _sigmoid(found[:, 4])
                best = found[:, 5:].argmax(1)
                target[np.arange(len(rows)), 5 + best] = _sigmoid(found[:, 5:].max())
                out[first + rows] = target
            first += len(boxes)
        return [out.ravel()]


def dequantised(arrays: list[npt.NDArray[Any]], pairs: list[tuple[float, int]]) -> list[npt.NDArray[np.float32]]:
    """What such a filter must do first with int8 heads."""
    return [
        (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        for array, (scale, zero) in zip(arrays, pairs, strict=True)
    ]


def _sigmoid(values: npt.NDArray[np.float32]) -> Any:
    return 1 / (1 + np.exp(-values))
