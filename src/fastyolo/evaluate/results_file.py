"""Detections that a file holds, as one table: COCO's results, Darknet's ``-out``, JSON of ``fastyolo detect``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.found import Found
from fastyolo.evaluate.json_file import Id, JsonObject, is_number, parse_json, read_json
from fastyolo.evaluate.results_pictures import ResultPictures
from fastyolo.evaluate.truth import GroundTruth, pixel_box, some
from fastyolo.files import shown
from fastyolo.names import common_name

KIND = "results file"

# Darknet prints paths as they are, so that those of Windows are no JSON; what JSON would escape is left alone.
_FILENAME = re.compile(r'"filename":"([^"\n]*)"')
_BACKSLASH = re.compile(r"\\\\?(?!u[0-9a-fA-F]{4})")

Rows = list[tuple[int, int, tuple[float, float, float, float], float]]
"""Of each detection image id, category id, (x, y, width, height) in pixels, and score."""


def read_results(path: Path, truth: GroundTruth) -> tuple[Found, list[str]]:
    """What a file says was found in the pictures of `truth`, and a line for each thing that is odd about it.

    The file is one of these, told by what is in it:

    - COCO results: an array of image_id, category_id, bbox and score. Where an entry has a "file_name", as those of
      ``fastyolo detect`` have, that says which picture it is.
    - What Darknet's ``detector test -out`` or ``fastyolo detect --format darknet`` writes: pictures by their file
      names, boxes relative to their size, classes by name.
    - What ``fastyolo detect`` writes with ``--format json`` or ``jsonl``.

    Detections in pictures or of categories that `truth` does not list are left out, and named in the lines.

    Raises:
        EvaluationError: the file cannot be read or is none of these; or all it holds is in other pictures.
    """
    entries = _entries(path)
    read = _reader(entries[0]) if entries else _read_coco
    to = _Target(path, truth)
    rows = [row for entry in entries for row in read(entry, to)]
    remarks = to.pictures.remarks(complete=read is not _read_coco)
    if to.unknown:
        named = [f"{shown(name)} ({count})" for name, count in to.unknown.most_common()]
        remarks.append(
            f"{to.unknown.total()} detections are of categories that {shown(truth.path)} does not have, and are left "
            f"out: {some(named)}"
        )
    return _table(rows), remarks


def _entries(path: Path) -> list[JsonObject]:
    text = read_json(path, KIND)
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    # JSON Lines: an object in each.
    if len(lines) > 1 and lines[0][1].lstrip().startswith("{") and lines[0][1].rstrip().endswith("}"):
        values = [(number, parse_json(path, KIND, line, line=number)) for number, line in lines]
        return [JsonObject(path, KIND, value, f"line {number}") for number, value in values]
    document = parse_json(path, KIND, _FILENAME.sub(_with_slashes, text))
    if isinstance(document, dict) and "source" in document:
        document = [document]
    if not isinstance(document, list):
        hint = "; it is a COCO annotation file" if isinstance(document, dict) and "annotations" in document else ""
        raise EvaluationError(f"{shown(path)} is no {KIND}: it must be an array of detections or of pictures{hint}")
    return [JsonObject(path, KIND, value, f"[{index}]") for index, value in enumerate(document)]


def _with_slashes(found: re.Match[str]) -> str:
    return f'"filename":"{_BACKSLASH.sub("/", found[1])}"'


class _Target:
    """What entries are read into: the annotated pictures and categories, and the categories that are none of them."""

    def __init__(self, path: Path, truth: GroundTruth) -> None:
        self.pictures = ResultPictures(path, truth)
        texts = truth.given_ids.categories
        self.by_id: dict[Id, int] = {texts.get(number, number): number for number in truth.categories}
        self.by_name = {common_name(name): number for number, name in truth.categories.items()}
        self.unknown: Counter[str] = Counter()


Reader = Callable[[JsonObject, _Target], Rows]


def _reader(first: JsonObject) -> Reader:
    for key, reader in (("image_id", _read_coco), ("objects", _read_darknet), ("source", _read_own)):
        if key in first.value:
            return reader
    raise first.error('have "image_id", as COCO\'s, "objects", as Darknet\'s, or "source", as fastyolo\'s', first.value)


def _read_coco(entry: JsonObject, to: _Target) -> Rows:
    box = _numbers(entry, "bbox", "[x, y, width, height]")
    if min(box[2:]) < 0:
        raise entry.error('have "bbox" [x, y, width, height]', entry.value["bbox"])
    score, category = _number(entry, "score"), entry.identity("category_id")
    name = entry.value.get("file_name")
    image_id = to.pictures.by_id(entry.identity("image_id"), name if isinstance(name, str) else None)
    if image_id is None:
        return []
    category_id = to.by_id.get(category)
    if category_id is None:
        to.unknown[str(category)] += 1
        return []
    return [(image_id, category_id, box, score)]


def _read_darknet(entry: JsonObject, to: _Target) -> Rows:
    objects = _objects(entry, "objects")
    image_id = to.pictures.by_name(entry.text("filename"), len(objects))
    if image_id is None:
        return []
    rows: Rows = []
    size = to.pictures.size_of(image_id) if objects else (0, 0)
    for one in objects:
        shares = JsonObject(one.path, KIND, one.value.get("relative_coordinates"), f"{one.name}.relative_coordinates")
        x, y, w, h = (_number(shares, side) for side in ("center_x", "center_y", "width", "height"))
        box = pixel_box((x, y, w, h), size)
        rows += _named(one, image_id, box, to)
    return rows


def _read_own(entry: JsonObject, to: _Target) -> Rows:
    source = entry.text("source")
    if "frame" in entry.value:
        raise entry.error("be of a picture, not of a video's frame", source)
    failed = "error" in entry.value
    objects = [] if failed else _objects(entry, "detections")
    image_id = to.pictures.by_name(source, len(objects), failed=failed)
    if image_id is None or failed:
        return []
    to.pictures.check_size(image_id, entry.value.get("height"), entry.value.get("width"))
    rows: Rows = []
    for one in objects:
        x1, y1, x2, y2 = _numbers(one, "xyxy", "[x1, y1, x2, y2]")
        rows += _named(one, image_id, (x1, y1, x2 - x1, y2 - y1), to)
    return rows


def _named(one: JsonObject, image_id: int, box: tuple[float, float, float, float], to: _Target) -> Rows:
    name, score = one.text("name"), _number(one, "confidence")
    if min(box[2:]) < 0:
        raise one.error("have a box whose sides are at least 0", box[2:])
    category_id = to.by_name.get(common_name(name))
    if category_id is None:
        to.unknown[name] += 1
        return []
    return [(image_id, category_id, box, score)]


def _objects(entry: JsonObject, key: str) -> list[JsonObject]:
    values = entry.value.get(key)
    if not isinstance(values, list):
        raise entry.error(f'have a list "{key}"', values)
    return [JsonObject(entry.path, KIND, value, f"{entry.name}.{key}[{index}]") for index, value in enumerate(values)]


def _numbers(entry: JsonObject, key: str, what: str) -> tuple[float, float, float, float]:
    values = entry.value.get(key)
    if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
        raise entry.error(f'have "{key}" {what}', values)
    first, second, third, fourth = map(float, values)
    return first, second, third, fourth


def _number(entry: JsonObject, key: str) -> float:
    value: Any = entry.value.get(key)
    if not is_number(value):
        raise entry.error(f'have a number "{key}"', value)
    return float(value)


def _table(rows: Sequence[Any]) -> Found:
    if not rows:
        return Found.empty()
    images, categories, boxes, scores = zip(*rows, strict=True)
    return Found(
        np.array(images, np.int64), np.array(categories, np.int64), np.array(boxes, np.float64), np.array(scores)
    )
