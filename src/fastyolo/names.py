"""What classes are called: COCO's names and numbers, files of names, and classes by name or id."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from fastyolo.errors import OptionError, SpecError

COCO_NAMES: tuple[str, ...] = (
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "sofa",
    "pottedplant", "bed", "diningtable", "toilet", "tvmonitor", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 COCO classes in training order, spelled as Darknet spells them."""

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


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a Darknet .names file: one class name per line, trailing blank lines ignored."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file.read().rstrip().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpecError(f"cannot read class names from {os.fspath(path)}: {reason}") from None
    if not lines or not all(lines):
        raise SpecError(f"{os.fspath(path)} must hold one class name per line, got an empty line or file")
    return tuple(lines)


def class_ids(names: Sequence[str], classes: Iterable[int | str]) -> list[int]:
    """Class names or ids (also as text) -> ids. Names match whatever their case."""
    known = {name.casefold(): class_id for class_id, name in reversed(list(enumerate(names)))}
    ids = []
    for wanted in [classes] if isinstance(classes, str) else classes:
        text = str(wanted).strip()
        class_id = known.get(text.casefold(), int(text) if text.isdecimal() and len(text) < 10 else -1)
        if not 0 <= class_id < len(names):
            raise OptionError(_unknown_class(text, names))
        ids.append(class_id)
    return ids


def _unknown_class(text: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(text.casefold(), [name.casefold() for name in names], 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; the model knows {len(names)}, such as {names[0]!r}"
    return f"classes must be names or ids of the model, got {text!r}{hint}"
