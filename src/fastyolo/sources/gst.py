"""GStreamer pipelines that end in an appsink, through the distribution's PyGObject: hardware decoders, ISPs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fastyolo.errors import SourceError
from fastyolo.files import shown
from fastyolo.frames.colors import LAYOUTS, Color, YuvMatrix, YuvRange
from fastyolo.frames.frame import Extent, Frame, UInt8Array, view_frame
from fastyolo.sources.planes import HD_LINES
from fastyolo.sources.source import CorruptFrame, FrameSource, Pending

PREFIX = "gst:"

COLORS: dict[str, Color] = {
    "NV12": "nv12", "NV21": "nv21", "I420": "i420", "YV12": "yv12", "Y42B": "i422", "YUY2": "yuyv", "UYVY": "uyvy",
    "YVYU": "yvyu", "GRAY8": "grey", "RGB": "rgb", "BGR": "bgr", "RGBA": "rgba", "BGRA": "bgra", "RGBx": "rgbx",
    "BGRx": "bgrx", "ARGB": "xrgb", "xRGB": "xrgb", "ABGR": "xbgr", "xBGR": "xbgr",
}  # fmt: skip
"""GStreamer's formats -> ours."""

_NO_FRAME_SECONDS = 10.0
_POLL_NANOSECONDS = 100_000_000


class GstSource(FrameSource):
    """Samples of an appsink, looked at in the buffers that GStreamer filled."""

    def __init__(self, description: str) -> None:
        self._gst, self._video = _import_gst()
        self.name = f"{PREFIX}{description}"
        gst = self._gst
        try:
            self._pipeline = gst.parse_launch(description)
        except Exception as error:  # GLib.Error, which has no common base with anything of ours
            raise SourceError(f"{shown(self.name)}: {_words(error)}") from None
        self._sink = _appsink(self._pipeline, gst)
        if self._sink is None:
            self._pipeline.set_state(gst.State.NULL)
            raise SourceError(f'{shown(self.name)} has no appsink; let it end in "! appsink"')
        self._sink.set_property("emit-signals", False)
        self._sink.set_property("max-buffers", 2)
        self._stopped = False
        self._sample: Any = None
        self._preroll()

    def _preroll(self) -> None:
        """Start it; a pipeline that shows no frame when paused is live."""
        gst = self._gst
        answer = self._pipeline.set_state(gst.State.PAUSED)
        if answer == gst.StateChangeReturn.ASYNC:
            answer, _, _ = self._pipeline.get_state(int(_NO_FRAME_SECONDS * gst.SECOND))
        self.live = answer == gst.StateChangeReturn.NO_PREROLL
        if self.live:
            self._sink.set_property("drop", True)
            self._sink.set_property("sync", False)
        if answer in (gst.StateChangeReturn.FAILURE, gst.StateChangeReturn.ASYNC):
            why = self._failure() or "it does not start"
            self.close()
            raise SourceError(f"{shown(self.name)}: {why}")
        if not self.live:
            # A file is to be read as fast as it can be.
            self._sink.set_property("sync", False)
        known, length = self._pipeline.query_duration(gst.Format.TIME)
        self.duration = length / gst.SECOND if known and length > 0 and not self.live else None
        self._pipeline.set_state(gst.State.PLAYING)

    def seek(self, seconds: float) -> None:
        """Frames before it are passed over as they come."""

    def __iter__(self) -> Iterator[Pending]:
        gst = self._gst
        origin: int | None = None
        index = -1
        last = time.monotonic()
        while not self._stopped:
            sample = self._sink.emit("try-pull-sample", _POLL_NANOSECONDS)
            if sample is None:
                if why := self._failure():
                    raise SourceError(f"{shown(self.name)}: {why}")
                if self._sink.get_property("eos"):
                    if self.live:
                        raise SourceError(f"{shown(self.name)} has ended")
                    return
                if time.monotonic() - last > _NO_FRAME_SECONDS and self.live:
                    raise SourceError(f"{shown(self.name)} has given no frame for {_NO_FRAME_SECONDS:g} s")
                continue
            last = time.monotonic()
            index += 1
            pts = sample.get_buffer().pts
            known = pts != gst.CLOCK_TIME_NONE
            origin = pts if origin is None and known else origin
            timestamp = (pts - (origin or 0)) / gst.SECOND if known else None
            captured = self._captured(pts if known else None) if self.live else None
            yield Pending(index, timestamp, captured, partial(self._load, sample, index, timestamp))

    def _captured(self, pts: int | None) -> float:
        """By the pipeline's clock the frame is so old."""
        clock = self._pipeline.get_clock()
        if clock is None or pts is None:
            return time.monotonic()
        running = int(clock.get_time()) - int(self._pipeline.get_base_time())
        return time.monotonic() - max(0.0, (running - pts) / 1e9)

    def interrupt(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._stopped = True
        self._pipeline.set_state(self._gst.State.NULL)

    def _failure(self) -> str | None:
        """What the pipeline last complained of."""
        message = self._pipeline.get_bus().pop_filtered(self._gst.MessageType.ERROR)
        if message is None:
            return None
        error, _ = message.parse_error()
        return _words(error)

    def _load(self, sample: Any, index: int, timestamp: float | None) -> Frame:
        info = self._video.VideoInfo.new_from_caps(sample.get_caps())
        name = info.finfo.name if info is not None else ""
        color = COLORS.get(name)
        if color is None:
            known = ", ".join(COLORS)
            raise SourceError(
                f"{shown(self.name)} gives {name or 'no video'}, expected one of {known}; "
                'put "videoconvert !" before the appsink'
            )
        planes = self._planes(sample.get_buffer(), info, color)
        frame = view_frame(planes, color)
        matrix, value_range = _meaning(info, color)
        return Frame(
            frame.planes, frame.color, frame.size, Extent.full(frame.size), matrix, value_range, index, timestamp
        )

    def _planes(self, buffer: Any, info: Any, color: Color) -> list[UInt8Array]:
        memory = np.asarray(_Mapped(buffer, self._gst))
        meta = self._video.buffer_get_video_meta(buffer)
        offsets, strides = (meta.offset, meta.stride) if meta is not None else (info.offset, info.stride)
        height, width = info.height, info.width
        planes = []
        for number, expected in enumerate(LAYOUTS[color].planes):
            rows, columns = -(-height // expected.down), -(-width // expected.across)
            start, stride = offsets[number], strides[number]
            if start + (rows - 1) * stride + columns * expected.bytes > memory.size:
                raise CorruptFrame("its buffer is too short")
            planes.append(
                np.lib.stride_tricks.as_strided(
                    memory[start:], (rows, columns, expected.bytes), (stride, expected.bytes, 1), writeable=False
                )
            )
        return planes


class _Mapped:
    """A buffer's bytes where GStreamer has them, for NumPy; given back when no array looks at them any more."""

    def __init__(self, buffer: Any, gst: Any) -> None:
        self._buffer = buffer
        mapped, self._info = buffer.map(gst.MapFlags.READ)
        if not mapped:
            raise CorruptFrame("its buffer cannot be read")
        # Without the distribution's additions to PyGObject (python3-gst-1.0) this is a copy.
        self._bytes = np.frombuffer(self._info.data, np.uint8)
        self.__array_interface__ = self._bytes.__array_interface__

    def __del__(self) -> None:
        if hasattr(self, "_bytes"):
            del self._bytes
            self._buffer.unmap(self._info)


def open_pipeline(text: str) -> GstSource:
    """Open ``gst:PIPELINE ! appsink``.

    Raises:
        SourceError: GStreamer or PyGObject are missing, or the pipeline does not start.
    """
    description = text.removeprefix(PREFIX).strip()
    if not description:
        raise SourceError('expected a pipeline, such as "gst:videotestsrc ! appsink"')
    return GstSource(description)


def _import_gst() -> tuple[Any, Any]:
    try:
        import gi

        gi.require_version("Gst", "1.0")
        gi.require_version("GstVideo", "1.0")
        from gi.repository import Gst, GstVideo
    except (ImportError, ValueError) as error:
        raise SourceError(
            f"gst: needs GStreamer's Python modules of the distribution (Debian: apt install python3-gst-1.0 "
            f"gstreamer1.0-plugins-base) in the Python that runs fastyolo: {error}"
        ) from None
    Gst.init(None)
    return Gst, GstVideo


def _appsink(pipeline: Any, gst: Any) -> Any:
    if not isinstance(pipeline, gst.Bin):
        return None
    return next(iter(pipeline.iterate_all_by_element_factory_name("appsink")), None)


def _meaning(info: Any, color: Color) -> tuple[YuvMatrix | None, YuvRange | None]:
    """Matrix and range of Y'CbCr by the caps' colorimetry."""
    if LAYOUTS[color].kind <= 2:
        return None, None
    matrix, value_range = info.colorimetry.matrix.value_name, info.colorimetry.range.value_name
    untagged = not matrix.endswith(("BT709", "BT601"))
    bt709 = matrix.endswith("BT709") or (untagged and info.height >= HD_LINES)
    return "bt709" if bt709 else "bt601", "full" if value_range.endswith("RANGE_0_255") else "limited"


def _words(error: Any) -> str:
    return " ".join(str(getattr(error, "message", None) or error).split())
