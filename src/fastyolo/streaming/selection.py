"""Which frames of a source are looked at, and when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastyolo.errors import OptionError
from fastyolo.sources.source import Pending


@dataclass(frozen=True)
class Selection:
    """What was asked for.

    Attributes:
        every: look at frames 0, every, 2 * every, ...
        max_frames: end after so many results.
        start: leave out what is shown before this, in seconds.
        duration: end after so many seconds of video, counted from `start`.
        realtime: let frames come at the pace at which they are shown.
    """

    every: int = 1
    max_frames: int | None = None
    start: float = 0.0
    duration: float | None = None
    realtime: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise OptionError(f"every must be 1 or more, got {self.every}")
        if self.max_frames is not None and self.max_frames < 1:
            raise OptionError(f"max_frames must be 1 or more, got {self.max_frames}")
        if not 0 <= self.start < math.inf:
            raise OptionError(f"start must be a number of seconds from 0 on, got {self.start}")
        if self.duration is not None and not 0 < self.duration < math.inf:
            raise OptionError(f"duration must be a number of seconds above 0, got {self.duration}")

    def of(self, frames: Iterator[Pending], sleep: Callable[[float], object]) -> Iterator[Pending]:
        """The frames that are looked at; `sleep` is called to let time pass before one is shown."""
        end = math.inf if self.duration is None else self.start + self.duration
        began: float | None = None
        for pending in frames:
            at = pending.timestamp
            if at is not None and at >= end:
                return
            if pending.index % self.every or (at is not None and at < self.start):
                continue
            if self.realtime and at is not None:
                if began is None:
                    began = time.monotonic() - at
                sleep(began + at - time.monotonic())
            yield pending
            del pending

    def total(self, frames: int | None, duration: float | None, rate: float | None) -> int | None:
        """How many results there will be, as far as one can tell."""
        count = frames if frames is not None else duration * rate if duration and rate else None
        if count is not None and rate:
            count -= self.start * rate
            if self.duration is not None:
                count = min(count, self.duration * rate)
        if count is not None:
            count = max(0, math.ceil(count / self.every))
        limits = [int(limit) for limit in (count, self.max_frames) if limit is not None]
        return min(limits, default=None)
