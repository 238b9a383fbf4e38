"""Grey of more than 8 bits: which of its numbers are black and white, and the 8 bits that they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ImageError

if TYPE_CHECKING:
    import PIL.Image

# TIFF 6.0, section 8 and "SampleFormat".
_BITS, _PHOTOMETRIC, _MIN, _MAX, _FORMAT, _SMIN, _SMAX = 258, 262, 280, 281, 339, 340, 341
_WHITE_IS_ZERO = 0
_UNSIGNED = 1

# Their decoders scale any depth to 16 bits, or the format knows no other.
_ALWAYS_16_BIT = ("PNG", "PPM", "JPEG2000")

Levels = tuple[float, float]
"""The numbers of black and of white."""


def is_deep(image: PIL.Image.Image) -> bool:
    """Whether a Pillow image is grey of more than 8 bits, so that its mode alone does not say what its numbers mean."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def find_levels(image: PIL.Image.Image) -> Levels | None:
    """What a deep grey image means by black and white, by its file or else by its mode; None if neither says it.

    Ask before the image is turned, for a turned copy has no tags.
    """
    if image.format == "TIFF":
        return _levels_of_tiff(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _ALWAYS_16_BIT):
        return 0, 65535
    return None


def to_8_bits(image: PIL.Image.Image, levels: Levels | None) -> npt.NDArray[np.uint8]:
    """Return a deep grey image as uint8 (height, width), rounded. Pillow's own conversion would clip above 255.

    Raises:
        ImageError: `levels` is None, or the pixels go beyond them; the message lacks the picture's name.
    """
    cure = "convert it to 8-bit grey or RGB"
    if levels is None:
        raise ImageError(f"has grey pixels of Pillow mode {image.mode}, and nothing says what is white; {cure}")
    grey = np.asarray(image)
    black, white = levels
    low, high = min(levels), max(levels)
    # So written that NaN is beyond them too.
    if not (low <= grey.min() and grey.max() <= high):
        raise ImageError(f"has grey pixels beyond {low:g}..{high:g}, which is its range; {cure}")
    if levels == (0, 65535):
        wide = grey.astype(np.uint16)
        # 65535 / 255 = 257; the comparison rounds, without the memory that floats would take.
        return (wide // 257 + (wide % 257 > 128)).astype(np.uint8)
    return np.rint((grey.astype(np.float64) - black) * (255 / (white - black))).astype(np.uint8)


def _levels_of_tiff(image: PIL.Image.Image) -> Levels | None:
    tags: Any = getattr(image, "tag_v2", {})
    bits, kind = _number(tags, _BITS), _number(tags, _FORMAT) or _UNSIGNED
    low, high = _number(tags, _SMIN), _number(tags, _SMAX)
    if high is None:
        low, high = _number(tags, _MIN), _number(tags, _MAX)
    if high is None and kind == _UNSIGNED and bits is not None and bits <= 16:
        low, high = 0, 2**bits - 1
    if high is None or not high > (low or 0):
        return None
    return (high, low or 0) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else (low or 0, high)


def _number(tags: Any, tag: int) -> Any:
    """The one value of a tag, whether Pillow gives it alone or in a tuple; None where it is absent or no number."""
    value = tags.get(tag)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return value if value is None or isinstance(value, int) else _float(value)


def _float(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None
