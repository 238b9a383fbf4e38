"""One function that opens whatever a user names."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fastyolo.sources.source import FrameSource
    from fastyolo.sources.stdin import Picture

Kind = Literal["picture", "video", "camera", "stream", "stdin", "gst"]

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
        ".webp", ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".qoi",
    )
)  # fmt: skip
"""What counts as a picture in a folder. A file named outright is tried whatever its suffix."""

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".mjpg", ".mjpeg",
        ".h264", ".264", ".avc", ".h265", ".265", ".hevc", ".wmv", ".flv", ".3gp", ".ogv", ".y4m", ".ivf", ".mxf",
    )
)  # fmt: skip
"""What is taken for a video by its name alone."""

_CAMERA = re.compile(r"(camera|\d+|/dev/(video|v4l/).+?)(\?.*)?")
_ADDRESS = re.compile(r"(rtsps?|https?|rtmps?|udp|rtp|srt|tcp)://.*", re.IGNORECASE)


def kind_of(source: str) -> Kind:
    """What a user means. A file or folder of that name is meant literally, whatever else the name could say."""
    if source == "-":
        return "stdin"
    camera, address = _CAMERA.fullmatch(source), _ADDRESS.fullmatch(source)
    if camera and source.startswith("/dev/"):
        return "camera"
    if (camera or address or source.startswith("gst:")) and not os.path.lexists(source):
        return "camera" if camera else "stream" if address else "gst"
    suffix = os.path.splitext(source)[1].lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "picture" if suffix in IMAGE_SUFFIXES or not _begins_like_video(source) else "video"


def open_any(source: str) -> Picture | FrameSource:
    """The same, or the content of the single picture that comes by stdin or from a server."""
    kind = kind_of(source)
    if kind == "stream":
        from fastyolo.sources.streams import fetch

        return fetch(source)
    if kind == "stdin":
        from fastyolo.sources.stdin import read_stdin

        return read_stdin()
    return open_source(source)


def open_source(source: str | os.PathLike[str] | int) -> FrameSource:
    """Open a video, camera, stream, stdin or GStreamer pipeline.

    Raises:
        SourceError: it cannot be opened, in one line.
        OptionError: options behind a "?" that are not understood.
    """
    text = str(source) if isinstance(source, int) else os.fspath(source)
    kind = kind_of(text)
    if kind == "camera":
        from fastyolo.sources.camera import open_camera

        return open_camera(text)
    if kind == "stream":
        from fastyolo.sources.streams import open_stream

        return open_stream(text)
    if kind == "stdin":
        from fastyolo.sources.stdin import open_stdin

        return open_stdin()
    if kind == "gst":
        from fastyolo.sources.gst import open_pipeline

        return open_pipeline(text)
    from fastyolo.sources.video import open_video

    return open_video(text)


def _begins_like_video(path: str) -> bool:
    """Whether a file of any name holds video, by its first bytes."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return looks_like_video(file.read(16))
    except OSError:
        return False


def looks_like_video(head: bytes) -> bool:
    """Whether these first bytes are those of a common video container. AVIF pictures begin as MP4 does."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1")
    return head.startswith(
        (b"\x1a\x45\xdf\xa3", b"OggS", b"FLV", b"DKIF", b"YUV4MPEG2", b"\0\0\1\xba", b"\0\0\0\1")
    ) or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
