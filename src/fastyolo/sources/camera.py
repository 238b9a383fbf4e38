"""Cameras by V4L2, through PyAV: /dev/video3, 3, or "camera" for the first; options behind a "?"."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import select
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fastyolo.errors import OptionError, SourceError
from fastyolo.files import shown
from fastyolo.sources import v4l2
from fastyolo.sources.lending import Lender, Loan
from fastyolo.sources.pyav import import_av
from fastyolo.sources.video import AvSource, seconds_of

if TYPE_CHECKING:
    import av

    from fastyolo.frames.frame import Frame

_NO_FRAME_SECONDS = 10.0
"""A camera that gives no frame for so long is broken, or has no picture."""

_NONBLOCKING = "+4"
"""AVFMT_FLAG_NONBLOCK of avformat.h, which has no name among the options: a wait in the kernel would never end."""

_DESIRABLE = list(dict.fromkeys(v4l2.FORMATS.values()))


class CameraSource(AvSource):
    """Frames as the driver gives them, with the driver's own timestamps."""

    lends = True

    def __init__(self, path: str, options: dict[str, str]) -> None:
        self._lender = Lender(super().close)
        before, mapped = _descriptors(path), _mappings(path)
        given = {"fflags": _NONBLOCKING, **options}
        try:
            super().__init__(path, path, live=True, options=given, format="v4l2", timeout=(_NO_FRAME_SECONDS, None))
        except SourceError as error:
            # Where a camera refuses to start, FFmpeg forgets its buffers, and it would be busy ever after.
            for start, length in _mappings(path) - mapped:
                ctypes.CDLL(None).munmap(ctypes.c_void_p(start), ctypes.c_size_t(length))
            raise _explained(error, path) from None
        self._descriptor = next(iter(_descriptors(path) - before), None)
        self._clock_offset: float | None = None
        codec = self._stream.codec_context
        self._check(path, options.get("video_size"), f"{self.size[1]}x{self.size[0]}")
        self._check(path, options.get("input_format"), codec.pix_fmt if codec.name == "rawvideo" else codec.name)

    def close(self) -> None:
        self._stopped = True
        self._lender.close()

    def _undecoded(self, packets: Iterator[av.Packet]) -> Iterator[tuple[float | None, Any]]:
        for packet in packets:
            loan = self._lender.lend(packet)
            yield seconds_of(packet), partial(self._load_lent, loan)
            del packet, loan

    def _load_lent(self, loan: Loan, index: int, timestamp: float | None) -> Frame:
        frame = self._load(loan.things[0], index, timestamp)
        if self._stream.codec_context.name != "rawvideo":
            return frame
        # The decoder of raw video looks at the camera's buffer itself.
        return dataclasses.replace(frame, planes=tuple(map(loan.view, frame.planes)))

    def _check(self, path: str, wanted: str | None, given: str) -> None:
        """Drivers and FFmpeg give something else, without a word, where they do not know what is asked for."""
        if wanted is not None and wanted != given:
            self.close()
            offered = v4l2.in_words(v4l2.offers(path)) or "nothing that it names"
            raise SourceError(f"{path} does not capture {wanted}, it would give {given}; it offers {offered}")

    def _captured(self, timestamp: float | None) -> float | None:
        if timestamp is None:
            return time.monotonic()
        if self._clock_offset is None:
            # Drivers stamp frames by the monotonic clock; a few old ones by the time of day.
            late = time.monotonic() - timestamp
            self._clock_offset = 0.0 if abs(late) < 3600 else time.monotonic() - time.time()
        return timestamp + self._clock_offset

    def _packets(self) -> Iterator[av.Packet]:
        av = import_av()
        last = time.monotonic()
        while not self._stopped:
            if not self._wait():
                if time.monotonic() - last > _NO_FRAME_SECONDS:
                    raise SourceError(f"{shown(self.name)} has given no frame for {_NO_FRAME_SECONDS:g} s")
                continue
            try:
                packet = next(self._container.demux(self._stream))
            except av.error.BlockingIOError:
                continue
            except (OSError, ValueError, StopIteration) as error:
                raise SourceError(f"{shown(self.name)} was lost: {_why_lost(error)}") from None
            last = time.monotonic()
            if packet.size == 0 and packet.pts is None:
                raise SourceError(f"{shown(self.name)} was lost")
            if packet.size == 0 or packet.is_corrupt:
                # The driver itself says that something went wrong with this frame.
                self.corrupt += 1
                continue
            yield packet
            del packet

    def _wait(self) -> bool:
        """Until there is a frame, but not so long that nobody could interrupt."""
        if self._descriptor is None:
            time.sleep(0.002)
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(100))


def open_camera(text: str) -> CameraSource:
    """Open ``/dev/video3``, ``3`` or ``camera``, with options such as ``?size=1280x720&fps=30&format=nv12``.

    Raises:
        SourceError: there is none, it may not be used, is busy, or does not offer what was asked for.
        OptionError: an option that is not understood.
    """
    name, _, query = text.partition("?")
    options = _options(query, text)
    import_av()
    if name == "camera":
        path = next((device.path for device in v4l2.devices() if device.captures), "")
        if not path:
            raise SourceError("no camera was found: no /dev/video* of this machine captures, or none may be used")
    else:
        path = f"/dev/video{name}" if name.isdigit() else name
    device = v4l2.query(path)
    if not device.captures:
        if device.planes_apart:
            cure = f'use "gst:v4l2src device={path} ! video/x-raw,format=NV12 ! appsink"'
            raise SourceError(f"{path} ({device.card}) captures only by V4L2's multi-planar way; {cure}")
        raise SourceError(f"{path} ({device.card}) does not capture; {v4l2.available()}")
    if "input_format" not in options:
        offered = {offer.format for offer in v4l2.offers(path)}
        best = next((name for name in _DESIRABLE if name in offered), None)
        if best is not None:
            options["input_format"] = best
    return CameraSource(path, options)


def _options(query: str, text: str) -> dict[str, str]:
    """Our names of options -> FFmpeg's."""
    options = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "size" and re.fullmatch(r"\d+x\d+", value):
            options["video_size"] = value
        elif key == "fps" and re.fullmatch(r"\d+(\.\d+|/\d+)?", value):
            options["framerate"] = value
        elif key == "format" and value:
            options["input_format"] = _FORMAT_NAMES.get(value.lower(), value)
        else:
            raise OptionError(
                f"options of a camera are size=1280x720, fps=30 and format=nv12, got {shown(f'{key}={value}')} "
                f"in {shown(text)}"
            )
    return options


_FORMAT_NAMES = {
    "i420": "yuv420p", "i422": "yuv422p", "yuyv": "yuyv422", "yuy2": "yuyv422", "uyvy": "uyvy422",
    "grey": "gray", "rgb": "rgb24", "bgr": "bgr24", "bgrx": "bgr0", "mjpg": "mjpeg",
}  # fmt: skip


def _explained(error: SourceError, path: str) -> SourceError:
    """FFmpeg's reason, and what the camera offers."""
    text = str(error)
    if "busy" in text.lower():
        return SourceError(f"{path} is busy: another program uses it")
    offered = v4l2.in_words(v4l2.offers(path))
    return SourceError(f"{text}; it offers {offered}" if offered else text)


def _why_lost(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and 0 < number < 200 else "it gives no more frames"


def _descriptors(path: str) -> set[int]:
    """This process' open descriptors of a device."""
    found = set()
    with suppress(OSError):
        device = os.stat(path).st_rdev
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if os.stat(int(name)).st_rdev == device and device:
                    found.add(int(name))
    return found


def _mappings(path: str) -> set[tuple[int, int]]:
    """Where this process has a device's buffers in its memory: address and length."""
    found = set()
    with suppress(OSError), open("/proc/self/maps") as maps:
        for line in maps:
            place, *_, name = line.split(maxsplit=5)
            if name.strip() == os.path.realpath(path):
                start, end = (int(side, 16) for side in place.split("-"))
                found.add((start, end - start))
    return found
