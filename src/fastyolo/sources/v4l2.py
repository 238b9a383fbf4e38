"""What V4L2 says of this machine's cameras: which there are, which formats and sizes they offer (videodev2.h)."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from fastyolo.errors import SourceError
from fastyolo.files import shown

# _IOR and _IOWR of "V": direction, size of the struct, number.
_QUERYCAP = 0x80685600
_ENUM_FMT = 0xC0405602
_ENUM_FRAMESIZES = 0xC02C564A

_CAPTURE, _CAPTURE_MPLANE, _DEVICE_CAPS = 0x1, 0x1000, 0x80000000
_TYPE_CAPTURE, _TYPE_CAPTURE_MPLANE = 1, 9

FORMATS = {
    "NV12": "nv12", "YU12": "yuv420p", "422P": "yuv422p", "YUYV": "yuyv422", "UYVY": "uyvy422", "GREY": "gray",
    "RGB3": "rgb24", "BGR3": "bgr24", "BGR4": "bgr0", "MJPG": "mjpeg", "JPEG": "mjpeg", "H264": "h264",
}  # fmt: skip
"""V4L2's names of formats -> FFmpeg's, of those that it captures; those first that cost the kernel least."""


class Device(NamedTuple):
    """A video device: where it is, what it is called, and how it can capture."""

    path: str
    card: str
    captures: bool
    planes_apart: bool
    """It captures, but only in the multi-planar way, which FFmpeg does not know."""


class Offer(NamedTuple):
    """A format of a camera, by FFmpeg's name, and sizes as (width, height), or ranges in words."""

    format: str
    sizes: tuple[tuple[int, int], ...]
    ranges: tuple[str, ...]


def devices() -> Iterator[Device]:
    """Every /dev/video* that can be asked, by number."""
    for path in sorted(glob.glob("/dev/video*"), key=lambda path: int(re.sub(r"\D", "", path) or 0)):
        try:
            yield query(path)
        except (OSError, SourceError):
            continue


def query(path: str) -> Device:
    """Ask a device what it is.

    Raises:
        SourceError: it is none, or may not be used; one line with the cure.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise _cannot_open(path, error) from None
    try:
        answer = fcntl.ioctl(descriptor, _QUERYCAP, bytes(104))
    except OSError:
        raise SourceError(f"{shown(path)} is not a video device") from None
    finally:
        os.close(descriptor)
    card, capabilities, here = struct.unpack("16x32s32x4xII12x", answer)
    flags = here if capabilities & _DEVICE_CAPS else capabilities
    name = card.split(b"\0")[0].decode(errors="replace")
    return Device(path, shown(name), bool(flags & _CAPTURE), bool(flags & _CAPTURE_MPLANE))


def offers(path: str) -> list[Offer]:
    """The formats and sizes of a camera; empty where it does not say."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        found = []
        for fourcc in _formats(descriptor):
            sizes, ranges = _sizes(descriptor, fourcc)
            name = fourcc.decode("latin-1").strip()
            found.append(Offer(FORMATS.get(name, name), sizes, ranges))
        return found
    finally:
        os.close(descriptor)


def in_words(found: list[Offer]) -> str:
    """What a camera offers, on one line."""
    return "; ".join(
        f"{offer.format} {', '.join([*(f'{width}x{height}' for width, height in offer.sizes), *offer.ranges])}".strip()
        for offer in found
        if offer.format in FORMATS.values()
    )


def available() -> str:
    """The cameras there are, in words, for messages."""
    found = [f"{device.path} ({device.card})" for device in devices() if device.captures]
    return f"there is {', '.join(found)}" if found else "no camera was found"


def _formats(descriptor: int) -> Iterator[bytes]:
    for index in range(256):
        request = struct.pack("II56x", index, _TYPE_CAPTURE)
        try:
            answer = fcntl.ioctl(descriptor, _ENUM_FMT, request)
        except OSError:
            return
        yield answer[44:48]


def _sizes(descriptor: int, fourcc: bytes) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    discrete: list[tuple[int, int]] = []
    for index in range(256):
        request = struct.pack("I4s36x", index, fourcc)
        try:
            answer = fcntl.ioctl(descriptor, _ENUM_FRAMESIZES, request)
        except OSError:
            break
        kind, *numbers = struct.unpack("8xI6I8x", answer)
        if kind != 1:
            low_width, high_width, _, low_height, high_height, _ = numbers
            return (), (f"{low_width}x{low_height} to {high_width}x{high_height}",)
        discrete.append((numbers[0], numbers[1]))
    return tuple(discrete), ()


def _cannot_open(path: str, error: OSError) -> SourceError:
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return SourceError(f"{shown(path)}: no such camera; {available()}")
    if error.errno in (errno.EACCES, errno.EPERM):
        cure = "add yourself to the group video (sudo usermod -aG video $USER, then log in again)"
        return SourceError(f"{shown(path)}: no permission to use it; {cure}")
    if error.errno == errno.EBUSY:
        return SourceError(f"{shown(path)} is busy: another program uses it")
    return SourceError(f"{shown(path)}: {error.strerror}")
