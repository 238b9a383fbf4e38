"""A live source that broke is opened again, with more and more patience."""

from __future__ import annotations

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from fastyolo.errors import SourceError
from fastyolo.sources.source import FrameSource, Pending

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds before the first try; each further one waits twice as long, up to this."""


class Reopening:
    """Iterates over the frames of a source, and of what `reopen` gives when that breaks.

    Frames keep counting up, and their time goes on by the clock. A source is tried `retry` times in a row; one that
    gave a frame has all its tries again. `report` is told in a line what happens.
    """

    def __init__(
        self,
        source: FrameSource,
        reopen: Callable[[], FrameSource],
        *,
        retry: int = 0,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.source = source
        self._reopen = reopen
        self._retry = retry
        self._report = report
        self._stop = threading.Event()
        self._corrupt_before = 0

    @property
    def corrupt(self) -> int:
        """Frames that made no sense, of all sources so far."""
        return self._corrupt_before + self.source.corrupt

    def interrupt(self) -> None:
        """From any thread: make the iteration end soon."""
        self._stop.set()
        self.source.interrupt()

    def sleep(self, seconds: float) -> None:
        """Let time pass, unless it is interrupted."""
        self._stop.wait(max(0.0, seconds))

    def __iter__(self) -> Iterator[Pending]:
        began: float | None = None
        first, offset, tries = 0, 0.0, 0
        while True:
            index = first - 1
            try:
                for pending in self.source:
                    if self._stop.is_set():
                        return
                    began = began or time.monotonic()
                    index, tries = first + pending.index, 0
                    if first:
                        at = None if pending.timestamp is None else pending.timestamp + offset
                        pending = dataclasses.replace(pending, index=index, timestamp=at)
                    yield pending
                    del pending
                return
            except SourceError as error:
                if self._stop.is_set():
                    return
                if not (self.source.live and self._retry):
                    raise
                # What broke may not be opened again before its last frame is forgotten.
                traceback.clear_frames(error.__traceback__)
                tries = self._again(error, tries)
            if self._stop.is_set():
                return
            first = index + 1
            offset = time.monotonic() - began if began else 0.0

    def _again(self, error: SourceError, tries: int) -> int:
        """Open the source again; returns how many tries that took in all, or when interrupted."""
        while tries < self._retry:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**tries)
            tries += 1
            self._report(f"{error}; trying again in {pause:g} s ({tries} of {self._retry})")
            self.sleep(pause)
            if self._stop.is_set():
                return tries
            self._corrupt_before += self.source.corrupt
            self.source.corrupt = 0
            self.source.close()
            try:
                self.source = self._reopen()
            except SourceError as again:
                error = again
            else:
                if self._stop.is_set():
                    self.source.interrupt()
                return tries
        raise error
