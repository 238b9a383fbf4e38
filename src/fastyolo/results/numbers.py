"""Numbers as text."""

from __future__ import annotations

import math


def rounded(value: float, decimals: int) -> float | None:
    """Round for text; None, JSON's null, for NaN and infinity, which JSON does not have."""
    if not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0  # no "-0.0"
