"""Detections -> the tensors that the rest of the pipeline reads, in one of three forms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import OptionError
from fastyolo.nnstreamer.slots import Slot, Slots
from fastyolo.postprocess import DecodeResult
from fastyolo.results.numbers import rounded
from fastyolo.spec import ModelSpec

Layout = list[tuple[list[int], Any]]
"""The dimensions of each tensor, innermost first as NNStreamer has them, and its type."""

SSD_LIMIT = 100
"""The most detections that NNStreamer's mobilenet-ssd-postprocess accepts."""

_YXYX = np.array([1, 0, 3, 2])
_BLANK, _NEWLINE = ord(" "), ord("\n")
# The longest texts of a coordinate of an image of 2**24 pixels, and of a confidence.
_LONGEST_COORDINATE, _LONGEST_CONFIDENCE = len("16777216.25"), len("0.1234")


class SsdTensors:
    """Four float32 tensors: boxes (N, 4) as ymin, xmin, ymax, xmax between 0 and 1, classes (N), scores (N), count (1).

    N is the most detections there can be; rows behind the last one are 0.
    """

    def __init__(self, size: tuple[int, int], max_detections: int) -> None:
        if max_detections > SSD_LIMIT:
            raise OptionError(
                f"max_detections must be at most {SSD_LIMIT} with output:ssd, which is all that NNStreamer's "
                f"mobilenet-ssd-postprocess takes, got {max_detections}"
            )
        height, width = size
        self._scale = np.array([1 / height, 1 / width] * 2, np.float32)
        shapes = (max_detections, 4), (max_detections,), (max_detections,), (1,)
        self.layout: Layout = [(list(reversed(shape)), np.float32) for shape in shapes]
        self._slots = Slots(lambda: Slot(shapes, np.float32))

    def fill(self, found: DecodeResult) -> list[npt.NDArray[Any]]:
        slot = self._slots.take()
        boxes, classes, scores, count = slot.views
        kept = len(found.confidence)
        if slot.used > kept:
            boxes[kept : slot.used] = classes[kept : slot.used] = scores[kept : slot.used] = 0
        if kept:
            np.multiply(found.xyxy.take(_YXYX, 1), self._scale, out=boxes[:kept])
            classes[:kept] = found.class_id
            scores[:kept] = found.confidence
        count[0] = slot.used = kept
        return slot.arrays


class YoloV5Tensor:
    """One float32 tensor (boxes, 5 + classes) as ``option1=yolov5`` reads it: cx, cy, w, h between 0 and 1, score, and
    1 for the class.

    It must have a row for every box of a YOLOv5 of that input size, which has strides 8, 16 and 32 and three anchors
    at each. Detections are in the first rows, all others are 0.
    """

    def __init__(self, size: tuple[int, int], input_size: tuple[int, int], num_classes: int) -> None:
        shape = self.rows_of(input_size), 5 + num_classes
        self._scale = np.array([0.5 / size[1], 0.5 / size[0], 1 / size[1], 1 / size[0]], np.float32)
        self._rows = np.arange(shape[0])
        self.layout: Layout = [([shape[1], shape[0], 1], np.float32)]
        self._slots = Slots(lambda: Slot([shape], np.float32))

    @staticmethod
    def rows_of(input_size: tuple[int, int]) -> int:
        """How many rows NNStreamer expects of a network with that input."""
        height, width = input_size
        return 3 * sum((height // stride) * (width // stride) for stride in (8, 16, 32))

    def fill(self, found: DecodeResult) -> list[npt.NDArray[Any]]:
        slot = self._slots.take()
        (table,) = slot.views
        kept = len(found.confidence)
        table[: slot.used] = 0
        if kept:
            rows, xyxy = table[:kept], found.xyxy
            np.add(xyxy[:, :2], xyxy[:, 2:], out=rows[:, :2])
            np.subtract(xyxy[:, 2:], xyxy[:, :2], out=rows[:, 2:4])
            rows[:, :4] *= self._scale
            rows[:, 4] = found.confidence
            rows[self._rows[:kept], found.class_id + 5] = 1
        slot.used = kept
        return slot.arrays


class JsonTensor:
    """One uint8 tensor: a line of JSON, filled up with blanks before its line feed, which is always the last byte.

    So every buffer is one whole line, and buffers behind each other are JSON Lines. Boxes are in pixels of an image of
    `size` (height, width).
    """

    def __init__(self, size: tuple[int, int], spec: ModelSpec, max_detections: int) -> None:
        self._begin = f'{{"width": {size[1]}, "height": {size[0]}, "detections": ['
        self._classes = [
            f'{{"name": {json.dumps(name)}, "class_id": {index}, "confidence": '
            for index, name in enumerate(spec.names)
        ]
        item = max(map(len, self._classes)) + _LONGEST_CONFIDENCE + len(', "xyxy": [') + 4 * _LONGEST_COORDINATE
        item += len(", , , ]}, ")
        self.num_bytes = len(self._begin) + item * max_detections + len("]}\n")
        self.layout: Layout = [([self.num_bytes], np.uint8)]
        self._slots = Slots(self._blank_slot)

    def fill(self, found: DecodeResult) -> list[npt.NDArray[Any]]:
        slot = self._slots.take()
        (line,) = slot.views
        items = [
            f'{self._classes[class_id]}{rounded(confidence, 4)}, "xyxy": {[rounded(value, 2) for value in box]}}}'
            for box, confidence, class_id in zip(
                found.xyxy.tolist(), found.confidence.tolist(), found.class_id.tolist(), strict=True
            )
        ]
        text = f"{self._begin}{', '.join(items)}]}}".encode("ascii")
        line[len(text) : slot.used] = _BLANK
        line[: len(text)] = np.frombuffer(text, np.uint8)
        slot.used = len(text)
        return slot.arrays

    def _blank_slot(self) -> Slot:
        slot = Slot([(self.num_bytes,)], np.uint8)
        slot.arrays[0][:] = _BLANK
        slot.arrays[0][-1] = _NEWLINE
        return slot
