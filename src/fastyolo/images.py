"""Where pixels come from: a file, bytes, a Pillow image or an array, always as upright uint8 RGB."""

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
import numpy.typing as npt

from fastyolo.errors import ImageError
from fastyolo.files import shown

if TYPE_CHECKING:
    import PIL.Image

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | PIL.Image.Image | npt.NDArray[np.uint8]"
"""What `Detector` takes: a path, the bytes of an image file, a Pillow image or a uint8 (height, width, 3) RGB array."""

UInt8Array = npt.NDArray[np.uint8]

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
# EXIF value -> name of the PIL.Image.Transpose that makes the picture upright.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}

_quiet_lock = threading.Lock()

# Pillow logs damaged TIFF files as errors; without any handler Python would print them in the middle of our output.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> UInt8Array:
    """Return the picture as uint8 (height, width, 3) RGB.

    Files, bytes and Pillow images come out C-contiguous and upright: an EXIF rotation is applied, the first frame of an
    animation is taken, 16-bit grey is scaled to 8 bits, and transparency is laid on white. Arrays are only checked and
    returned as they are. The result may be read-only.

    `max_pixels` bounds width * height of files and bytes before anything is decoded. A Pillow image has passed Pillow's
    own check when it was opened. Pillow's limit does not apply here, except inside a few of its decoders; see
    `raise_pillow_limit`.

    Raises:
        ImageError: the picture is missing, unreadable, too large or of the wrong layout; one line that names it.
    """
    if isinstance(source, np.ndarray):
        return _checked(source)
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), f"image of {len(source)} bytes", len(source), max_pixels)
    if isinstance(source, str | os.PathLike):
        return _read_file(source, max_pixels)

    from PIL import Image

    if isinstance(source, Image.Image):
        return _pixels(source, "Pillow image")
    raise ImageError(
        "an image must be a path, bytes, a Pillow image or a uint8 (height, width, 3) array, "
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


def _checked(array: npt.NDArray[np.generic]) -> UInt8Array:
    """Return the array if it is uint8 (height, width, 3), else say how to make it so."""
    shape = array.shape
    if array.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
        return array  # type: ignore[return-value]
    if len(shape) == 4:
        cure = "pass one image at a time, such as images[0]"
    elif len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        cure = "repeat the grey channel with np.stack([grey] * 3, axis=-1)"
    elif len(shape) == 3 and shape[2] == 4:
        cure = "drop the alpha channel with image[..., :3]"
    elif len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] != 3:
        cure = "move the channels last with image.transpose(1, 2, 0)"
    elif len(shape) != 3 or shape[2] != 3 or min(shape) == 0:
        cure = "it holds no RGB picture"
    elif array.dtype.kind == "f":
        cure = "for values from 0 to 1 pass (image * 255).round().astype(np.uint8), else image.astype(np.uint8)"
    elif array.dtype == np.uint16:
        cure = "scale it with (image // 257).astype(np.uint8)"
    else:
        cure = "convert it with image.astype(np.uint8)"
    raise ImageError(f"an image array must be uint8 (height, width, 3), got {array.dtype} {shape}; {cure}")


def _read_file(path: str | os.PathLike[str], max_pixels: int) -> UInt8Array:
    name = shown(path)
    try:
        # Opening a pipe would wait for a writer, and a device may never end.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name} is a folder, expected a picture")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is not a regular file, expected a picture")
        with open(path, "rb") as file:
            return _read(file, name, status.st_size, max_pixels)
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except PermissionError:
        raise ImageError(f"{name}: no permission to read it") from None
    except (OSError, ValueError) as error:
        # ValueError: a path with a NUL character.
        raise ImageError(f"cannot read {name}: {_reason(error)}") from None


def _read(file: IO[bytes], name: str, size: int, max_pixels: int) -> UInt8Array:
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
        if image.format == "TIFF":
            # Reads its tags, with warnings, once more while it decodes.
            with _one_line(image, name):
                image.load()
    return _pixels(image, name)


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


def _pixels(image: PIL.Image.Image, name: str) -> UInt8Array:
    with _one_line(image, name):
        image.load()
        return _upright_rgb(image)


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


def _upright_rgb(image: PIL.Image.Image) -> UInt8Array:
    from PIL import Image

    with _quiet():
        # After decoding: TIFF turns itself and then drops the tag, PNG may carry it behind the pixels.
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    if turn:
        image = image.transpose(Image.Transpose[turn])
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bit(np.asarray(image))
    array = np.asarray(_to_rgb(image))
    assert array.dtype == np.uint8
    assert array.ndim == 3
    return array


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    from PIL import Image

    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or ("transparency" in image.info and image.mode in ("1", "L", "P", "RGB")):
        # Colours under full transparency are arbitrary, often black; white is what viewers and pages show there.
        rgba = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(rgba, mask=rgba)
        return background
    if image.mode in ("RGB", "1", "L", "P", "RGBX", "CMYK", "YCbCr", "HSV"):
        return image.convert("RGB")
    raise ImageError(f"has pixels of Pillow mode {image.mode}, whose range is not known; convert it to 8-bit RGB")


def _from_16_bit(grey: npt.NDArray[np.integer]) -> UInt8Array:
    """Scale 0..65535 to 0..255, rounded. Pillow's own conversion would clip everything above 255 to white."""
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError("has 32-bit grey pixels beyond 0..65535, whose range is not known; convert it to 8-bit RGB")
    wide = grey.astype(np.uint16)
    # 65535 / 255 = 257; the comparison rounds, without the memory that floats would take.
    narrow = (wide // 257 + (wide % 257 > 128)).astype(np.uint8)
    return np.repeat(narrow[..., np.newaxis], 3, axis=2)


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
