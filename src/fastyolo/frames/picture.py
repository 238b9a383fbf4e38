"""Pictures: files, bytes and Pillow images, decoded, as upright frames."""

from __future__ import annotations

import importlib
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TypeAlias

import numpy as np

from fastyolo.errors import ImageError
from fastyolo.files import shown
from fastyolo.frames.frame import Extent, Frame, UInt8Array, check_rgb, view_frame
from fastyolo.frames.levels import find_levels, is_deep
from fastyolo.frames.reduced import REDUCIBLE, Needed, reduce
from fastyolo.frames.upright import any_pixels, rgb_pixels, turned, turned_size

if TYPE_CHECKING:
    import PIL.Image

PictureLike: TypeAlias = "str | os.PathLike[str] | bytes | PIL.Image.Image"
"""A path, the bytes of an image file, or a Pillow image."""

MAX_PIXELS = 89_478_485
"""Largest width * height decoded unless asked otherwise: where Pillow itself begins to warn (256 MB of RGB)."""

# Only formats that are told by their first bytes, and none that starts another program (EPS runs Ghostscript).
# Common ones first: a plugin is imported only when those before it did not recognise the file.
_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "BMP": "BmpImagePlugin",
    "GIF": "GifImagePlugin",
    "PPM": "PpmImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "AVIF": "AvifImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
    "QOI": "QoiImagePlugin",
}

_EXIF_ORIENTATION = 0x0112
_EXIF_SOFTWARE = 0x0131

_quiet_lock = threading.Lock()


def _forked() -> None:
    """A thread that held the lock is not in the child of a fork."""
    global _quiet_lock
    _quiet_lock = threading.Lock()


os.register_at_fork(after_in_child=_forked)

# Pillow logs damaged TIFF files as errors; without any handler Python would print them in the middle of our output.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def load_image(source: PictureLike | UInt8Array, *, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Return the picture as uint8 (height, width, 3) RGB.

    Files, bytes and Pillow images come out C-contiguous and upright: an EXIF rotation is applied, the first frame of an
    animation is taken, grey of more than 8 bits is scaled by what the file says of its range, and transparency is laid
    on white. Arrays are only checked and returned as they are. The result may be read-only.

    `max_pixels` bounds width * height of files and bytes before anything is decoded. A Pillow image has passed Pillow's
    own check when it was opened. Pillow's limit does not apply here, except inside a few of its decoders; see
    `raise_pillow_limit`.

    Raises:
        ImageError: the picture is missing, unreadable, too large or of the wrong layout; one line that names it.
    """
    if isinstance(source, np.ndarray):
        return check_rgb(source)
    return _read(source, max_pixels, None).planes[0]


def read_picture(source: PictureLike, *, needed: Needed, max_pixels: int = MAX_PIXELS) -> Frame:
    """Read the same, for a network that needs it no larger than `needed`, in the form that costs least.

    The frame's format is "rgb", "rgba" or "grey"; its memory is read-only, and may be that of a Pillow image.

    A JPEG file (or its bytes) much larger than that is decoded at 1/2, 1/4 or 1/8: libjpeg then computes the mean of
    each 2 x 2, 4 x 4 or 8 x 8 pixels without computing the pixels, which is faster.
    """
    return _read(source, max_pixels, needed)


def _read(source: PictureLike, max_pixels: int, needed: Needed | None) -> Frame:
    if isinstance(source, bytes):
        return _read_opened(io.BytesIO(source), f"image of {len(source)} bytes", len(source), max_pixels, needed)
    if isinstance(source, str | os.PathLike):
        return _read_file(source, max_pixels, needed)

    from PIL import Image

    if isinstance(source, Image.Image):
        # It is somebody else's: it is loaded, but never at another size than it has.
        with _one_line(source, "Pillow image"):
            return _loaded(source, None, None, copy=needed is None)
    raise ImageError(
        "an image must be a path, bytes, a Pillow image, a uint8 array or planes with color=, or a Frame, "
        f"got {type(source).__name__}"
    )


def raise_pillow_limit(max_pixels: int) -> None:
    """Let Pillow's own decoders go up to `max_pixels` in this whole process; never lowers its limit.

    `load_image` leaves Pillow's global limit alone, so pictures beyond twice that limit fail in the decoders that look
    at it themselves (WebP, TIFF). A program that owns its process, such as our command line, lifts it once at start.
    """
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def picture_software(path: str | os.PathLike[str]) -> str:
    """The program that a picture says it was written by (EXIF Software or PNG text), "" if it says none."""
    try:
        with open(path, "rb") as file, _quiet():
            image = _identify(file, shown(path))
            return str(image.info.get("Software") or image.getexif().get(_EXIF_SOFTWARE, ""))
    except Exception:
        return ""  # not a picture, or one too damaged to say


def picture_size(path: str | os.PathLike[str]) -> tuple[tuple[int, int], int]:
    """(height, width) of the upright picture, and its EXIF orientation (1 to 8); by the file's header where it can be.

    Raises:
        ImageError: the picture is missing or unreadable.
    """
    name = shown(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageError(f"{name} is not a regular file, expected a picture")
        with open(path, "rb") as file, _quiet():
            image = _identify(file, name)
            with _one_line(image, name):
                if image.format == "TIFF":  # turns itself where it is decoded, with some versions of Pillow before
                    image.load()
                # Pillow would decode a PNG to look for what may stand behind its pixels.
                orientation = 1 if image.format == "PNG" and "exif" not in image.info else _orientation(image)
                width, height = turned_size(image.width, image.height, orientation)
                return (height, width), orientation
    except OSError as error:
        raise ImageError(f"cannot read {name}: {_reason(error)}") from None
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"cannot read {name}: {_reason(error)}") from None


def _read_file(path: str | os.PathLike[str], max_pixels: int, needed: Needed | None) -> Frame:
    name = shown(path)
    try:
        # Opening a pipe would wait for a writer, and a device may never end.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name} is a folder, expected a picture")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is not a regular file, expected a picture")
        with open(path, "rb") as file:
            return _read_opened(file, name, status.st_size, max_pixels, needed)
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it") from None
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL character.
        raise ImageError(f"cannot read {name}: {_reason(error)}") from None


def _read_opened(file: IO[bytes], name: str, size: int, max_pixels: int, needed: Needed | None) -> Frame:
    if size == 0:
        raise ImageError(f"{name} is empty, expected a picture")
    with _quiet():
        image = _identify(file, name)
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{name} has {width} x {height} = {width * height} pixels, more than the limit of {max_pixels}; "
                "if you trust it, raise the limit with --max-pixels (max_pixels= in Python)"
            )
        orientation = None
        with _one_line(image, name):
            if image.format == "TIFF":
                image.load()  # reads its tags, with warnings, once more while it decodes
            elif image.format in REDUCIBLE:
                orientation = _orientation(image)
    with _one_line(image, name):
        extent = None
        if needed is not None and orientation is not None:
            extent = reduce(image, orientation, needed)
        return _loaded(image, orientation, extent, copy=needed is None)


def _identify(file: IO[bytes], name: str) -> PIL.Image.Image:
    """Read the header only. Pillow's `open` is not used because it refuses large pictures by a process-wide setting."""
    from PIL import Image

    prefix = file.read(16)
    reason = f"is not a picture fastyolo can read ({', '.join(_PLUGINS)})"
    for format_name, plugin in _PLUGINS.items():
        try:
            importlib.import_module(f"PIL.{plugin}")
        except ImportError:
            continue  # this Pillow is older than the plugin
        factory, accept = Image.OPEN.get(format_name, (None, None))
        accepted = accept(prefix) if accept else False
        if isinstance(accepted, str):
            reason = f"is a {format_name} file, which this Pillow was built without"
        elif accepted and factory:
            file.seek(0)
            try:
                return factory(file, "")
            except Image.DecompressionBombError:
                raise _beyond_pillow_limit(name) from None
            except Exception as error:
                reason = f"is a damaged or unsupported {format_name} file: {_reason(error)}"
    raise ImageError(f"{name} {reason}")


def _loaded(image: PIL.Image.Image, orientation: int | None, extent: Extent | None, *, copy: bool) -> Frame:
    image.load()
    if orientation is None:
        # Only now: TIFF turns itself and then drops the tag, PNG may carry it behind the pixels.
        with _quiet():
            orientation = _orientation(image)
    levels = find_levels(image) if is_deep(image) else None
    image = turned(image, orientation)
    extent = extent or Extent.full((image.height, image.width))
    if copy:
        return view_frame(rgb_pixels(image, levels), "rgb", extent)
    return view_frame(*any_pixels(image, levels), extent)


def _orientation(image: PIL.Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 if there is none or it is impossible. Pillow may warn."""
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


@contextmanager
def _one_line(image: PIL.Image.Image, name: str) -> Iterator[None]:
    """Turn whatever broken bytes make Pillow raise into one line about the picture called `name`."""
    from PIL import Image

    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except Image.DecompressionBombError:
        raise _beyond_pillow_limit(name) from None
    except MemoryError:
        raise ImageError(f"{name} needs more memory than there is ({image.width} x {image.height} pixels)") from None
    except Exception as error:
        # Decoders raise nearly anything on damaged data: OSError, SyntaxError, IndexError, struct.error, ...
        raise ImageError(f"{name} is truncated or damaged: {_reason(error)}") from None


def _beyond_pillow_limit(name: str) -> ImageError:
    return ImageError(
        f"{name} has more pixels than Pillow reads in this format; if you trust it, raise the limit with --max-pixels "
        "(max_pixels= and PIL.Image.MAX_IMAGE_PIXELS in Python)"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, OSError | SyntaxError | ValueError) and str(error):
        return " ".join(str(error).split())
    return "its data make no sense"  # a KeyError or the like says nothing to a person


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings about odd metadata off the terminal: the picture either loads or raises.

    Warning filters belong to the process, so only one thread at a time may swap them; hold this while reading headers,
    not while decoding.
    """
    with _quiet_lock, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield
