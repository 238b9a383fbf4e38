"""Which range of a tensor's values its 256 int8 steps should cover: each technique one function of a histogram."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fastyolo.export.graph import LEAKY_SLOPE
from fastyolo.export.int8 import Affine

Float64Array = npt.NDArray[np.float64]
Range = tuple[float, float]
Function = Callable[[Float64Array], Float64Array]

STEPS = 255
"""Between the lowest and the highest int8 value."""

COARSE = np.arange(-20, 1) * 0.05
FINE = np.arange(-5, 6) * 0.01
"""Offsets, as shares of an extreme, that `least_squares_range` tries around its best range so far."""


def affine(low: float, high: float) -> Affine:
    """Scale and zero point that cover [low, high], stretched so that zero is exactly representable."""
    low, high = min(low, 0.0), max(high, 0.0)
    # A tensor that is always zero still needs a scale.
    scale = float(np.float32(max(high - low, 1e-6) / STEPS))
    return Affine(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def identity(values: Float64Array) -> Float64Array:
    return values


def leaky(values: Float64Array) -> Float64Array:
    return np.where(values > 0, values, LEAKY_SLOPE * values)


def logistic(values: Float64Array) -> Float64Array:
    return 1 / (1 + np.exp(-values))


def relu(values: Float64Array) -> Float64Array:
    return np.maximum(values, 0)


def clipped(extremes: Range, limit: float) -> Range:
    """The range without what lies beyond +-`limit`."""
    return max(extremes[0], -limit), min(extremes[1], limit)


def least_squares_range(values: Float64Array, counts: npt.NDArray[np.int64], after: Function = identity) -> Range:
    """The range of least squared error, measured behind the function `after` that the stored values pass through.

    Args:
        values, counts: a histogram: `counts[i]` values were close to `values[i]`.
        after: what follows the tensor; behind a leaky ReLU, errors of negative values weigh a hundredth.

    A coarse grid over both ends first, then a fine one around its best point.
    """
    used = counts > 0
    values, counts = values[used], counts[used]
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    shares = (1.0, 1.0)
    for offsets in (COARSE, FINE):
        lows, highs = (sorted({float(np.clip(share + offset, 0.02, 1)) for offset in offsets}) for share in shares)
        errors = {(a, b): squared_error(values, counts, affine(a * low, b * high), after) for a in lows for b in highs}
        shares = min(errors, key=lambda pair: errors[pair])
    return shares[0] * low, shares[1] * high


def squared_error(values: Float64Array, counts: npt.NDArray[np.int64], parameters: Affine, after: Function) -> float:
    """Sum over the histogram of the squared error that storing as int8 makes, measured behind `after`."""
    stored = np.clip(np.rint(values / parameters.scale) + parameters.zero_point, -128, 127)
    error = after((stored - parameters.zero_point) * parameters.scale) - after(values)
    return float(counts @ (error * error))
