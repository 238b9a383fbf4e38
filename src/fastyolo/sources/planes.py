"""A decoded video frame -> `Frame`: its planes looked at where the decoder or the camera left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastyolo.frames.colors import LAYOUTS, Color, YuvMatrix, YuvRange, has_even_width
from fastyolo.frames.frame import Extent, Frame, UInt8Array, view_frame
from fastyolo.preprocess import to_rgb

if TYPE_CHECKING:
    import av

COLORS: dict[str, Color] = {
    "rgb24": "rgb", "bgr24": "bgr", "rgba": "rgba", "bgra": "bgra", "argb": "xrgb", "abgr": "xbgr",
    "rgb0": "rgbx", "bgr0": "bgrx", "0rgb": "xrgb", "0bgr": "xbgr", "gray": "grey",
    "nv12": "nv12", "nv21": "nv21", "yuv420p": "i420", "yuvj420p": "i420", "yuv422p": "i422", "yuvj422p": "i422",
    "yuyv422": "yuyv", "uyvy422": "uyvy", "yvyu422": "yvyu",
}  # fmt: skip
"""FFmpeg's pixel formats that the kernel reads as they are. Every other one is converted first."""

# AVCOL_SPC_* and AVCOL_RANGE_* of FFmpeg's pixfmt.h, which are those of ITU-T H.273.
_MATRICES: dict[int, YuvMatrix] = {1: "bt709", 5: "bt601", 6: "bt601"}
_UNTAGGED_MATRICES = (0, 2, 3)
_RANGES: dict[int, YuvRange] = {1: "limited", 2: "full"}

HD_LINES = 720
"""Untagged video of this many lines and more is taken for BT.709, as players do."""


def to_frame(
    decoded: av.VideoFrame, *, index: int, timestamp: float | None, rotation: int = 0, mjpeg: bool = False
) -> Frame:
    """Return the upright frame that a decoder gave; planes are views that keep the decoder's buffer alive.

    FFmpeg counts references to a buffer and takes a new one while this one is in use, so nothing overwrites it.

    Args:
        decoded: what `decode()` gave.
        index, timestamp: see `Frame`.
        rotation: degrees counterclockwise by which it is to be turned for display; multiples of 90 are honoured.
        mjpeg: whether JPEG pictures were decoded, which are full range BT.601 unless something says otherwise.
    """
    matrix, value_range = _meaning(decoded, mjpeg)
    color = COLORS.get(decoded.format.name)
    known_matrix = matrix is not None or int(decoded.colorspace) in _UNTAGGED_MATRICES
    if color is None or (has_even_width(color) and decoded.width % 2) or not (known_matrix or _is_rgb(color)):
        decoded, color = decoded.reformat(format="rgb24"), "rgb"
    elif any(plane.line_size < 0 for plane in decoded.planes):
        # From bottom to top, as in AVI; PyAV gives no buffer of such planes.
        color = "bgr" if color == "rgb" else "rgb"
        decoded = decoded.reformat(format=f"{color}24")
    planes = [_plane(decoded, number, color) for number in range(len(decoded.planes))]
    frame = view_frame(planes, color)
    if rotation % 360:
        frame = _turned(frame, matrix, value_range, rotation // 90 % 4)
    height, width = frame.size
    is_yuv = not (_is_rgb(frame.color) or frame.color == "grey")
    return Frame(
        frame.planes,
        frame.color,
        frame.size,
        Extent.full((height, width)),
        (matrix or _usual_matrix(decoded.height, mjpeg)) if is_yuv else None,
        (value_range or ("full" if mjpeg else "limited")) if is_yuv else None,
        index,
        timestamp,
    )


def needs_conversion(format_name: str) -> bool:
    """Whether frames of this format of FFmpeg's cannot be read as they are."""
    return format_name not in COLORS


def _meaning(decoded: av.VideoFrame, mjpeg: bool) -> tuple[YuvMatrix | None, YuvRange | None]:
    """What the stream itself says of Y'CbCr; None where it says nothing."""
    value_range = _RANGES.get(int(decoded.color_range))
    if decoded.format.name.startswith("yuvj"):
        value_range = "full"
    matrix = _MATRICES.get(int(decoded.colorspace))
    return matrix, value_range


def _usual_matrix(height: int, mjpeg: bool) -> YuvMatrix:
    return "bt709" if height >= HD_LINES and not mjpeg else "bt601"


def _is_rgb(color: Color) -> bool:
    return LAYOUTS[color].kind in (0, 1)


def _plane(decoded: av.VideoFrame, number: int, color: Color) -> UInt8Array:
    """(rows, columns, bytes) of one plane; the padding behind each row is left out."""
    plane: Any = decoded.planes[number]
    expected = LAYOUTS[color].planes[number]
    rows, columns = -(-decoded.height // expected.down), -(-decoded.width // expected.across)
    pitch = plane.line_size
    # A plane's last row may end before its padding does.
    memory = np.frombuffer(plane, np.uint8)
    return np.lib.stride_tricks.as_strided(
        memory, (rows, columns, expected.bytes), (pitch, expected.bytes, 1), writeable=False
    )


def _turned(frame: Frame, matrix: YuvMatrix | None, value_range: YuvRange | None, quarters: int) -> Frame:
    """The frame turned counterclockwise by quarters of a turn: views again, unless that would shift the chroma."""
    down, across = frame.layout.group
    height, width = frame.size
    # Turned, 4:2:2 shares chroma the other way, and an odd side would shift the groups by one pixel.
    if down != across or height % down or width % across:
        meaning = matrix or _usual_matrix(height, False), value_range or "limited"
        tagged = Frame(frame.planes, frame.color, frame.size, frame.extent, *meaning)
        frame = view_frame(to_rgb(tagged), "rgb")
    planes = tuple(np.rot90(plane, quarters) for plane in frame.planes)
    size = (planes[0].shape[0], planes[0].shape[1])
    return Frame(planes, frame.color, size, Extent.full(size))
