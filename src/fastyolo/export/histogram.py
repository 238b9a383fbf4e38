"""One histogram for a whole tensor, of those of its channels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Statistics

Float64Array = npt.NDArray[np.float64]
Histogram = tuple[Float64Array, Float64Array]
"""Values, and the weight that a squared error has at each."""

HISTOGRAM_BINS = 2048


def histogram(statistics: Statistics, factors: Float64Array) -> Histogram:
    """Values of a tensor whose channels were divided by `factors`, with the weight of a squared error at each.

    The weight is the relevance of the values there; where nothing was relevant, their number.
    """
    weights = statistics.weights * (factors**2)[:, None]
    if not weights.any():
        weights = statistics.counts.astype(np.float64)
    used = weights > 0
    values = (statistics.centres / factors[:, None])[used]
    limit = float(np.abs(values).max()) * (1 + 1e-9)
    bins = ((values / limit + 1) * (HISTOGRAM_BINS / 2)).astype(np.intp)
    centres = ((np.arange(HISTOGRAM_BINS) + 0.5) * (2 / HISTOGRAM_BINS) - 1) * limit
    total = np.bincount(bins, weights=weights[used], minlength=HISTOGRAM_BINS)
    return np.asarray(centres, np.float64), np.asarray(total, np.float64)
