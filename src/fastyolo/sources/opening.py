"""One function that opens whatever a user names."""

from __future__ import annotations

import os
import re
from typing import Literal

from fastyolo.sources.source import FrameSource

Kind = Literal["picture", "video", "camera", "stream", "stdin", "gst"]

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
    if source.startswith("/dev/") and _CAMERA.fullmatch(source):
        return "camera"
    if not os.path.lexists(source) if "\0" not in source else False:
        if source.startswith("gst:"):
            return "gst"
        if _ADDRESS.fullmatch(source):
            return "stream"
        if _CAMERA.fullmatch(source):
            return "camera"
    elif os.path.splitext(source)[1].lower() not in VIDEO_SUFFIXES and _begins_like_video(source):
        return "video"
    return "video" if os.path.splitext(source)[1].lower() in VIDEO_SUFFIXES else "picture"


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
    return (
        head.startswith((b"\x1a\x45\xdf\xa3", b"OggS", b"FLV", b"DKIF", b"YUV4MPEG2", b"\0\0\1\xba", b"\0\0\0\1"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
    )
