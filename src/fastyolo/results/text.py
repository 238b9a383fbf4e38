"""Detections in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fastyolo.texts import printable

if TYPE_CHECKING:
    from fastyolo.detections import Detections

_PLURALS = {"mouse": "mice", "knife": "knives", "sheep": "sheep", "broccoli": "broccoli", "person": "persons"}

_MOST_LISTED = 10
"""Boxes that `print(detections)` shows."""


def summary(detections: Detections) -> str:
    """See `Detections.summary`."""
    counts = Counter(detection.name for detection in detections)
    # Counter keeps the order of first sight among equals, which is the order of confidence.
    found = (f"{count} {printable(_plural(name, count))}" for name, count in counts.most_common())
    return ", ".join(found) or "nothing found"


def listing(detections: Detections) -> str:
    """See `Detections.__str__`."""
    rows = box_lines(detections[:_MOST_LISTED])
    more = [f"  ... and {len(detections) - _MOST_LISTED} more"] if len(detections) > _MOST_LISTED else []
    return "\n".join([detections.summary(), *rows, *more])


def box_lines(detections: Detections) -> list[str]:
    """One aligned line for each detection: name, confidence, corners in pixels."""
    names = [printable(detection.name) or "''" for detection in detections]
    width = max(map(len, names), default=0)
    return [
        f"  {name:<{width}}  {detection.confidence:.2f}  " + " ".join(f"{value:8.1f}" for value in detection.xyxy)
        for name, detection in zip(names, detections, strict=True)
    ]


def _plural(name: str, count: int) -> str:
    """English plural of a class name; names that do not end in a letter, such as "class 7", stay as they are."""
    head, space, last = name.rpartition(" ")
    if count == 1 or not (last.isascii() and last[-1:].isalpha()):
        return name
    if last in _PLURALS:
        plural = _PLURALS[last]
    elif last.endswith(("ss", "us", "x", "z", "ch", "sh")):
        plural = f"{last}es"
    elif last.endswith("s"):
        plural = last  # skis, scissors
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        plural = f"{last[:-1]}ies"
    else:
        plural = f"{last}s"
    return f"{head}{space}{plural}"
