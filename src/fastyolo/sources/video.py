"""What PyAV demultiplexes and decodes: a video file, and the base of every other source that goes through PyAV."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastyolo.errors import SourceError
from fastyolo.files import shown
from fastyolo.sources.planes import needs_conversion, to_frame
from fastyolo.sources.pyav import av_errors, import_av, reason
from fastyolo.sources.source import CorruptFrame, FrameSource, Pending

if TYPE_CHECKING:
    import av

    from fastyolo.frames.frame import Frame

MOST_CORRUPT_AT_ONCE = 300
"""So many packets without a frame between them, ten seconds' worth, are no video."""


class AvSource(FrameSource):
    """Frames of a container's first video stream.

    Codecs that keep each frame by itself (raw, MJPEG) are decoded only when a frame is asked for.
    """

    def __init__(
        self, opened: Any, name: str, *, live: bool = False, options: Mapping[str, str] | None = None, **how: Any
    ):
        """Open what `av.open` takes; `how` are its other arguments."""
        self.name = name
        self.live = live
        self._stopped = False
        self._packets_seen = 0
        self._start: float | None = None
        with av_errors(f"cannot open {shown(name)}"):
            # The container's own: a decoder knows "video_size" too, and would believe it against the camera.
            self._container = import_av().open(opened, container_options=dict(options or {}), **how)
        stream = self._container.streams.best("video")
        if stream is None:
            self.close()
            raise SourceError(f"{shown(name)} has no video in it")
        self._stream = stream
        self._describe()

    def _describe(self) -> None:
        stream, codec = self._stream, self._stream.codec_context
        self.frames = stream.frames or None
        self.size = codec.height, codec.width
        self.rate = float(stream.average_rate) if stream.average_rate else None
        self.mjpeg = codec.name == "mjpeg"
        # One frame a packet, so a packet can wait undecoded, or be dropped.
        self._intra = bool(codec.codec.intra_only) or self.mjpeg or codec.name == "rawvideo"
        seconds = self._container.duration
        self.duration = seconds / 1e6 if seconds and not self.live else None
        codec.thread_type = "SLICE" if self.live or self._intra else "AUTO"
        if codec.pix_fmt and needs_conversion(codec.pix_fmt):
            self.notes += (f"{shown(self.name)}: frames are {codec.pix_fmt}, which is converted to RGB first",)

    def seek(self, seconds: float) -> None:
        self._start = seconds

    def __iter__(self) -> Iterator[Pending]:
        packets = self._packets()
        if self._start is not None:
            packets, first, origin = self._from(self._start, packets)
        else:
            first, origin = 0, None
        frames = self._undecoded(packets) if self._intra else self._decoded(packets)
        index = first - 1
        for timestamp, load in frames:
            index += 1
            captured = self._captured(timestamp)
            if timestamp is None:
                timestamp = index / self.rate if self.rate and not self.live else None
            elif origin is None:
                origin = timestamp if self.live else self._beginning(timestamp)
            shown_at = None if timestamp is None else timestamp - (origin or 0)
            if self._start is not None and shown_at is not None and shown_at < self._start - 1e-6:
                continue
            yield Pending(index, shown_at, captured, partial(load, index, shown_at))
            # Nothing of a frame stays behind while one waits for the next: a camera that broke must be closed first.
            del load
        if not self._stopped:
            self._check_end()

    def interrupt(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True
        self._container.close()

    def _captured(self, timestamp: float | None) -> float | None:
        """When a live frame came in."""
        return time.monotonic() if self.live else None

    def _beginning(self, first: float) -> float:
        """What the stream calls its beginning, which need not be zero."""
        begin = self._stream.start_time
        return first if begin is None else min(first, float(begin * self._stream.time_base))

    def _packets(self) -> Iterator[av.Packet]:
        with av_errors(f"cannot read on in {shown(self.name)}"):
            for packet in self._container.demux(self._stream):
                if self._stopped:
                    return
                self._packets_seen += packet.size > 0
                yield packet

    def _undecoded(self, packets: Iterator[av.Packet]) -> Iterator[tuple[float | None, Any]]:
        for packet in packets:
            if packet.size:
                yield seconds_of(packet), partial(self._load, packet)

    def _load(self, packet: av.Packet, index: int, timestamp: float | None) -> Frame:
        try:
            decoded = packet.decode()
        except (OSError, ValueError) as error:
            raise CorruptFrame(reason(error)) from None
        if not decoded or decoded[0].is_corrupt:
            raise CorruptFrame("it cannot be decoded")
        return self._frame(decoded[0], index, timestamp)

    def _decoded(self, packets: Iterator[av.Packet]) -> Iterator[tuple[float | None, Any]]:
        at_once = 0
        for packet in packets:
            try:
                decoded = packet.decode()
            except EOFError:
                return
            except (OSError, ValueError):
                self.corrupt += 1
                at_once += 1
                if at_once > MOST_CORRUPT_AT_ONCE:
                    raise SourceError(f"{shown(self.name)}: {at_once} packets in a row make no sense") from None
                continue
            for frame in decoded:
                at_once = 0
                if frame.is_corrupt:
                    self.corrupt += 1
                else:
                    yield frame.time, partial(self._frame, frame)

    def _frame(self, decoded: av.VideoFrame, index: int, timestamp: float | None) -> Frame:
        return to_frame(decoded, index=index, timestamp=timestamp, rotation=decoded.rotation, mjpeg=self.mjpeg)

    def _from(self, start: float, packets: Iterator[av.Packet]) -> tuple[Iterator[av.Packet], int, float | None]:
        """The packets needed to decode what is shown from `start` on; the number and the origin of the first of them.

        Everything before is read, not decoded: so frames keep their numbers, and what cannot seek can start late too.
        """
        origin: float | None = None
        before = 0
        waiting: list[av.Packet] = []
        for packet in packets:
            at = seconds_of(packet)
            if at is not None and origin is None:
                origin = self._beginning(at)
            arrived = packet.size == 0 or (at is not None and at - (origin or 0) >= start)
            if packet.is_keyframe and not arrived:
                before += len(waiting)
                waiting = []
            waiting.append(packet)
            if arrived:
                break

        def rest() -> Iterator[av.Packet]:
            yield from waiting
            yield from packets

        return rest(), before, origin

    def _check_end(self) -> None:
        if self.live:
            raise SourceError(f"{shown(self.name)} has ended")
        if self.frames and self._packets_seen < self.frames:
            self.problem = f"{shown(self.name)} is cut off: it has {self._packets_seen} of its {self.frames} frames"


def open_video(path: str | os.PathLike[str]) -> AvSource:
    """Open a video file.

    Raises:
        SourceError: it is missing, unreadable or no video; PyAV is not installed.
    """
    name = os.fspath(path)
    if not os.path.isfile(name):
        what = "is not a regular file, expected a video" if os.path.exists(name) else "no such file"
        raise SourceError(f"{shown(name)}: {what}")
    if not os.path.getsize(name):
        raise SourceError(f"{shown(name)} is empty, expected a video")
    # "file:" keeps a name such as "a:b.mp4" from being taken for a protocol.
    return AvSource(f"file:{Path(name)}", name)


def seconds_of(packet: av.Packet) -> float | None:
    """When a packet is to be shown, by its stream's own clock."""
    return None if packet.pts is None else float(packet.pts * packet.time_base)
