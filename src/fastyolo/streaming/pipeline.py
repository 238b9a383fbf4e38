"""Reading, preparing and detecting side by side: a thread each, bounded queues between them, frames in order."""

from __future__ import annotations

import dataclasses
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

from fastyolo.detections import Detections
from fastyolo.detector import Detector
from fastyolo.frames.frame import Frame
from fastyolo.preprocess import Tensor
from fastyolo.sources.source import CorruptFrame, Pending
from fastyolo.streaming.channel import Channel, Newest
from fastyolo.streaming.retrying import Reopening
from fastyolo.streaming.selection import Selection

_WAITING = 2
"""Frames that may wait between two stages of a file."""


T = TypeVar("T")
_Queue = Channel[T] | Newest[T]


class _Loaded(NamedTuple):
    frame: Frame
    captured: float | None
    speed: dict[str, float]
    tensor: Tensor | None = None


class Pipeline:
    """The threads behind a `Stream`; they know nothing of it, so that it can be forgotten and end them.

    A file goes through three: read, prepare, detect. Everything waits for the slowest, so no frame is lost. Of a live
    source only the newest frame waits, undecoded where possible, and is decoded, prepared and detected on in one go:
    whatever was done ahead of time would have aged by then.
    """

    def __init__(self, source: Reopening, detector: Detector, selection: Selection) -> None:
        self._source = source
        self._detector = detector
        self._selection = selection
        self._corrupt = 0
        live = source.source.live or selection.realtime
        self.results: _Queue[tuple[Frame, Detections]] = Newest() if live else Channel(_WAITING)
        self._arrived: _Queue[Pending] = Newest() if live else Channel(_WAITING)
        self._prepared: Channel[_Loaded] = Channel(_WAITING, by_hand=True)
        self._unused: deque[Tensor] = deque()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._running = 0
        self._closing = False
        self._start("read", self._selected, self._arrived)
        if live:
            self._start("detect", lambda: self._detected(self._loaded()), self.results)
        else:
            self._start("prepare", self._filled, self._prepared)
            self._start("detect", lambda: self._detected(self._prepared), self.results)

    @property
    def dropped(self) -> int:
        """Frames of a live source that a newer one replaced."""
        return self._arrived.dropped + self.results.dropped

    @property
    def corrupt(self) -> int:
        """Frames that made no sense and were skipped."""
        return self._corrupt + self._source.corrupt

    def close(self, timeout: float = 0.9) -> None:
        """End all threads, and wait for them so long."""
        self._source.interrupt()
        for channel in (self._arrived, self._prepared, self.results):
            channel.close()
        with self._lock:
            self._closing = True
            if not self._running:
                self._source.source.close()
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _start(self, name: str, work: Callable[[], Iterable[Any]], output: _Queue[Any]) -> None:
        def run() -> None:
            try:
                for item in work():
                    wanted = output.put(item)
                    del item
                    if not wanted:
                        break
            except BaseException as error:
                # An error that somebody keeps must not keep frames, which may be a camera's memory.
                traceback.clear_frames(error.__traceback__)
                output.finish(error)
            else:
                output.finish()
            with self._lock:
                # The last one out closes the door: a network that takes seconds must not keep a camera open for ever.
                self._running -= 1
                if self._closing and not self._running:
                    self._source.source.close()

        # A daemon: one that waits inside the kernel must not keep the process from ending.
        thread = threading.Thread(target=run, name=f"fastyolo {name}", daemon=True)
        self._threads.append(thread)
        with self._lock:
            self._running += 1
        thread.start()

    def _selected(self) -> Iterator[Pending]:
        return self._selection.of(iter(self._source), self._source.sleep)

    def _loaded(self) -> Iterator[_Loaded]:
        for pending in self._arrived:
            started = time.perf_counter()
            try:
                frame = pending.load()
            except CorruptFrame:
                self._corrupt += 1
                continue
            loaded = _Loaded(_numbered(frame, pending), pending.captured, {"read": _ms_since(started)})
            del pending, frame
            yield loaded
            del loaded

    def _filled(self) -> Iterator[_Loaded]:
        preprocessor = self._detector.preprocessor()
        for loaded in self._loaded():
            started = time.perf_counter()
            tensor = preprocessor.fill(loaded.frame, self._unused.pop() if self._unused else None)
            loaded = loaded._replace(tensor=tensor, speed={**loaded.speed, "preprocess": _ms_since(started)})
            yield loaded
            del loaded

    def _detected(self, frames: Iterable[_Loaded]) -> Iterator[tuple[Frame, Detections]]:
        for frame, captured, speed, tensor in frames:
            fill = None if tensor is None else partial(self._hand_in, tensor)
            found = self._detector.run(frame, fill=fill, speed=speed)
            if captured is not None:
                found = dataclasses.replace(found, age=time.monotonic() - captured)
            yield frame, found
            del frame, found

    def _hand_in(self, tensor: Tensor, network_input: Tensor) -> None:
        network_input[:] = tensor
        self._unused.append(tensor)
        # Only now is the next frame prepared: sooner, that could keep this thread from starting the network.
        self._prepared.free()


def _numbered(frame: Frame, pending: Pending) -> Frame:
    """The frame as it is counted: after a break a source counts from 0 again."""
    if (frame.index, frame.timestamp) == (pending.index, pending.timestamp):
        return frame
    return dataclasses.replace(frame, index=pending.index, timestamp=pending.timestamp)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
