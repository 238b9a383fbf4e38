"""A camera that there is not: frames by the clock, or as fast as they are taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastyolo.errors import SourceError
from fastyolo.frames.frame import Frame, view_frame
from fastyolo.sources.source import CorruptFrame, FrameSource, Pending


class FakeCamera(FrameSource):
    """Gives `count` grey frames, each of its number; `rate` frames a second, None for as fast as they are wanted."""

    live = True

    def __init__(self, count: int, rate: float | None = 30.0, *, corrupt: tuple[int, ...] = (), size: int = 64) -> None:
        self.name = "fake camera"
        self.rate = rate
        self.count = count
        self.loaded: list[int] = []
        self.closed = False
        self._corrupt = corrupt
        self._size = size
        self._stopped = False

    def seek(self, seconds: float) -> None: ...

    def interrupt(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Pending]:
        began = time.monotonic()
        for index in range(self.count):
            if self._stopped:
                return
            due = began + index / (self.rate or 1e9)
            if self.rate:
                time.sleep(max(0.0, due - time.monotonic()))
            yield Pending(index, index / (self.rate or 30), due if self.rate else None, lambda i=index: self._load(i))
        if self.live:
            raise SourceError("fake camera was lost")

    def _load(self, index: int) -> Frame:
        if index in self._corrupt:
            raise CorruptFrame("on purpose")
        self.loaded.append(index)
        return view_frame(np.full((self._size, self._size), index % 256, np.uint8), "grey")


class FakeFile(FakeCamera):
    """The same as a file: it waits, and its end is no fault."""

    live = False

    def __init__(self, count: int, **how: Any) -> None:
        super().__init__(count, None, **how)
        self.frames = count
