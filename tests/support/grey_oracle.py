"""The plain NumPy oracle of grey: what a network of one channel must see of a picture, in whole numbers.

It shares no code with the kernel, not even the tables of the resize.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

ONE = 32768
SHARES = (9798, 19235, 3735)
"""Of red, green and blue in 32768ths: 0.299, 0.587 and 0.114."""


def grey_of_colors(rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> Integers:
    """Grey (height, width) in 1/128 of a level, of an RGB picture (H, W, 3) stretched to `size`.

    Rows are blended, then columns, each product of a value and a weight rounded down; then colours are weighed.
    """
    first, second, weights = _taps(rgb.shape[0], size[0])
    values = rgb.astype(np.int64) * 128
    values = _weighed(values[first], values[second], weights[:, None, None])
    first, second, weights = _taps(rgb.shape[1], size[1])
    values = _weighed(values[:, first], values[:, second], weights[:, None])
    # Where nothing is blended, two products by a whole that is one part short have each cost 1/128.
    values += 2 * (values > 0)
    return (values * np.array(SHARES)).sum(axis=2) // ONE


def grey_of_luma(luma: npt.NDArray[np.uint8], size: tuple[int, int], *, limited: bool | None) -> Integers:
    """The same of luma (H, W), of limited or full range; None for a grey picture, whose numbers are the levels."""
    values = luma.astype(np.int64) * 32
    if limited is not None:
        zero, gain = (16, round(255 / 219 * 2**14)) if limited else (0, 2**14)
        values = np.clip((np.maximum(luma.astype(np.int64) - zero, 0) * 128 * gain) >> 16, 0, 255 * 32)
    first, second, weights = _taps(luma.shape[1], size[1])
    values = _blended(values[:, first], values[:, second], weights)
    first, second, weights = _taps(luma.shape[0], size[0])
    return _blended(values[first], values[second], weights[:, None]) * 4


def levels(grey: Integers) -> Integers:
    """0..255, halves rounded up."""
    return (grey + 64) // 128


def _weighed(a: Integers, b: Integers, weights: Integers) -> Integers:
    """A whole does not fit into 15 bits."""
    return a * np.minimum(ONE - weights, ONE - 1) // ONE + b * weights // ONE


def _blended(a: Integers, b: Integers, weights: Integers) -> Integers:
    return a + (b - a) * weights // ONE


def _taps(source: int, target: int) -> tuple[Integers, Integers, Integers]:
    """For every target pixel its two source pixels, and the second's weight; half-pixel centres, edges repeated."""
    first, weights = [], []
    for index in range(target):
        centre = (index + Fraction(1, 2)) * Fraction(source, target) - Fraction(1, 2)
        left = centre.numerator // centre.denominator
        inside = 0 <= left < source - 1
        weights.append(min(round(float(centre - left) * ONE), ONE - 1) if inside else 0)
        first.append(min(max(left, 0), source - 1))
    left = np.array(first)
    return left, np.minimum(left + 1, source - 1), np.array(weights)
