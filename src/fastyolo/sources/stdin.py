"""Standard input: one picture, JPEGs one after the other, or a video."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastyolo.errors import SourceError
from fastyolo.sources.opening import looks_like_video
from fastyolo.sources.source import FrameSource

NAME = "-"
_JPEG = b"\xff\xd8\xff"
_PICTURES = (
    b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"qoif", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ",
    b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
)  # fmt: skip
MAX_BYTES = 512 << 20
"""Largest picture read from stdin."""


class Pipe:
    """A file to read from that has been looked into: what was read comes first. It can be interrupted."""

    name = NAME

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ahead = b""
        self._stopped = False

    def peek(self, size: int) -> bytes:
        """The next bytes, less only if there are no more."""
        while len(self._ahead) < size:
            more = self._more(1 << 16)
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int = -1) -> bytes:
        """What is there, up to `size` bytes; nothing only at the end."""
        if self._ahead:
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken
        return self._more(size)

    def interrupt(self) -> None:
        """Let whoever reads see the end."""
        self._stopped = True

    def _more(self, size: int) -> bytes:
        while not self._stopped:
            if select.select([self._descriptor], [], [], 0.1)[0]:
                return os.read(self._descriptor, size)
        return b""


class Picture(NamedTuple):
    """A single picture, as a file holds it."""

    content: bytes


def read_stdin() -> Picture | FrameSource:
    """Tell by its first bytes what stdin holds: a picture, or something to open as video.

    Raises:
        SourceError: it is empty, a terminal, or cannot be opened.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise SourceError("stdin is closed, expected a picture or a video on it")
    if sys.stdin.isatty():
        raise SourceError("stdin is a terminal, expected a picture or a video on it")
    descriptor = sys.stdin.fileno()
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and looks_like_video(os.pread(descriptor, 16, 0)):
        from fastyolo.sources.video import AvSource

        # Opened anew, as FFmpeg may have to look at its end first.
        return AvSource(f"file:/dev/fd/{descriptor}", NAME)
    return read_pipe(Pipe(descriptor))


def read_pipe(pipe: Pipe) -> Picture | FrameSource:
    """The same of any pipe."""
    head = pipe.peek(16)
    if not head:
        raise SourceError("stdin is empty, expected a picture or a video on it")
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] == b"ftypavif":
        return Picture(_all_of(pipe))
    if head.startswith(_JPEG):
        first = _one_jpeg(pipe)
        if first is not None:
            return Picture(first)
        return _video(pipe, "mjpeg")
    return _video(pipe)


def open_stdin() -> FrameSource:
    """Open stdin as a source of frames.

    Raises:
        SourceError: it holds a single picture, nothing, or nothing that can be read.
    """
    found = read_stdin()
    if isinstance(found, Picture):
        raise SourceError("stdin holds a single picture, expected a video; pass its bytes to Detector")
    return found


def _video(pipe: Pipe, format_name: str | None = None) -> FrameSource:
    from fastyolo.sources.video import AvSource

    is_mp4 = pipe.peek(8)[4:] == b"ftyp"

    class PipedSource(AvSource):
        def _packets(self) -> Iterator[Any]:
            try:
                yield from super()._packets()
            except SourceError as error:
                cure = "; an MP4 by a pipe must have its index in front (faststart)" if is_mp4 else ""
                raise SourceError(f"{error}{cure}") from None

        def interrupt(self) -> None:
            super().interrupt()
            pipe.interrupt()

    return PipedSource(pipe, NAME, buffer_size=1 << 16, format=format_name)


def _all_of(pipe: Pipe) -> bytes:
    parts, size = [], 0
    while part := pipe.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise SourceError(f"stdin holds a picture of more than {MAX_BYTES >> 20} MB")
    return b"".join(parts)


def _one_jpeg(pipe: Pipe) -> bytes | None:
    """The picture, if there is only one; None, with nothing taken from the pipe, if another one follows."""
    size = 1 << 16
    while True:
        seen = pipe.peek(size)
        end = jpeg_end(seen)
        if end is not None and pipe.peek(end + 3)[end:] == _JPEG:
            return None
        if len(seen) < size:
            return seen
        if size > MAX_BYTES:
            raise SourceError(f"stdin holds a picture of more than {MAX_BYTES >> 20} MB")
        size *= 2


def jpeg_end(data: bytes) -> int | None:
    """Where the JPEG that begins `data` ends; None if it does not end there. Previews inside it are passed over."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xD9:
            return at + 2
        elif marker == 0xDA:
            at = _after_scan(data, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big"))
        elif 0xD0 <= marker <= 0xD7 or marker == 0x01:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 2 if data[at : at + 2] == b"\xff\xd9" else None


def _after_scan(data: bytes, at: int) -> int:
    """The next marker behind entropy-coded data, in which 0xFF is followed by 0 or a restart marker."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            return at
