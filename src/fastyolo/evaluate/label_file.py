"""YOLO labels: where the file of a picture lies, and what its rows say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.text_file import read_lines
from fastyolo.files import shown
from fastyolo.texts import brief

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_PICTURE_FOLDERS = ("images", "JPEGImages")
# Rounding may take a side of a picture's full width a little beyond it.
_LOWEST, _HIGHEST = -0.001, 1.001


class Row(NamedTuple):
    """One object: its class, and (centre x, centre y, width, height) as shares of the picture's sides."""

    class_id: int
    box: tuple[float, float, float, float]


def label_path(picture: Path, remarks: Remarks | None = None) -> Path:
    """Where the labels of a picture lie: in labels/ for a picture in images/ or JPEGImages/, else beside it.

    It is the last such folder of the path that counts. Where no file is in labels/, it is the one beside the picture,
    whether that is there or not; where both are, the one in labels/.
    """
    beside = picture.with_suffix(".txt")
    parts = picture.parts
    at = next((at for at in range(len(parts) - 2, -1, -1) if parts[at] in _PICTURE_FOLDERS), None)
    if at is None:
        return beside
    apart = Path(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")
    if not apart.is_file():
        return beside
    if remarks is not None and beside.is_file():
        remarks.add("twice", shown(picture))
    return apart


def read_labels(path: Path, classes: int, remarks: Remarks) -> list[Row]:
    """The rows of a file: ``class centre_x centre_y width height`` each.

    The corners of a polygon, ``class x1 y1 x2 y2 x3 y3 ...``, give the box around them. Of equal rows one counts, and a
    row without width or height none: both go to the remarks, as do polygons.

    Raises:
        EvaluationError: the file cannot be read, or a row is wrong; with its line.
    """
    rows: dict[Row, None] = {}
    for number, line in read_lines(path):
        where = f"line {number} of {shown(path)}"
        row = _row(line.split(), line, classes, where, remarks)
        if min(row.box[2:]) <= 0:
            remarks.add("flat", where)
        elif row in rows:
            remarks.add("repeated", where)
        else:
            rows[row] = None
    return list(rows)


def _row(words: Sequence[str], line: str, classes: int, where: str, remarks: Remarks) -> Row:
    polygon = len(words) >= 7 and len(words) % 2 == 1
    if len(words) != 5 and not polygon:
        hint = "; a sixth is the score of a detection, not of a label" if len(words) == 6 else ""
        raise EvaluationError(
            f"{where} must be a class and the centre x, centre y, width and height of a box, five numbers, got "
            f"{brief(line)}{hint}"
        )
    class_id = _class_id(words[0], classes, where)
    numbers = [_share(word, where, line) for word in words[1:]]
    if not polygon:
        x, y, width, height = numbers
        return Row(class_id, (x, y, width, height))
    remarks.add("polygons", where)
    left, right, top, bottom = min(numbers[::2]), max(numbers[::2]), min(numbers[1::2]), max(numbers[1::2])
    return Row(class_id, ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top))


def _class_id(word: str, classes: int, where: str) -> int:
    # Some tools write it as 0.0 or 0.000000.
    value = float(word) if _NUMBER.fullmatch(word) and len(word) < 30 else -1.0
    if not value.is_integer() or not 0 <= value < classes:
        names = f"there are {classes} names" if classes > 1 else "there is one name"
        raise EvaluationError(f"{where} must begin with a class from 0 to {classes - 1}, as {names}, got {brief(word)}")
    return int(value)


def _share(word: str, where: str, line: str) -> float:
    value = float(word) if _NUMBER.fullmatch(word) else float("nan")
    if not _LOWEST <= value <= _HIGHEST:
        raise EvaluationError(
            f"{where} must have sides as shares of the picture's, from 0 to 1, got {brief(word)} in {brief(line)}"
        )
    return value
