"""Short videos made on the fly. PyAV is imported only when one is made."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NEEDS_PYAV = "needs PyAV, which is installed where this project is developed only"

# x264 and x265 with several threads are slower on such short clips, and x265 talks.
_QUICK = {
    "libx264": {"preset": "ultrafast", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "mjpeg": {"qmin": "2", "qmax": "4"},
}


def make_clip(
    path: Path,
    pictures: Sequence[Image.Image],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    fps: int = 30,
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
) -> Path:
    """Encode pictures as frames, shown at `times` in seconds, by default one each 1/fps."""
    import av

    with av.open(str(path), "w", options=container or {}) as output:
        stream: Any = output.add_stream(codec, rate=fps, options={**_QUICK.get(codec, {}), **(options or {})})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pixels
        stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture.convert("RGB")).reformat(format=pixels)
            frame.pts = round((index / fps if times is None else times[index]) * 90_000)
            frame.time_base = stream.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def rotate(path: Path, degrees: int) -> None:
    """Tell players of an MP4 to turn it clockwise, by the matrix in its track header (ISO/IEC 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cosine, sine, 0, -sine, cosine, 0, 0, 0, 16384]
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", *(value * 65536 for value in matrix))
    path.write_bytes(content)


def decoded(path: Path) -> list[Any]:
    """Every frame as PyAV gives it."""
    import av

    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def planes_of(frame: Any) -> list[np.ndarray]:
    """A planar frame's planes, copied, without padding."""
    planes = []
    for number, plane in enumerate(frame.planes):
        width, height = plane.width, plane.height
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
        assert number < 3
        planes.append(rows.copy())
    return planes


def moving(picture: Image.Image, count: int, size: tuple[int, int] = (320, 240)) -> list[Image.Image]:
    """Frames over which a camera pans: windows of `size` (width, height) on a picture."""
    width, height = size
    whole = picture.resize((width + 2 * count, height * 2))
    return [whole.crop((2 * index, height // 4, 2 * index + width, height // 4 + height)) for index in range(count)]
