"""What a COCO annotation file says is in the pictures, checked before anything is computed from it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.json_file import Id, JsonObject, is_number, load_json
from fastyolo.evaluate.truth import (
    GivenIds,
    GroundTruth,
    LabelledObject,
    Picture,
    StrPath,
    check_objects,
    distinct,
    placed,
    some,
)
from fastyolo.files import shown

_KIND = "COCO annotation file"


def read_coco(
    annotations: StrPath, images: StrPath | None = None, *, limit: int | None = None, pictures: bool = True
) -> GroundTruth:
    """Read a COCO annotation file and find its pictures.

    Args:
        annotations: JSON with "images" (id, file_name), "categories" (id, name) and "annotations" (id, image_id,
            category_id, bbox). A missing "area" is that of the box, a missing "iscrowd" is 0; "ignore" has no effect,
            as in pycocotools. Ids may be whole numbers or texts. Of categories of one name, such as the root that some
            tools add, those without an object are passed over, as is anything else in the file.
        images: the folder that every file_name is relative to, written with slashes or Windows' backslashes; it may
            hold more pictures than the file lists. None: that of the file.
        limit: take only the first pictures, by id; texts come after numbers, in the file's order.
        pictures: whether they must be there.

    Raises:
        EvaluationError: the file cannot be read or is no such file, no object is annotated, the folder or one of the
            pictures is missing; one line each.
    """
    path = Path(annotations)
    folder = path.parent if images is None else Path(images)
    document = JsonObject(path, _KIND, load_json(path, _KIND))
    listed, labels = _numbered(document.entries("images")), _numbered(document.entries("categories"))
    every_picture = {number: _picture(number, entry, folder) for number, entry in listed.values()}
    every_category = {number: entry.text("name") for number, entry in labels.values()}
    objects = tuple(_labelled_object(entry, listed, labels) for entry in document.entries("annotations"))
    categories = distinct(path, every_category, {entry.category_id for entry in objects})
    first = [every_picture[id_] for id_ in sorted(every_picture)][:limit]
    truth = GroundTruth(path, tuple(first), categories, objects, GivenIds(_texts(listed), _texts(labels))).of(first)
    check_objects(truth, limit)
    if pictures:
        _check_pictures(folder, truth.pictures)
    return truth


class _Entry(NamedTuple):
    number: int
    entry: JsonObject


Numbered = dict[Id, _Entry]


def _numbered(entries: Iterator[JsonObject]) -> Numbered:
    """Each entry by its id, with a number of its own: the id itself, or behind all numbers where it is a text."""
    listed = list(entries)
    free = count(max((entry.id for entry in listed if isinstance(entry.id, int)), default=-1) + 1)
    return {entry.id: _Entry(entry.id if isinstance(entry.id, int) else next(free), entry) for entry in listed}


def _reference(entry: JsonObject, key: str, known: Numbered, where: str) -> int:
    """The number of an entry in another list."""
    id_ = entry.identity(key)
    if id_ not in known:
        raise entry.error(f'have "{key}" of an entry in "{where}"', id_)
    return known[id_].number


def _texts(numbered: Numbered) -> dict[int, str]:
    return {entry.number: id_ for id_, entry in numbered.items() if isinstance(id_, str)}


def _picture(number: int, entry: JsonObject, folder: Path) -> Picture:
    name, height, width = entry.text("file_name"), entry.value.get("height"), entry.value.get("width")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return Picture(number, placed(folder, name), name, size)


def _labelled_object(entry: JsonObject, images: Numbered, categories: Numbered) -> LabelledObject:
    box = entry.value.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)) or min(box[2:]) < 0:
        raise entry.error('have "bbox" [x, y, width, height]', box)
    x, y, width, height = map(float, box)
    area, crowd = entry.value.get("area", width * height), entry.value.get("iscrowd", 0)
    if not is_number(area) or area < 0:
        raise entry.error('have a number "area" of at least 0', area)
    if crowd not in (0, 1):
        raise entry.error('have "iscrowd" 0 or 1', crowd)
    image_id = _reference(entry, "image_id", images, "images")
    category_id = _reference(entry, "category_id", categories, "categories")
    return LabelledObject(image_id, category_id, (x, y, width, height), float(area), bool(crowd))


def _check_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    if not os.path.isdir(folder):
        raise EvaluationError(f"there is no folder of images {shown(folder)}")
    missing = [shown(picture.name) for picture in pictures if not os.path.isfile(picture.path)]
    if missing:
        raise EvaluationError(f"{len(missing)} of {len(pictures)} images are not in {shown(folder)}: {some(missing)}")
