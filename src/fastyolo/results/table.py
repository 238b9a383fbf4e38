"""Results as a table for people."""

from __future__ import annotations

from fastyolo.files import shown
from fastyolo.results.text import box_lines
from fastyolo.results.writer import Output, Result, ResultWriter


class TableWriter(ResultWriter):
    """A heading and an aligned table per picture, printed as soon as it is done."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._timing = output.timing

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
        return [heading, *box_lines(found)]
