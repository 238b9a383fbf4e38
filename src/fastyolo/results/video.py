"""An annotated video, written so that whatever stops the program, the file plays up to the last whole frame."""

from __future__ import annotations

import contextlib
import os
import stat
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from fastyolo.callbacks import called_by_native_code
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.files import shown
from fastyolo.sources.pyav import import_av, reason

if TYPE_CHECKING:
    import av
    from PIL.Image import Image
    from typing_extensions import Self

SUFFIXES = (".mp4", ".mkv")
"""Containers that can be read up to where writing stopped."""

_TIME_BASE = Fraction(1, 90000)
# Every frame is on the disk as soon as it is encoded: MP4 in fragments, which become one index at the end, Matroska in
# clusters of one frame.
_MUXERS = {
    ".mp4": {"movflags": "hybrid_fragmented+frag_every_frame+empty_moov+default_base_moof"},
    ".mkv": {"cluster_time_limit": "0"},
}
# So many frames until one of them is on the disk: Matroska's muxer keeps the last one back.
_FIRST_WHOLE = {".mp4": 1, ".mkv": 2}
# Without lookahead no frame waits inside the encoder.
_ENCODERS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("libx264", "yuv420p", {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}),
    ("libopenh264", "yuv420p", {}),
    ("mjpeg", "yuvj420p", {"qmin": "2", "qmax": "4"}),
)


class VideoWriter:
    """Writes pictures as the frames of a video: H.264, or MJPEG where this FFmpeg has no encoder for it.

    The first picture decides the size; a picture of another size is scaled to it. Odd sides grow by a pixel, which
    H.264 asks for. The file appears with the first whole frame and replaces what was there; until then it has another
    name, with ".part" behind it.
    """

    def __init__(self, path: str | os.PathLike[str], *, rate: float | None = None) -> None:
        """Write to `path`; `rate` is a hint for players, as each frame has its own time.

        Raises:
            OptionError: the suffix is neither .mp4 nor .mkv.
            SourceError: PyAV is not installed.
        """
        self._path = os.fspath(path)
        self._suffix = os.path.splitext(self._path)[1].lower()
        if self._suffix not in _MUXERS:
            raise OptionError(f"an annotated video must be called .mp4 or .mkv, got {shown(path)}")
        import_av()
        self._rate = Fraction(rate or 30).limit_denominator(1001)
        self._file: _Target | None = None
        self._container: av.container.OutputContainer | None = None
        self._last = -1
        self.frames = 0

    def write(self, image: Image, timestamp: float | None) -> None:
        """Append a frame, shown from `timestamp` seconds on; None: right after the one before.

        Raises:
            FastYoloError: it cannot be written; the file then ends at the last whole frame.
        """
        if self._container is None:
            self._open(image.width, image.height)
        step = round(float(1 / self._rate / _TIME_BASE))
        pts = round(timestamp / _TIME_BASE) if timestamp is not None else self._last + step
        pts = max(pts, self._last + 1)  # a container takes no two frames of one time
        frame = self._frame(image)
        frame.pts, frame.time_base = pts, _TIME_BASE
        self._encode(frame)
        self._last = pts
        self.frames += 1

    def close(self) -> None:
        """Finish the file. Twice does no harm."""
        container, self._container = self._container, None
        if container is None or self._file is None:
            return
        try:
            container.mux(self._stream.encode(None))
            container.close()
            self._file.appear()
        except (OSError, ValueError) as error:
            self._give_up(container, error)
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, width: int, height: int) -> None:
        av = import_av()
        if os.path.exists(self._path) and not stat.S_ISREG(os.stat(self._path).st_mode):
            raise FastYoloError(f"cannot write {shown(self._path)}: it is not a regular file")
        try:
            self._file = _Target(self._path)
        except OSError as error:
            raise FastYoloError(f"cannot write {shown(self._path)}: {error.strerror}") from None
        options = {**_MUXERS[self._suffix], "fflags": "+flush_packets"}
        self._container = av.open(
            self._file, "w", format={".mp4": "mp4", ".mkv": "matroska"}[self._suffix], options=options
        )
        name, pixels, settings = next(choice for choice in _ENCODERS if choice[0] in av.codecs_available)
        self._stream = self._container.add_stream(name, rate=self._rate, options=settings)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = pixels
        self._stream.time_base = _TIME_BASE
        context = self._stream.codec_context
        context.time_base = _TIME_BASE
        # What the conversion from RGB below makes, so that players read it as that.
        context.colorspace, context.color_range = (5, 2) if name == "mjpeg" else (5, 1)

    def _frame(self, image: Image) -> av.VideoFrame:
        pixels = np.asarray(image)
        height, width = pixels.shape[:2]
        if height % 2 or width % 2:
            pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = import_av().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        stream = self._stream
        size = stream.width, stream.height
        return frame.reformat(*size, format=stream.pix_fmt, dst_colorspace="ITU601")

    def _encode(self, frame: av.VideoFrame) -> None:
        assert self._container is not None
        assert self._file is not None
        try:
            self._container.mux(self._stream.encode(frame))
        except (OSError, ValueError) as error:
            container, self._container = self._container, None
            self._give_up(container, error)
            self._file.close()
        else:
            self._file.whole()
            if self.frames + 1 == _FIRST_WHOLE[self._suffix]:
                self._file.appear()

    def _give_up(self, container: av.container.OutputContainer, error: Exception) -> None:
        """End the file at the last whole frame, and say why."""
        assert self._file is not None
        self._file.cut()
        with contextlib.suppress(Exception):
            container.close()
        why = getattr(self._file.error, "strerror", None) or reason(error)
        raise FastYoloError(
            f"cannot write on in {shown(self._path)}: {why}; it ends after {self.frames} frames"
        ) from None


class _Target:
    """The file, for FFmpeg to write to; it can be cut back to where the last frame ended."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.error: OSError | None = None
        self._part: str | None = f"{path}.{os.getpid()}.part"
        self._file = open(self._part, "w+b", buffering=0)  # noqa: SIM115
        self._whole = 0

    @called_by_native_code
    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while self.error is None and view:
            try:
                view = view[self._file.write(view) :]
            except OSError as error:
                self.error = error
        if self.error is not None:
            raise self.error
        return len(data)

    @called_by_native_code
    def read(self, size: int) -> bytes:
        return self._file.read(size) or b""

    @called_by_native_code
    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    @called_by_native_code
    def tell(self) -> int:
        return self._file.tell()

    def whole(self) -> None:
        """So far the file can be played."""
        self._whole = self._file.seek(0, os.SEEK_END)

    def appear(self) -> None:
        """Take the name that was asked for."""
        if self._part is not None:
            os.replace(self._part, self.name)
            self._part = None

    def cut(self) -> None:
        """Drop what came behind the last whole frame, and take nothing more."""
        self.error = self.error or OSError("given up")
        with contextlib.suppress(OSError):
            self._file.truncate(self._whole)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if self._part is not None:  # nothing of it can be played
            with contextlib.suppress(OSError):
                os.unlink(self._part)
