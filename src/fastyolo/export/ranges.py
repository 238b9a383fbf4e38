"""Which range of a tensor's values its 256 int8 steps should cover: each technique one function of a histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fastyolo.export.fixed_point import multiplied
from fastyolo.export.graph import LEAKY_SLOPE
from fastyolo.export.int8 import Affine

Float64Array = npt.NDArray[np.float64]
Range = tuple[float, float]

STEPS = 255
"""Between the lowest and the highest int8 value."""

COARSE = np.arange(-20, 1) * 0.05
FINE = np.arange(-5, 6) * 0.01
"""Offsets, as shares of an extreme, that `least_squares_range` tries around its best range so far."""

SCALE_RATIOS = np.arange(6, 61) * 0.1
"""Scales in front of a leaky ReLU that `affine_before_leaky` tries, as multiples of the scale behind it."""

FINE_RATIOS = 1 + np.arange(-2, 3) * 0.02

ZERO_POINTS = range(-128, 112, 4)


def affine(low: float, high: float) -> Affine:
    """Scale and zero point that cover [low, high], stretched so that zero is exactly representable."""
    low, high = min(low, 0.0), max(high, 0.0)
    # A tensor that is always zero still needs a scale.
    scale = float(np.float32(max(high - low, 1e-6) / STEPS))
    return Affine(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def stored(values: Float64Array, parameters: Affine) -> Float64Array:
    """The nearest real values that int8 can stand for."""
    steps = np.clip(np.rint(values / parameters.scale) + parameters.zero_point, -128, 127)
    return np.asarray((steps - parameters.zero_point) * parameters.scale)


def leaky(values: Float64Array) -> Float64Array:
    return np.where(values > 0, values, LEAKY_SLOPE * values)


def squared_error(values: Float64Array, weights: Float64Array, parameters: Affine) -> float:
    """Weighted sum over a histogram of the squared error that storing as int8 makes."""
    error = stored(values, parameters) - values
    return float(weights @ (error * error))


def least_squares_range(values: Float64Array, weights: Float64Array, least: float = 0.0) -> Range:
    """The range of least squared error.

    Args:
        values, weights: a histogram: values close to `values[i]` have the total weight `weights[i]`.
        least: both ends reach at least this far from zero, or to the last value if that is nearer.

    A coarse grid over both ends first, then a fine one around its best point.
    """
    used = weights > 0
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    low_floor, high_floor = (max(0.02, min(1.0, least / abs(end))) if end else 1.0 for end in (low, high))
    values, weights = values[used], weights[used]
    low_share, high_share = 1.0, 1.0
    for offsets in (COARSE, FINE):
        lows = sorted({float(np.clip(low_share + offset, low_floor, 1)) for offset in offsets})
        highs = sorted({float(np.clip(high_share + offset, high_floor, 1)) for offset in offsets})
        errors = {(a, b): squared_error(values, weights, affine(a * low, b * high)) for a in lows for b in highs}
        low_share, high_share = min(errors, key=lambda pair: errors[pair])
    return low_share * low, high_share * high


def affine_before_leaky(values: Float64Array, weights: Float64Array, output: Affine) -> Affine:
    """Parameters in front of a leaky ReLU, of least squared error behind it, after rounding to `output`.

    Negative values are shrunk there, so their errors weigh a hundredth and many may be cut off; and two roundings in a
    row harm least when their scales fit each other, which only the error of both together shows. The error is the mean
    of that of the two kinds of kernels that there are, of which one rounds twice itself; see `fixed_point`.
    """
    used = weights > 0
    values, weights = values[used], weights[used]
    wanted = leaky(values)

    def error(parameters: Affine) -> float:
        found = np.rint(values / parameters.scale)
        steps = np.clip(found, -128 - parameters.zero_point, 127 - parameters.zero_point).astype(np.int64)
        total = 0.0
        for table in _leaky_steps(parameters.scale / output.scale):
            behind = np.clip(table[steps + 255], -128 - output.zero_point, 127 - output.zero_point)
            difference = behind * output.scale - wanted
            total += float(weights @ (difference * difference))
        return total

    best = _best(error, (_multiple(output.scale, ratio, zero) for ratio in SCALE_RATIOS for zero in ZERO_POINTS))
    near = range(max(-128, best.zero_point - 4), min(127, best.zero_point + 4) + 1)
    return _best(error, (_multiple(best.scale, ratio, zero) for ratio in FINE_RATIOS for zero in near))


@lru_cache(maxsize=256)
def _leaky_steps(ratio: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What a leaky ReLU makes of -255 to 255 steps, each `ratio` of those behind: rounded once, and as TFLite does."""
    steps = np.arange(-255, 256)
    once = np.rint(leaky(np.asarray(steps * ratio, np.float64))).astype(np.int64)
    reference = np.where(steps > 0, multiplied(steps, ratio), multiplied(steps, ratio * LEAKY_SLOPE))
    return once, reference


def _multiple(scale: float, ratio: float, zero_point: int) -> Affine:
    return Affine(float(np.float32(scale * ratio)), zero_point)


def _best(error: Callable[[Affine], float], candidates: Iterable[Affine]) -> Affine:
    return min(candidates, key=error)
