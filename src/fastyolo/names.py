"""What classes are called: COCO's names and numbers, files of names, and classes by name or id."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence

from fastyolo.errors import OptionError, SpecError
from fastyolo.texts import brief

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


_HIDDEN = "dont_show"
_LINE_END = re.compile(r"\r\n|\r|\n")


def common_name(name: str) -> str:
    """What two names of one class have in common: COCO's spelling, in lower case and without space around it."""
    folded = _without_mark(name.strip().casefold())
    return _COCO_SPELLING.get(folded, folded)


def is_coco(names: Sequence[str]) -> bool:
    """Whether these are the 80 COCO classes in training order, in Darknet's or COCO's spelling."""
    return [common_name(name) for name in names] == [common_name(name) for name in COCO_NAMES]


def coco_names() -> tuple[str, ...]:
    """The 80 COCO classes in training order, spelled as COCO's annotation files spell them."""
    return tuple(map(common_name, COCO_NAMES))


def unnamed(count: int) -> tuple[str, ...]:
    """What classes are called that nobody has named: "class 0", "class 1", ..."""
    return tuple(f"class {index}" for index in range(count))


def renamed(current: Sequence[str], names: str | Sequence[str]) -> tuple[str, ...]:
    """New names for the classes of a model: "coco" for COCO's own spelling, or one name per class.

    Raises:
        OptionError: the model's classes are not COCO's, or are of another number.
    """
    if isinstance(names, str):
        if names != "coco":
            raise OptionError(f"names must be 'coco' or one name per class, got {brief(names)}")
        if not is_coco(current) and tuple(current) != unnamed(len(COCO_NAMES)):
            got = f"{len(current)} classes, the first of them {current[0]!r}"
            raise OptionError(f"names='coco' is for models of the {len(COCO_NAMES)} COCO classes; this one has {got}")
        return coco_names()
    if len(names) != len(current):
        raise OptionError(f"names must hold {len(current)} class names for this model, got {len(names)}")
    return tuple(names)


def read_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read a Darknet .names file: one class name per line, trailing blank lines ignored.

    Text that is not UTF-8 is taken for Latin-1, with a warning that shows the first such line.

    Raises:
        SpecError: the file cannot be read, is no text, or has an empty line.
    """
    shown = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise SpecError(f"cannot read class names from {shown}: {error.strerror}") from None
    except ValueError:  # a NUL character in the path
        raise SpecError(f"cannot read class names from {shown!r}: no such file") from None
    lines = [line.strip() for line in _LINE_END.split(_decoded(content, str(shown)).rstrip())]
    if lines == [""]:
        raise SpecError(f"{shown} must hold one class name per line, got an empty file")
    if not all(lines):
        raise SpecError(f"{shown} must hold one class name per line, got an empty line {lines.index('') + 1}")
    return tuple(lines)


def class_ids(names: Sequence[str], classes: Iterable[int | str]) -> list[int]:
    """Class names or ids (also as text) -> the ids of all classes that bear them.

    Names match whatever their case; where no class is spelled so, in COCO's spelling as in Darknet's.

    Raises:
        OptionError: no class has this name or id.
    """
    spelled, common = _by_name(names, str.casefold), _by_name(names, common_name)
    ids: list[int] = []
    for wanted in [classes] if isinstance(classes, str) else classes:
        text = str(wanted).strip()
        found = [] if isinstance(wanted, int) else spelled.get(text.casefold()) or common.get(common_name(text))
        if not found and text.isdecimal() and len(text) < 10 and int(text) < len(names):
            found = [int(text)]
        if not found:
            raise OptionError(_unknown_class(text, names))
        ids += found
    return ids


def shown_ids(names: Sequence[str]) -> list[int] | None:
    """The classes that are not hidden by a name such as "dont_show tie", as Darknet has it; None if none is hidden."""
    ids = [class_id for class_id, name in enumerate(names) if not name.startswith(_HIDDEN)]
    return None if len(ids) == len(names) else ids


def _without_mark(folded: str) -> str:
    return folded.removeprefix(_HIDDEN).strip() or folded


def _by_name(names: Sequence[str], key: Callable[[str], str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for class_id, name in enumerate(names):
        found.setdefault(key(name.strip()), []).append(class_id)
    return found


def _decoded(content: bytes, shown: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError(f"{shown} is not UTF-8 but UTF-16 text; save it as UTF-8, one class name per line")
    if b"\0" in content:
        raise SpecError(f"{shown} holds binary data, expected text with one class name per line")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("latin-1")
        line = content.count(b"\n", 0, error.start) + 1
        name = text.split("\n")[line - 1].strip()
        warnings.warn(
            f"line {line} of {shown} is not UTF-8, so the file is read as Latin-1: {name!r}; save it as UTF-8 if that "
            "is wrong",
            stacklevel=3,
        )
        return text


def _unknown_class(text: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(text.casefold(), [name.casefold() for name in names], 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; the model knows {len(names)}, such as {names[0]!r}"
    return f"classes must be names or ids of the model, got {brief(text)}{hint}"
