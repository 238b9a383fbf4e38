"""What type checkers must see. Checked by mypy, never run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import fastyolo
from fastyolo import Decoder, DecodeResult, Detection, Detections, Detector, ModelSpec


def decoding(heads: list[npt.NDArray[np.float32]], quantised: list[npt.NDArray[np.int8]]) -> None:
    result = fastyolo.decode_nms(heads)
    assert_type(result, DecodeResult)
    boxes, scores, class_ids = result
    assert_type(boxes, npt.NDArray[np.float32])
    assert_type(scores, npt.NDArray[np.float32])
    assert_type(class_ids, npt.NDArray[np.int32])
    decoder = Decoder(ModelSpec.yolov4_tiny(names=["cat"]), quantization=[(0.1, 0), (0.1, 0)], nms="diou")
    assert_type(decoder(quantised, (480, 640)), DecodeResult)


def detecting(frame: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> None:
    detector = Detector("model.tflite", classes=["person", 27])
    found = detector(frame, color="bgr")
    assert_type(found, Detections)
    assert_type(detector(Path("street.jpg")), Detections)
    assert_type(found[0], Detections)
    assert_type(found[found.confidence > 0.5], Detections)
    assert_type(found[mask], Detections)
    assert_type(found[1:], Detections)
    assert_type([detection.name for detection in found], list[str])
    assert_type(next(iter(found)), Detection)
    assert_type(found.summary(), str)
    assert_type(detector.names, tuple[str, ...])
    assert_type(fastyolo.__version__, str)


def suppressing(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32]) -> None:
    assert_type(fastyolo.nms(boxes, scores), npt.NDArray[np.intp])
    ids = np.zeros(3, np.uint8)
    assert_type(fastyolo.nms(boxes, scores, ids, nms="diou", max_per_class=1), npt.NDArray[np.intp])


def wrong_calls(heads: list[npt.NDArray[np.float32]]) -> None:
    fastyolo.decode_nms(heads, nms="soft")  # type: ignore[arg-type]
    fastyolo.nms(heads[0], heads[1], nms="soft")  # type: ignore[arg-type]
    fastyolo.decode_nms(heads, 0.5)  # type: ignore[call-arg,arg-type]
    Detector(resize="crop")  # type: ignore[arg-type]
