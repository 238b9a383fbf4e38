"""Detection without end: `stream(source)` gives the detections of one frame after the other."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from fastyolo.detections import Detections
from fastyolo.detector import Detector
from fastyolo.errors import OptionError
from fastyolo.sources.opening import open_source
from fastyolo.sources.source import FrameSource
from fastyolo.streaming.patience import opened
from fastyolo.streaming.pipeline import Pipeline
from fastyolo.streaming.retrying import Reopening
from fastyolo.streaming.selection import Selection

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastyolo.frames.frame import Frame


class Stream(Iterator[Detections]):
    """What `stream` returns: an iterator of `Detections`, to be closed (``with``, `close`, or by forgetting it).

    Attributes:
        found: the last detections.
        frame: their frame, for ``found.plot(stream.frame)``.
        total: how many results there will be, if that can be told.
        delivered: how many there were.
    """

    def __init__(
        self,
        source: FrameSource,
        reopen: Callable[[], FrameSource],
        detector: Detector,
        selection: Selection,
        retry: int,
        report: Callable[[str], None],
    ) -> None:
        self.found: Detections | None = None
        self.frame: Frame | None = None
        self.delivered = 0
        self._most = selection.max_frames
        self._reopening = Reopening(source, reopen, retry=retry, report=report)
        self.total = selection.total(source.frames, source.duration, getattr(source, "rate", None))
        if selection.start:
            source.seek(selection.start)
        self._pipeline = Pipeline(self._reopening, detector, selection)
        self._results = iter(self._pipeline.results)
        # Also when it is forgotten, and before the interpreter ends: threads inside native code must not outlive it.
        self._end = weakref.finalize(self, self._pipeline.close)

    @property
    def source(self) -> FrameSource:
        """Where the frames come from."""
        return self._reopening.source

    @property
    def dropped(self) -> int:
        """Frames of a live source that a newer one replaced before their turn came."""
        return self._pipeline.dropped

    @property
    def corrupt(self) -> int:
        """Frames that made no sense and were skipped."""
        return self._pipeline.corrupt

    def __next__(self) -> Detections:
        if self._most is not None and self.delivered >= self._most:
            self.close()
            raise StopIteration
        # Forgotten now: a camera that broke cannot be opened again while somebody looks at its memory.
        if self.source.lends:
            self.frame = None
        try:
            self.frame, self.found = next(self._results)
        except BaseException:
            # The end, a fault, or Ctrl-C.
            self.close()
            raise
        self.delivered += 1
        return self.found

    def close(self) -> None:
        """End all threads and give the source back. Twice does no harm."""
        if self._end.alive and self.source.lends and self.frame is not None:
            # A camera stays open for as long as somebody looks at its memory.
            self.frame = dataclasses.replace(self.frame, planes=tuple(plane.copy() for plane in self.frame.planes))
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stream(
    source: str | os.PathLike[str] | int | FrameSource,
    *,
    detector: Detector | None = None,
    every: int = 1,
    max_frames: int | None = None,
    start: float = 0.0,
    duration: float | None = None,
    realtime: bool = False,
    retry: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Stream:
    """Detect objects in every frame of a video, camera or stream; an iterator of `Detections`.

    Each result has its frame's `index` and `timestamp`, and where frames come by themselves their `age`. Reading,
    preprocessing, inference and the loop that takes the results run side by side. A file loses no frame. A camera or
    network stream gives the newest frame each time; `dropped` says how many that cost. ``found.plot(stream.frame)``
    draws on the frame.

    Args:
        source: a video file, ``/dev/video0`` (or 0), "camera" for the first that can capture, an rtsp:// or http(s)://
            address, "-" for stdin, or "gst:PIPELINE ! appsink". A camera takes options:
            ``/dev/video0?size=1280x720&fps=30&format=nv12``.
        detector: by default ``Detector()``.
        every: look at each so many-th frame only.
        max_frames: end after so many results.
        start, duration: the part of the video to look at, in seconds.
        realtime: play a file as if it were a camera, at its own pace.
        retry: how often in a row to open a camera or stream again that broke, with growing pauses.
        report: is told in a line when that happens.

    Raises:
        SourceError: the source cannot be opened; while iterating: it broke.
        OptionError: an argument outside its domain.
    """
    selection = Selection(every, max_frames, start, duration, realtime)
    if retry < 0:
        raise OptionError(f"retry must be 0 or more, got {retry}")
    if isinstance(source, FrameSource):
        first, reopen = source, lambda: source
    else:
        reopen = partial(open_source, source)
        first = opened(reopen)
    return Stream(first, reopen, detector or Detector(), selection, retry, report)


__all__ = ["Stream", "stream"]
