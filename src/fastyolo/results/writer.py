"""What every result format is: a writer that is given one result after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastyolo.detections import Detections


@dataclass(frozen=True)
class Result:
    """What came of one source: its detections, or the message of its error."""

    source: str
    detections: Detections | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        assert (self.detections is None) != (self.error is None)


@dataclass(frozen=True)
class Output:
    """Where a writer writes, and what it is asked to say.

    Attributes:
        stream: for text.
        folder: for formats of a file a picture.
        inputs: the pictures that are read, which no file may replace or mix with.
        timing: whether the milliseconds of every stage are asked for.
        frames: whether some results may be of the frames of a video.
    """

    stream: TextIO
    folder: Path | None = None
    inputs: tuple[str, ...] = ()
    timing: bool = False
    frames: bool = False


class ResultWriter:
    """Writes results to a text stream as they come; use it in a ``with`` block, which completes the document.

    The document stays well formed when an exception ends the block early.
    """

    pictures_only = False
    """Whether it has no place for which frame of a video something was found in."""

    writes_files = False
    """Whether it writes a file for each picture, into `Output.folder`."""

    def __init__(self, output: Output) -> None:
        self._stream = output.stream

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
