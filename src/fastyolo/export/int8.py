"""What stands for real numbers in an int8 file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

WeightScales = Literal["per-tensor", "per-channel"]
WEIGHT_SCALES: tuple[WeightScales, ...] = get_args(WeightScales)
"""One scale for all weights of a convolution, or one for each of its filters."""


@dataclass(frozen=True)
class Affine:
    """real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest real value that int8 can stand for."""
        return (-128 - self.zero_point) * self.scale, (127 - self.zero_point) * self.scale


@dataclass(frozen=True, eq=False)
class Int8Convolution:
    """A convolution's numbers: weights like the float ones with symmetric scales, one or one per filter, bias int32.

    The bias has the scale of the input times that of the weights.
    """

    weights: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Quantization:
    """Everything int8 about a graph: an `Affine` for every tensor, the numbers of every convolution by output."""

    tensors: Mapping[str, Affine]
    convolutions: Mapping[str, Int8Convolution]
