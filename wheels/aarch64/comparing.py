"""Whether two machines detect the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Detections = list[dict[str, Any]]
LARGEST_SCORE_DIFFERENCE = 0.03
SMALLEST_IOU = 0.95


def compare(expected: Detections, found: Detections) -> tuple[int, list[str]]:
    """How many detections have a partner of the same class, place and score; and one line for each that has none."""
    left = list(found)
    problems = []
    for detection in expected:
        partner = next((other for other in left if _same(detection, other)), None)
        if partner is None:
            problems.append(f"not found as on x86-64: {detection}")
        else:
            left.remove(partner)
    problems += [f"found here and not on x86-64: {detection}" for detection in left]
    return len(found) - len(left), problems


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["xyxy"], other["xyxy"]
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    difference = abs(one["confidence"] - other["confidence"])
    same_place = shared >= SMALLEST_IOU * union
    return one["name"] == other["name"] and same_place and difference <= LARGEST_SCORE_DIFFERENCE


def picture() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
