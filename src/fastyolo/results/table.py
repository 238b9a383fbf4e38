"""Results as a table for people."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING

from fastyolo.files import shown
from fastyolo.results.text import box_lines
from fastyolo.results.writer import Output, Result, ResultWriter

if TYPE_CHECKING:
    from fastyolo.detections import Detections


class TableWriter(ResultWriter):
    """A heading and an aligned table per picture, printed as soon as it is done.

    On a terminal, a video's frames have one line between them, always the newest.
    """

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._timing = output.timing
        self._on_terminal = output.stream.isatty()
        self._unfinished = False

    def write(self, result: Result) -> None:
        lines = self._lines(result)
        if self._on_terminal and result.detections is not None and result.detections.index is not None:
            width = get_terminal_size().columns
            self._stream.write(f"\r\x1b[K{lines[0][: width - 1]}")
            self._unfinished = True
        else:
            self.close()
            self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """End the line that is written over and over."""
        if self._unfinished:
            self._stream.write("\n")
            self._stream.flush()
        self._unfinished = False

    def _lines(self, result: Result) -> list[str]:
        if result.detections is None:
            # The reason is on stderr, among the other errors.
            return [f"{shown(result.source)}: failed"]
        found = result.detections
        height, width = found.orig_shape
        heading = f"{shown(result.source)}{_which(found)}: {width} x {height}, {found.summary()}"
        if self._timing:
            heading += " (" + ", ".join(f"{stage} {ms:.2f} ms" for stage, ms in found.speed.items()) + ")"
        return [heading, *box_lines(found)]


def _which(found: Detections) -> str:
    """Which frame of a video it is, in words; nothing for a picture."""
    if found.index is None:
        return ""
    at = "" if found.timestamp is None else f" at {found.timestamp:.3f} s"
    return f" frame {found.index}{at}"
