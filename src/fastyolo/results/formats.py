"""How results are written: one line for people, JSON, JSON Lines, CSV, COCO entries."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from fastyolo.errors import FastYoloError, OptionError
from fastyolo.names import COCO_CATEGORY_IDS, is_coco

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastyolo.detections import Detections

# A hundredth of a pixel and a ten-thousandth of confidence are far below what the network resolves.
_BOX_DECIMALS = 2
_CONFIDENCE_DECIMALS = 4
_SPEED_DECIMALS = 3
# COCO files are evaluated: ranking follows the score, so it keeps all that a float32 holds near 1.
_COCO_BOX_DECIMALS = 3
_COCO_SCORE_DECIMALS = 6

_PLURALS = {"mouse": "mice", "knife": "knives", "sheep": "sheep", "broccoli": "broccoli", "person": "persons"}


def summary(detections: Detections) -> str:
    """See `Detections.summary`."""
    counts = Counter(detection.name for detection in detections)
    # Counter keeps the order of first sight among equals, which is the order of confidence.
    return ", ".join(f"{count} {_plural(name, count)}" for name, count in counts.most_common()) or "nothing found"


def _plural(name: str, count: int) -> str:
    """English plural of a class name; names that do not end in a letter, such as "class 7", stay as they are."""
    head, space, last = name.rpartition(" ")
    if count == 1 or not (last.isascii() and last[-1:].isalpha()):
        return name
    if last in _PLURALS:
        plural = _PLURALS[last]
    elif last.endswith(("ss", "us", "x", "z", "ch", "sh")):
        plural = f"{last}es"
    elif last.endswith("s"):
        plural = last  # skis, scissors
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        plural = f"{last[:-1]}ies"
    else:
        plural = f"{last}s"
    return f"{head}{space}{plural}"


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
                "confidence": _rounded(detection.confidence, _CONFIDENCE_DECIMALS),
                "xyxy": [_rounded(value, _BOX_DECIMALS) for value in detection.xyxy],
            }
            for detection in detections
        ],
        "speed": {stage: _rounded(value, _SPEED_DECIMALS) for stage, value in detections.speed.items()},
    }


def to_json(detections: Detections, *, indent: int | None = None) -> str:
    """See `Detections.to_json`."""
    return _json(to_dict(detections), indent=indent)


def to_coco(detections: Detections, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """See `Detections.to_coco`.

    Raises:
        OptionError: `category_ids` has no entry for a class.
    """
    if category_ids is None and is_coco(detections.names):
        category_ids = COCO_CATEGORY_IDS
    entries = []
    for detection in detections:
        if category_ids is None:
            category = detection.class_id + 1
        elif 0 <= detection.class_id < len(category_ids):
            category = int(category_ids[detection.class_id])
        else:
            raise OptionError(
                f"category_ids must hold an id for class {detection.class_id}, got {len(category_ids)} ids"
            )
        x1, y1, x2, y2 = detection.xyxy
        entries.append(
            {
                "image_id": int(image_id),
                "category_id": category,
                "bbox": [_rounded(value, _COCO_BOX_DECIMALS) for value in (x1, y1, x2 - x1, y2 - y1)],
                "score": _rounded(detection.confidence, _COCO_SCORE_DECIMALS),
            }
        )
    return entries


def to_supervision(detections: Detections) -> Any:
    """See `Detections.to_supervision`.

    Raises:
        FastYoloError: the supervision package is not installed.
    """
    import numpy as np

    try:
        import supervision
    except ImportError:
        raise FastYoloError("to_supervision() needs the supervision package: pip install supervision") from None
    return supervision.Detections(
        xyxy=detections.xyxy.copy(),
        confidence=detections.confidence.copy(),
        class_id=detections.class_id.astype(int),
        data={"class_name": np.array([detection.name for detection in detections], dtype=np.str_)},
    )


@dataclass(frozen=True)
class Result:
    """What came of one source: its detections, or the message of its error."""

    source: str
    detections: Detections | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        assert (self.detections is None) != (self.error is None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: source with width, height, detections and speed, or source with error."""
        if self.detections is None:
            return {"source": self.source, "error": self.error}
        return {"source": self.source, **to_dict(self.detections)}


class ResultWriter:
    """Writes results to a text stream as they come; use it in a ``with`` block, which completes the document.

    The document stays well formed when an exception ends the block early.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, result: Result) -> None:
        """Append one result."""
        raise NotImplementedError

    def open(self) -> None:
        """Write what comes before the first result."""

    def close(self) -> None:
        """Write what comes after the last result."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A stream that has just failed would only fail again.
        if not isinstance(error, OSError):
            self.close()


class JsonWriter(ResultWriter):
    """One JSON array, an element per source and line."""

    _separator = "[\n"

    def write(self, result: Result) -> None:
        self._stream.write(self._separator + _json(result.to_dict()))
        self._separator = ",\n"

    def close(self) -> None:
        self._stream.write("[]\n" if self._separator == "[\n" else "\n]\n")
        self._stream.flush()


class JsonLinesWriter(ResultWriter):
    """One JSON object a line, each visible to the next program in a pipe at once."""

    def write(self, result: Result) -> None:
        self._stream.write(_json(result.to_dict()) + "\n")
        self._stream.flush()


class CsvWriter(ResultWriter):
    """One row per detection, with a header.

    Every source has at least one row, so that none goes missing in silence: a picture with nothing found has one whose
    detection columns are empty, a source that failed has one with its error.
    """

    COLUMNS = ("source", "width", "height", "class_id", "name", "confidence", "x1", "y1", "x2", "y2", "error")

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._csv = csv.DictWriter(stream, self.COLUMNS, restval="", lineterminator="\n")

    def open(self) -> None:
        self._csv.writeheader()

    def write(self, result: Result) -> None:
        record = result.to_dict()
        source = {"source": record["source"], "width": record.get("width"), "height": record.get("height")}
        rows: list[dict[str, Any]] = [
            {
                "class_id": found["class_id"],
                "name": found["name"],
                "confidence": found["confidence"],
                **dict(zip(("x1", "y1", "x2", "y2"), found["xyxy"], strict=True)),
            }
            for found in record.get("detections", [])
        ] or [{"error": record.get("error")}]
        for row in rows:
            self._csv.writerow({key: self._encodable(value) for key, value in {**source, **row}.items()})

    def close(self) -> None:
        self._stream.flush()

    def _encodable(self, value: Any) -> Any:
        """Escape what the stream's encoding cannot hold: undecodable bytes in a file name, or anything beyond ASCII."""
        if not isinstance(value, str):
            return value
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        errors = getattr(self._stream, "errors", None) or "strict"
        try:
            value.encode(encoding, errors)
        except UnicodeEncodeError:
            return value.encode(encoding, "backslashreplace").decode(encoding)
        return value


WRITERS: dict[str, type[ResultWriter]] = {"json": JsonWriter, "jsonl": JsonLinesWriter, "csv": CsvWriter}
"""Writer by the name of its format."""


def _json(value: Any, indent: int | None = None) -> str:
    # ASCII only: no terminal or locale fails to print it, and a file name's undecodable bytes survive the round trip.
    return json.dumps(value, indent=indent, ensure_ascii=True, allow_nan=False)


def _rounded(value: float, decimals: int) -> float | None:
    """Round for text; None, JSON's null, for NaN and infinity, which JSON does not have."""
    if not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0  # no "-0.0"
