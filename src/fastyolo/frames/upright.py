"""What a decoded Pillow image shows: turned upright, and as 8-bit pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ImageError
from fastyolo.frames.borrowed import borrow
from fastyolo.frames.levels import Levels, is_deep, to_8_bits

if TYPE_CHECKING:
    import PIL.Image

UInt8Array = npt.NDArray[np.uint8]

# EXIF orientation -> name of the PIL.Image.Transpose that makes the picture upright.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_RIGHT_TO_LEFT = (2, 3, 6, 7)
_BOTTOM_TO_TOP = (3, 4, 7, 8)


def turned_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """(width, height) once upright. It is its own inverse."""
    return (height, width) if orientation >= 5 else (width, height)


def turned_margin(right: int, below: int, orientation: int) -> tuple[int, int]:
    """How much of a margin on the right of and below a stored picture lies left of and above the upright one."""
    x, y = turned_size(right, below, orientation)
    return (x if orientation in _RIGHT_TO_LEFT else 0), (y if orientation in _BOTTOM_TO_TOP else 0)


def turned(image: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    """Return a loaded image as its EXIF orientation (1 to 8) asks: itself, or a turned copy."""
    from PIL import Image

    return image.transpose(Image.Transpose[_TURNS[orientation]]) if orientation in _TURNS else image


def rgb_pixels(image: PIL.Image.Image, levels: Levels | None) -> UInt8Array:
    """Return a loaded image as uint8 (height, width, 3) RGB; deep grey is scaled, transparency is laid on white.

    `levels` are those of `levels.find_levels`, for deep grey alone.

    Raises:
        ImageError: a mode whose range is not known; the message lacks the picture's name.
    """
    if is_deep(image):
        return np.repeat(to_8_bits(image, levels)[..., np.newaxis], 3, axis=2)
    array = np.asarray(_to_rgb(image))
    assert array.dtype == np.uint8
    assert array.ndim == 3
    return array


def any_pixels(image: PIL.Image.Image, levels: Levels | None) -> tuple[UInt8Array, Literal["rgb", "rgba", "grey"]]:
    """The same in the format that costs least, and which it is: Pillow's own memory where that can be had.

    "rgba" is (height, width, 4), and the fourth byte means nothing; "grey" is (height, width).
    """
    if is_deep(image):
        return to_8_bits(image, levels), "grey"
    grey = image.mode == "L" and "transparency" not in image.info
    flat = image if grey else _to_rgb(image)
    pixels = borrow(flat)
    if pixels is None:
        pixels = np.asarray(flat)
    return pixels, "grey" if grey else "rgba" if pixels.shape[2] == 4 else "rgb"


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
    if image.mode == "RGB":
        return image  # convert() would copy it
    if image.mode in ("1", "L", "P", "RGBX", "CMYK", "YCbCr", "HSV"):
        return image.convert("RGB")
    raise ImageError(f"has pixels of Pillow mode {image.mode}, whose range is not known; convert it to 8-bit RGB")
