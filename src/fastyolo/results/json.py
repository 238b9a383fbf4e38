"""JSON: detections as a document, and one array of documents for many sources."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastyolo.results.numbers import rounded
from fastyolo.results.writer import Result, ResultWriter

if TYPE_CHECKING:
    from fastyolo.detections import Detections

# A hundredth of a pixel and a ten-thousandth of confidence are far below what the network resolves.
_BOX_DECIMALS = 2
_CONFIDENCE_DECIMALS = 4
_SPEED_DECIMALS = 3
# Seconds: finer than any container stores.
_TIME_DECIMALS = 6


def to_dict(detections: Detections) -> dict[str, Any]:
    """See `Detections.to_dict`."""
    height, width = detections.orig_shape
    return {
        "width": int(width),
        "height": int(height),
        "detections": [
            {
                "name": detection.name,
                "class_id": detection.class_id,
                "confidence": rounded(detection.confidence, _CONFIDENCE_DECIMALS),
                "xyxy": [rounded(value, _BOX_DECIMALS) for value in detection.xyxy],
            }
            for detection in detections
        ],
        "speed": {stage: rounded(value, _SPEED_DECIMALS) for stage, value in detections.speed.items()},
    }


def to_json(detections: Detections, *, indent: int | None = None) -> str:
    """See `Detections.to_json`."""
    return as_text(to_dict(detections), indent=indent)


def record(result: Result) -> dict[str, Any]:
    """JSON-ready: source with width, height, detections and speed, or source with error.

    A frame has its number and its time in seconds as well, and its age where it came in by itself.
    """
    if result.detections is None:
        return {"source": result.source, "error": result.error}
    found = result.detections
    frame: dict[str, Any] = {}
    if found.index is not None:
        frame["frame"] = found.index
        frame["time"] = None if found.timestamp is None else rounded(found.timestamp, _TIME_DECIMALS)
    if found.age is not None:
        frame["age"] = rounded(found.age, _TIME_DECIMALS)
    return {"source": result.source, **frame, **to_dict(found)}


def as_text(value: Any, indent: int | None = None) -> str:
    """JSON text on one line, or indented."""
    # ASCII only: no terminal or locale fails to print it, and a file name's undecodable bytes survive the round trip.
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)


class ArrayWriter(ResultWriter):
    """One JSON array, an element a line."""

    _separator = "[\n"

    def append(self, element: Any) -> None:
        self._stream.write(self._separator + as_text(element))
        self._separator = ",\n"

    def close(self) -> None:
        self._stream.write("[]\n" if self._separator == "[\n" else "\n]\n")
        self._stream.flush()


class JsonWriter(ArrayWriter):
    """One JSON array, an element per source and line."""

    def write(self, result: Result) -> None:
        self.append(record(result))
