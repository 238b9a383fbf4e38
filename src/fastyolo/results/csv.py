"""CSV."""

from __future__ import annotations

import csv
from typing import Any

from fastyolo.results.json import record
from fastyolo.results.writer import Output, Result, ResultWriter
from fastyolo.texts import printable


class CsvWriter(ResultWriter):
    """One row per detection, with a header.

    Every source has at least one row, so that none goes missing in silence: a picture with nothing found has one whose
    detection columns are empty, a source that failed has one with its error.
    """

    COLUMNS = ("source", "width", "height", "class_id", "name", "confidence", "x1", "y1", "x2", "y2", "error")

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._csv = csv.DictWriter(output.stream, self.COLUMNS, restval="", lineterminator="\n")

    def open(self) -> None:
        self._csv.writeheader()

    def write(self, result: Result) -> None:
        entry = record(result)
        source = {"source": entry["source"], "width": entry.get("width"), "height": entry.get("height")}
        rows: list[dict[str, Any]] = [
            {
                "class_id": found["class_id"],
                "name": found["name"],
                "confidence": found["confidence"],
                **dict(zip(("x1", "y1", "x2", "y2"), found["xyxy"], strict=True)),
            }
            for found in entry.get("detections", [])
        ] or [{"error": entry.get("error")}]
        for row in rows:
            self._csv.writerow({key: self._encodable(value) for key, value in {**source, **row}.items()})

    def close(self) -> None:
        self._stream.flush()

    def _encodable(self, value: Any) -> Any:
        """Escape what is no text, as a terminal's commands in a name, and what the stream's encoding cannot hold."""
        if not isinstance(value, str):
            return value
        value = printable(value)
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        errors = getattr(self._stream, "errors", None) or "strict"
        try:
            value.encode(encoding, errors)
        except UnicodeEncodeError:
            return value.encode(encoding, "backslashreplace").decode(encoding)
        return value
