"""The table of pixel formats: what the bytes of a frame's planes mean."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, NamedTuple, get_args

from fastyolo.errors import OptionError
from fastyolo.texts import brief

Color = Literal[
    "rgb", "bgr", "rgba", "bgra", "rgbx", "bgrx", "xrgb", "xbgr", "grey",
    "nv12", "nv21", "i420", "yv12", "i422", "yuyv", "uyvy", "yvyu",
]  # fmt: skip
"""How the pixels of a frame lie in memory. H and W are its height and width; halves are rounded up.

==========  ========================  =========================================================
name        planes (uint8)            bytes
==========  ========================  =========================================================
rgb         (H, W, 3)                 red, green, blue
bgr         (H, W, 3)                 blue, green, red: what OpenCV gives
rgba, rgbx  (H, W, 4)                 red, green, blue, and one that is ignored
bgra, bgrx  (H, W, 4)                 blue, green, red, and one that is ignored
xrgb        (H, W, 4)                 one that is ignored, red, green, blue
xbgr        (H, W, 4)                 one that is ignored, blue, green, red
grey        (H, W)                    luminance
nv12        (H, W), (H/2, W/2, 2)     Y'; Cb Cr in turn, each for 2 x 2 pixels
nv21        (H, W), (H/2, W/2, 2)     Y'; Cr Cb in turn
i420        (H, W), 2 of (H/2, W/2)   Y'; Cb; Cr, each for 2 x 2 pixels
yv12        (H, W), 2 of (H/2, W/2)   Y'; Cr; Cb
i422        (H, W), 2 of (H, W/2)     Y'; Cb; Cr, each for two pixels side by side: what MJPEG gives
yuyv        (H, W, 2), W even         Y' Cb Y' Cr, the chroma for two pixels side by side
uyvy        (H, W, 2), W even         Cb Y' Cr Y'
yvyu        (H, W, 2), W even         Y' Cr Y' Cb
==========  ========================  =========================================================

Formats of several planes are also taken as one array (rows, W) with the planes below each other, H and W even.
"""


class Plane(NamedTuple):
    """One plane: the bytes of a column, and how many pixels share them, side by side and below each other."""

    bytes: int
    across: int = 1
    down: int = 1


@dataclass(frozen=True)
class Layout:
    """How the kernel is told of a format.

    Attributes:
        kind: what it does with the planes; the numbers are those of its `Kind`.
        planes: in the order in which they are given.
        swapped: blue comes before red, Cr before Cb.
        first: the byte of a pixel at which its colours begin, or its luma.
    """

    kind: int
    planes: tuple[Plane, ...]
    swapped: bool = False
    first: int = 0

    @cached_property
    def rows_of_all(self) -> tuple[int, int]:
        """Rows of one array with all planes below each other, for rows of the picture: (3, 2) for three to two."""
        total = sum((Fraction(plane.bytes, plane.across * plane.down) for plane in self.planes), Fraction(0))
        return total.numerator, total.denominator

    @cached_property
    def group(self) -> tuple[int, int]:
        """How many rows and columns of pixels share their chroma."""
        return max(plane.down for plane in self.planes), max(plane.across for plane in self.planes)


_PACKED3, _PACKED4, _GREY, _SEMIPLANAR, _PLANAR, _INTERLEAVED = range(6)
_HALVES = Plane(1), Plane(2, 2, 2)
_QUARTERS = Plane(1), Plane(1, 2, 2), Plane(1, 2, 2)

LAYOUTS: dict[Color, Layout] = {
    "rgb": Layout(_PACKED3, (Plane(3),)),
    "bgr": Layout(_PACKED3, (Plane(3),), swapped=True),
    "rgba": Layout(_PACKED4, (Plane(4),)),
    "bgra": Layout(_PACKED4, (Plane(4),), swapped=True),
    "rgbx": Layout(_PACKED4, (Plane(4),)),
    "bgrx": Layout(_PACKED4, (Plane(4),), swapped=True),
    "xrgb": Layout(_PACKED4, (Plane(4),), first=1),
    "xbgr": Layout(_PACKED4, (Plane(4),), swapped=True, first=1),
    "grey": Layout(_GREY, (Plane(1),)),
    "nv12": Layout(_SEMIPLANAR, _HALVES),
    "nv21": Layout(_SEMIPLANAR, _HALVES, swapped=True),
    "i420": Layout(_PLANAR, _QUARTERS),
    "yv12": Layout(_PLANAR, _QUARTERS, swapped=True),
    "i422": Layout(_PLANAR, (Plane(1), Plane(1, 2), Plane(1, 2))),
    "yuyv": Layout(_INTERLEAVED, (Plane(2),)),
    "uyvy": Layout(_INTERLEAVED, (Plane(2),), first=1),
    "yvyu": Layout(_INTERLEAVED, (Plane(2),), swapped=True),
}
"""The table. A format is one row here, one name in `Color`, and a case in the kernel if none of its kinds serves."""

YuvMatrix = Literal["bt601", "bt709"]
YuvRange = Literal["limited", "full"]

# Weights of red and blue in luma (ITU-R BT.601 and BT.709).
_LUMA_WEIGHTS: dict[YuvMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def check_color(color: str) -> Color:
    """Return `color` if it names a format, else raise `OptionError`."""
    if not isinstance(color, str) or color not in LAYOUTS:
        raise OptionError(f"color must be one of {', '.join(map(repr, LAYOUTS))}, got {brief(color)}")
    return color


def has_even_width(color: Color) -> bool:
    """Whether two pixels side by side are one group of bytes."""
    return LAYOUTS[color].kind == _INTERLEAVED


def check_yuv(matrix: str | None, value_range: str | None) -> None:
    """Raise `OptionError` unless both are None or known."""
    if matrix is not None and matrix not in _LUMA_WEIGHTS:
        raise OptionError(f"yuv_matrix must be 'bt601' or 'bt709', got {brief(matrix)}")
    if value_range is not None and value_range not in get_args(YuvRange):
        raise OptionError(f"yuv_range must be 'limited' or 'full', got {brief(value_range)}")


def yuv_to_rgb(matrix: YuvMatrix, value_range: YuvRange) -> tuple[int, int, int, int, int, int]:
    """The conversion's constants as the kernel wants them: black level, luma, red_v, green_u, green_v, blue_u.

    ``R = luma (Y - black) + red_v (V - 128)`` and so on (ITU-R BT.601 and BT.709): luma with 14 fractional bits, the
    others with 13.
    """
    red, blue = _LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    limited = value_range == "limited"
    luma, chroma = (255 / 219, 255 / 224) if limited else (1.0, 1.0)
    terms = (2 * (1 - red), -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green, 2 * (1 - blue))
    return (16 if limited else 0, round(luma * 2**14), *(round(chroma * term * 2**13) for term in terms))  # type: ignore[return-value]
