"""The windows that convolutions and pools look at, in NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Slices = tuple[slice, slice]


def padding(extent: int, size: int, stride: int, same: bool) -> tuple[int, int]:
    """Cells that TFLite's SAME padding adds before and after; none without it."""
    total = max(0, (-(-extent // stride) - 1) * stride + size - extent) if same else 0
    return total // 2, total - total // 2


def padded(values: Float32Array, size: int, stride: int, same: bool, fill: float) -> Float32Array:
    """(rows, columns, channels) with its padding around it."""
    rows, columns = (padding(extent, size, stride, same) for extent in values.shape[:2])
    return np.pad(values, (rows, columns, (0, 0)), constant_values=np.float32(fill))


def offsets(size: int, stride: int, rows: int, columns: int) -> Iterator[tuple[int, int, Slices]]:
    """For each place (row, column) of a window, the cells of the padded input there, one for each output cell."""
    for row, column in np.ndindex(size, size):
        yield (
            row,
            column,
            (
                slice(row, row + (rows - 1) * stride + 1, stride),
                slice(column, column + (columns - 1) * stride + 1, stride),
            ),
        )


def windows_at(values: Float32Array, cells: npt.NDArray[np.intp], size: int, stride: int, same: bool) -> Float32Array:
    """The windows of some output cells, (cells, size * size * channels), in the order of a convolution's weights.

    Args:
        values: (rows, columns, channels).
        cells: indices of output cells, counted row by row.
    """
    source = padded(values, size, stride, same, 0.0)
    count = (source.shape[1] - size) // stride + 1
    rows, columns = cells // count * stride, cells % count * stride
    window = np.arange(size)
    picked = source[(rows[:, None] + window)[:, :, None], (columns[:, None] + window)[:, None, :]]
    return np.asarray(picked.reshape(len(cells), -1))
