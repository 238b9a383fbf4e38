"""Which of its two neighbours each weight is rounded to, so that a whole filter errs least."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

LIMIT = 127
"""Weights are stored as -127..127."""

DAMPING = 0.01
"""Share of the mean diagonal that is added to it: few pictures must not make columns look dependent."""

BLOCK = 128


def round_to_least_error(weights: Float64Array, scales: Float64Array, moments: Float64Array) -> npt.NDArray[np.int8]:
    """Integers q of about least ``(scale * q - w) H (scale * q - w)'`` for each filter w.

    H holds the second moments of what the weights are multiplied with, so this is the mean squared error of the output.
    Columns are rounded one after the other, the strongest first; each time, the columns that are still free take over
    what they can of the error (Frantar and Alistarh, "Optimal Brain Compression", 2022; in the order and with the
    Cholesky factor of Frantar et al., "GPTQ", 2022): with R upper triangular and ``inv(H) = R' R``, rounding column j
    by the error d moves each later column k by ``-d * R[j, k] / R[j, j]``.

    Args:
        weights: float64 (filters, columns).
        scales: float64 (filters,).
        moments: float64 (columns, columns).
    """
    strength = np.diag(moments)
    order = np.argsort(-strength, kind="stable")
    damped = moments[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += DAMPING * float(strength.mean()) + 1e-12
    factor = _inverse_factor(damped)
    free = weights[:, order] / scales[:, None]
    rounded = np.empty_like(free)
    for start in range(0, free.shape[1], BLOCK):
        stop = min(start + BLOCK, free.shape[1])
        errors = np.empty((len(free), stop - start))
        for column in range(start, stop):
            rounded[:, column] = np.clip(np.rint(free[:, column]), -LIMIT, LIMIT)
            error = (free[:, column] - rounded[:, column]) / factor[column, column]
            free[:, column:stop] -= np.outer(error, factor[column, column:stop])
            errors[:, column - start] = error
        free[:, stop:] -= errors @ factor[start:stop, stop:]
    result = np.empty_like(rounded)
    result[:, order] = rounded
    return result.astype(np.int8)


def _inverse_factor(matrix: Float64Array) -> Float64Array:
    """Upper triangular R with ``inv(matrix) = R' R``.

    Read from its last row and column back, a matrix L L' becomes U U' with U upper triangular; R is the inverse of U.
    """
    lower = np.asarray(np.linalg.cholesky(matrix[::-1, ::-1]), np.float64)
    return _inverse_of_lower(lower)[::-1, ::-1]


def _inverse_of_lower(matrix: Float64Array) -> Float64Array:
    """The inverse of a lower triangular matrix, by halves: far less work than one that knows no zeros."""
    size = len(matrix)
    if size <= BLOCK:
        return np.asarray(np.tril(np.linalg.inv(matrix)))
    half = size // 2
    result = np.zeros_like(matrix)
    result[:half, :half] = _inverse_of_lower(matrix[:half, :half])
    result[half:, half:] = _inverse_of_lower(matrix[half:, half:])
    result[half:, :half] = -result[half:, half:] @ matrix[half:, :half] @ result[:half, :half]
    return result
