"""Results as a table for people."""

from __future__ import annotations

from typing import TextIO

from fastyolo.files import shown
from fastyolo.results.formats import Result, ResultWriter


class TableWriter(ResultWriter):
    """A heading and an aligned table per picture, printed as soon as it is done."""

    def __init__(self, stream: TextIO, timing: bool) -> None:
        super().__init__(stream)
        self._timing = timing

    def write(self, result: Result) -> None:
        self._stream.write("\n".join(self._lines(result)) + "\n")
        self._stream.flush()

    def _lines(self, result: Result) -> list[str]:
        if result.detections is None:
            # The reason is on stderr, among the other errors.
            return [f"{shown(result.source)}: failed"]
        found = result.detections
        height, width = found.orig_shape
        heading = f"{shown(result.source)}: {width} x {height}, {found.summary()}"
        if self._timing:
            heading += " (" + ", ".join(f"{stage} {ms:.2f} ms" for stage, ms in found.speed.items()) + ")"
        name_width = max([len(shown(detection.name)) for detection in found], default=0)
        return [
            heading,
            *(
                f"  {shown(detection.name):<{name_width}}  {detection.confidence:.2f}  "
                + " ".join(f"{value:8.1f}" for value in detection.xyxy)
                for detection in found
            ),
        ]
