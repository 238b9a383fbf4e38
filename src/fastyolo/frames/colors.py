"""What the bytes of an image array mean: RGB and its relatives, grey, and the Y'CbCr formats that cameras give."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ImageError, OptionError
from fastyolo.frames.picture import load_image

PixelFormat = Literal["rgb", "bgr", "rgba", "bgra", "grey", "nv12", "yuyv"]
"""How an array holds its pixels; H and W are the height and width of the picture.

======  ==================  ===========================================================
name    shape (uint8)       bytes
======  ==================  ===========================================================
rgb     (H, W, 3)           red, green, blue
bgr     (H, W, 3)           blue, green, red: what OpenCV gives
rgba    (H, W, 4)           red, green, blue, and one that is ignored
bgra    (H, W, 4)           blue, green, red, and one that is ignored
grey    (H, W) or (H, W, 1)  luminance
nv12    (H * 3 / 2, W)      H rows of Y', then H / 2 rows of Cb Cr, each for 2 x 2 pixels
yuyv    (H, W, 2)           Y' Cb Y' Cr, the chroma for two pixels side by side
======  ==================  ===========================================================
"""

YuvMatrix = Literal["bt601", "bt709"]
YuvRange = Literal["limited", "full"]

# Weights of red and blue in luma (ITU-R BT.601 and BT.709).
_LUMA_WEIGHTS: dict[YuvMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


class Layout(NamedTuple):
    """How the kernel is told of a format: its number there, whether blue comes first, the array's last axis."""

    number: int
    swapped: bool
    channels: int


_LAYOUTS: dict[PixelFormat, Layout] = {
    "rgb": Layout(0, False, 3),
    "bgr": Layout(0, True, 3),
    "rgba": Layout(1, False, 4),
    "bgra": Layout(1, True, 4),
    "grey": Layout(2, False, 1),
    "nv12": Layout(3, False, 1),
    "yuyv": Layout(4, False, 2),
}
_MIRRORED: dict[PixelFormat, PixelFormat] = {"rgb": "bgr", "bgr": "rgb"}
_SHAPES: dict[PixelFormat, str] = {
    "rgba": "(height, width, 4)",
    "bgra": "(height, width, 4)",
    "grey": "(height, width)",
    "nv12": "(height * 3 / 2, width), height and width even",
    "yuyv": "(height, width, 2), width even",
}


class Pixels(NamedTuple):
    """A checked image: a (rows, W, channels) view, the picture's (H, W), and how to read it."""

    array: npt.NDArray[np.uint8]
    size: tuple[int, int]
    layout: Layout


def check_color(color: str) -> PixelFormat:
    """Return `color` if it names a format, else raise `OptionError`."""
    for name in get_args(PixelFormat):
        if color == name:
            return name  # type: ignore[no-any-return]
    raise OptionError(f"color must be one of {', '.join(map(repr, get_args(PixelFormat)))}, got {color!r}")


def view_pixels(image: npt.NDArray[np.uint8], color: PixelFormat) -> Pixels:
    """Check that `image` is an array of the format `color`, and say how to read it. Nothing is copied.

    Raises:
        ImageError: it is not.
    """
    if color in _MIRRORED:
        image = load_image(image)
        if image.strides[2] == -1:  # image[..., ::-1]: packed pixels of the other order
            image, color = image[..., ::-1], _MIRRORED[color]
        return Pixels(image, (image.shape[0], image.shape[1]), _LAYOUTS[color])
    layout = _LAYOUTS[color]
    shape = image.shape
    array = image[..., np.newaxis] if image.ndim == 2 and layout.channels == 1 else image
    if image.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != layout.channels or 0 in shape:
        raise ImageError(
            f"with color={color!r} an image must be a uint8 {_SHAPES[color]} array, got {image.dtype} {shape}"
        )
    height, width = shape[:2]
    if color == "nv12":
        rows, height = height, height // 3 * 2
        if rows % 3 or width % 2:
            raise ImageError(f"with color='nv12' an image must be a uint8 {_SHAPES[color]} array, got {shape}")
    elif color == "yuyv" and width % 2:
        raise ImageError(f"with color='yuyv' an image must be a uint8 {_SHAPES[color]} array, got {shape}")
    return Pixels(array, (height, width), layout)


def yuv_to_rgb(matrix: str, value_range: str) -> tuple[int, int, int, int, int, int]:
    """The conversion's constants as the kernel wants them: black level, luma, red_v, green_u, green_v, blue_u.

    ``R = luma (Y - black) + red_v (V - 128)`` and so on (ITU-R BT.601 and BT.709): luma with 14 fractional bits, the
    others with 13.

    Raises:
        OptionError: an unknown matrix or range.
    """
    weights = {str(name): pair for name, pair in _LUMA_WEIGHTS.items()}.get(matrix)
    if weights is None:
        raise OptionError(f"yuv_matrix must be 'bt601' or 'bt709', got {matrix!r}")
    if value_range not in get_args(YuvRange):
        raise OptionError(f"yuv_range must be 'limited' or 'full', got {value_range!r}")
    red, blue = weights
    green = 1 - red - blue
    limited = value_range == "limited"
    luma, chroma = (255 / 219, 255 / 224) if limited else (1.0, 1.0)
    terms = (2 * (1 - red), -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green, 2 * (1 - blue))
    return (16 if limited else 0, round(luma * 2**14), *(round(chroma * term * 2**13) for term in terms))  # type: ignore[return-value]
