"""How TFLite's own integer kernels multiply by a real number: with two roundings, which show where numbers are small.

A multiplier m becomes ``q * 2**(shift - 31)`` with q of 31 bits. Where it is below 1/2 (shift < 0), the product with q
is rounded to a whole number first, and that again when it is shifted (TensorFlow Lite's function
``MultiplyByQuantizedMultiplier``, after gemmlowp): -2 * 0.2 becomes round(round(-1.6) / 4) = -1 instead of 0. LiteRT's
XNNPACK rounds once.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]


def multiplied(values: Int64Array, multiplier: float) -> Int64Array:
    """int64 `values` times a positive `multiplier`, as the reference kernels compute it."""
    mantissa, shift = math.frexp(multiplier)
    whole = round(mantissa * 2**31)
    return _shifted(_rounded_product(values << max(shift, 0), whole), max(-shift, 0))


def _rounded_product(values: Int64Array, whole: int) -> Int64Array:
    """values * whole / 2**31 to the nearest; halves go up."""
    product = values * whole
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # The division cuts towards zero.
    return np.asarray(np.sign(nudged) * (np.abs(nudged) >> 31), np.int64)


def _shifted(values: Int64Array, shift: int) -> Int64Array:
    """values / 2**shift to the nearest; halves go away from zero."""
    mask = (1 << shift) - 1
    threshold = (mask >> 1) + (values < 0)
    return np.asarray((values >> shift) + ((values & mask) > threshold), np.int64)
