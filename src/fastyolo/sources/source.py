"""What every source of frames is: something that gives one frame after the other, each made only when it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastyolo.frames.frame import Frame


class CorruptFrame(Exception):
    """A frame whose data make no picture. It is counted and skipped; the source goes on."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A frame that has arrived, and may be dropped before anything is spent on it.

    Attributes:
        index: its number in its source, from 0.
        timestamp: when it is to be shown, in seconds from the source's first frame; None where nothing tells.
        captured: when it was taken, or came in, by `time.monotonic()`; None where that means nothing, as in a file.
        load: gives its pixels, or raises `CorruptFrame`. At most once, and never in two threads at once.
    """

    index: int
    timestamp: float | None
    captured: float | None
    load: Callable[[], Frame]


class FrameSource:
    """Iterate once over it for frames in order of presentation; a ``with`` block closes it.

    Attributes:
        name: what the user called it.
        live: frames come by themselves, whether or not anybody is ready for them; its end is a fault.
        frames: how many there are, if known beforehand.
        duration: how many seconds, if known beforehand.
        lends: its frames lie in memory of the system, which stays open for as long as one of them is looked at.
        corrupt: frames and packets that were skipped so far.
        problem: why a source that ended did so before its time, if it did.
    """

    name: str = ""
    live: bool = False
    frames: int | None = None
    duration: float | None = None
    lends: bool = False
    corrupt: int = 0
    problem: str | None = None
    notes: tuple[str, ...] = ()

    def seek(self, seconds: float) -> None:
        """Begin at the first frame shown at or after this time. Only before iterating."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Pending]:
        raise NotImplementedError

    def interrupt(self) -> None:
        """From any thread: make a wait for the next frame end soon."""

    def close(self) -> None:
        """Give back what the system lent. Not while another thread iterates or loads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
