"""Convolutions whose filters see only a share of the channels, as the steps of quantisation need them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.export.graph import Convolution

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def by_group(operation: Convolution, windows: npt.NDArray[Any]) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """Which filters belong together, and the columns that they see, of windows (..., size * size * channels)."""
    if operation.groups == 1:
        yield slice(None), windows
        return
    count = len(operation.weights) // operation.groups
    size = operation.weights.shape[1] * operation.weights.shape[2]
    shares = windows.reshape(*windows.shape[:-1], size, operation.groups, -1)
    for group in range(operation.groups):
        seen = shares[..., group, :].reshape(*windows.shape[:-1], -1)
        yield slice(group * count, (group + 1) * count), seen


def spread_back(operation: Convolution, row: int, column: int, gradient: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The gradient (rows, columns, filters) of what a convolution puts out, as it reaches one place of its windows."""
    weights = operation.weights[:, row, column]
    if operation.depthwise and operation.groups == len(weights):
        return gradient * weights[:, 0]
    shares = gradient.reshape(*gradient.shape[:2], operation.groups, -1)
    found = np.einsum("yxgf,gfc->yxgc", shares, weights.reshape(operation.groups, shares.shape[3], -1))
    return np.asarray(found.reshape(*gradient.shape[:2], -1))


@dataclass(frozen=True, eq=False)
class GroupedTerm:
    """The expected error of one convolution's weights, as `balance` minimises it: filters differ in what they see.

    Attributes:
        sizes: float64 (filters, channels of a filter), what must be held; divided by the factor of the filter's class
            and multiplied by that of the channel's.
        rows, columns: the classes, int64 (filters,) and (filters, channels of a filter).
        weighed: float64 (filters,), the relevance of each filter.
        spread: float64 like `columns`, the variance of what is read.
        norm: of the smooth maximum.
    """

    sizes: Float64Array
    rows: Int64Array
    weighed: Float64Array
    columns: Int64Array
    spread: Float64Array
    norm: float

    def cost(self, logs: Float64Array, gradient: Float64Array) -> float:
        """The term's error at factors exp(logs); its derivatives are added to `gradient`."""
        by_row = np.exp(logs[self.rows])
        by_column = np.exp(logs[self.columns])
        scaled = self.sizes / by_row[:, None] * by_column
        largest = float(scaled.max()) + 1e-300
        powers = (scaled / largest) ** self.norm
        total = float(powers.sum())
        step = largest * total ** (1 / self.norm)
        noise = step**2 * (self.weighed * by_row**2)[:, None] * self.spread / by_column**2
        slopes = 2 * (noise - noise.sum() * powers / total)
        np.add.at(gradient, self.rows, slopes.sum(axis=1))
        np.add.at(gradient, self.columns, -slopes)
        return float(noise.sum())
