"""COCO's numbers and spellings for the classes that Darknet trained, and when two class names mean the same."""

from __future__ import annotations

from collections.abc import Sequence

from fastyolo.spec import COCO_NAMES

COCO_CATEGORY_IDS: tuple[int, ...] = tuple(
    category for category in range(1, 91) if category not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
)
"""COCO's id of each of the 80 classes: 1 to 90 less the ten that were planned but never annotated.

Source: the "categories" list of COCO's own annotation files (instances_val2017.json).
"""

# Darknet's spelling -> COCO's own, where they differ. The only such table: everything compares names by `common_name`.
_COCO_SPELLING = {
    "motorbike": "motorcycle",
    "aeroplane": "airplane",
    "sofa": "couch",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "tvmonitor": "tv",
}


def common_name(name: str) -> str:
    """What two names of one class have in common: COCO's spelling, in lower case and without space around it."""
    folded = name.strip().casefold()
    return _COCO_SPELLING.get(folded, folded)


def is_coco(names: Sequence[str]) -> bool:
    """Whether these are the 80 COCO classes in training order, in Darknet's or COCO's spelling."""
    return [common_name(name) for name in names] == [common_name(name) for name in COCO_NAMES]
