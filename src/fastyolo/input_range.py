"""What a network's input tensor means by black and white."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ModelError, OptionError
from fastyolo.texts import brief

InputRange = tuple[float, float]
"""The real numbers that stand for pixel 0 and pixel 255."""

BYTE_LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}

KNOWN_RANGES: tuple[InputRange, ...] = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
"""What networks are trained on; an integer tensor that can represent just one of these, and little more, expects it."""

_SLACK = 0.05
_MIN_STEPS = 16
_MIN_SHARE = 0.25


def check_input_range(value: object) -> InputRange:
    """Return (low, high) as floats; `OptionError` if they are not two finite numbers, the first of them smaller."""
    try:
        if isinstance(value, str):
            raise TypeError
        low, high = (float(number) for number in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        raise OptionError(
            f"input_range must be two numbers (low, high), such as (0, 255), got {brief(value)}"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(f"input_range must be two numbers, the first of them smaller, got {brief(value)}")
    return low, high


def expected_range(dtype: npt.DTypeLike, quantization: tuple[float, int] | None) -> InputRange:
    """The range that a tensor expects, where nobody says it.

    A float tensor may mean anything; Darknet's networks are given 0..1. An integer tensor of a quantised network
    represents ``(q - zero_point) * scale``, which its exporter has fitted to the pictures of calibration, so it is one
    of `KNOWN_RANGES` if its ends lie within 5 % of the range's width of them.

    Raises:
        ModelError: an integer tensor's range is none of them.
    """
    dtype = np.dtype(dtype)
    if dtype.name not in BYTE_LIMITS or quantization is None:
        return KNOWN_RANGES[0]
    low, high = represented(dtype, quantization)
    for known in KNOWN_RANGES:
        slack = _SLACK * (known[1] - known[0])
        if abs(low - known[0]) <= slack and abs(high - known[1]) <= slack:
            return known
    raise ModelError(
        f"the model's {dtype} input represents {low:.4g}..{high:.4g} (scale {quantization[0]:.6g}, zero point "
        f"{quantization[1]}), which is none of {', '.join(map(shown_range, KNOWN_RANGES))}; say what black and white "
        "are to the network with input_range=(low, high) (--input-range LOW,HIGH on the command line)"
    )


def check_resolution(dtype: np.dtype[Any], quantization: tuple[float, int] | None, wanted: InputRange) -> None:
    """Raise `ModelError` where an integer tensor has too few steps in `wanted`, or too little of it, for a picture."""
    if dtype.name not in BYTE_LIMITS or quantization is None:
        return
    low, high = represented(dtype, quantization)
    common = min(high, wanted[1]) - max(low, wanted[0])
    steps = common / quantization[0]
    if common < _MIN_SHARE * (wanted[1] - wanted[0]):
        raise ModelError(
            f"input_range {shown_range(wanted)} is beyond what the model's {dtype} input represents, {low:.4g}.."
            f"{high:.4g}: nearly every pixel would be cut off; say what black and white are to the network"
        )
    if steps < _MIN_STEPS:
        raise ModelError(
            f"input_range {shown_range(wanted)} leaves {max(0, math.floor(steps))} steps of the model's {dtype} input, "
            f"which represents {low:.4g}..{high:.4g}; say what black and white are to the network"
        )


def represented(dtype: np.dtype[Any], quantization: tuple[float, int]) -> InputRange:
    """The real numbers that an integer tensor's lowest and highest value stand for."""
    scale, zero_point = quantization
    lowest, highest = BYTE_LIMITS[dtype.name]
    return (lowest - zero_point) * scale, (highest - zero_point) * scale


def shown_range(value: InputRange) -> str:
    """A range for people: 0..255."""
    return f"{value[0]:.4g}..{value[1]:.4g}"
