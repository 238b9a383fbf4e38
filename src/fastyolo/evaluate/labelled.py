"""Pictures with YOLO labels as ground truth in pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from fastyolo.errors import EvaluationError, FastYoloError
from fastyolo.evaluate.label_file import Row, label_path, read_labels
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.truth import (
    GroundTruth,
    LabelledObject,
    Picture,
    base_name,
    check_objects,
    distinct,
    pixel_box,
)
from fastyolo.files import shown
from fastyolo.frames.picture import picture_size
from fastyolo.names import COCO_CATEGORY_IDS, is_coco


class Listing(NamedTuple):
    """Pictures that a file or folder names.

    Attributes:
        path: that file or folder.
        pictures: path of each, by the name that it has there.
        names: what their labels call class 0, 1, ...
        labels: the folder of all label files, where it is not for the pictures' paths to say.
    """

    path: Path
    pictures: Mapping[str, Path]
    names: Sequence[str]
    labels: Path | None = None


def read_labelled(listing: Listing, remarks: Remarks, *, limit: int | None = None) -> GroundTruth:
    """Read the labels, and of the pictures as much as says their size.

    Pictures have the number that they are called by where all are called by one, as COCO's are, else 1, 2, 3, ...

    Raises:
        EvaluationError: a label file or picture cannot be read, a row is wrong, or no object is annotated.
    """
    ids = category_ids(listing.names)
    numbered = sorted(zip(_image_ids(list(listing.pictures)), listing.pictures.items(), strict=True))[:limit]
    rows = _rows(listing, [path for _, (_, path) in numbered], remarks)
    pictures, objects = [], []
    for (id_, (name, path)), found in zip(numbered, rows, strict=True):
        size = _size(path, remarks)
        pictures.append(Picture(id_, path, name, size))
        objects += [_object(id_, ids[row.class_id], row, size) for row in found]
    categories = distinct(
        listing.path, dict(zip(ids, listing.names, strict=True)), {one.category_id for one in objects}
    )
    truth = GroundTruth(listing.path, tuple(pictures), categories, tuple(objects), own_ids=True)
    if pictures and remarks.count("missing") == len(pictures):
        expected = shown(_label_path(listing, pictures[0].path, None))
        raise EvaluationError(f"none of the pictures of {shown(listing.path)} has labels, such as {expected}")
    check_objects(truth, limit)
    remarks.warn(len(pictures))
    return truth


def category_ids(names: Sequence[str]) -> tuple[int, ...]:
    """Numbers of classes as `Detections.to_coco` writes them: COCO's own for its classes, else from 1."""
    return COCO_CATEGORY_IDS if is_coco(names) else tuple(range(1, len(names) + 1))


def _image_ids(names: Sequence[str]) -> list[int]:
    stems = [os.path.splitext(base_name(name))[0] for name in names]
    if all(stem.isascii() and stem.isdigit() and len(stem) < 19 for stem in stems):
        ids = [int(stem) for stem in stems]
        if len(set(ids)) == len(ids):
            return ids
    return [id_ for id_, _ in zip(count(1), names)]


def _label_path(listing: Listing, picture: Path, remarks: Remarks | None) -> Path:
    if listing.labels is not None:
        return listing.labels / f"{picture.stem}.txt"
    return label_path(picture, remarks)


def _rows(listing: Listing, pictures: Sequence[Path], remarks: Remarks) -> list[list[Row]]:
    seen: set[Path] = set()
    rows = []
    for picture in pictures:
        path = _label_path(listing, picture, remarks)
        if path in seen:
            remarks.add("shared", shown(picture))
        seen.add(path)
        if os.path.lexists(path):
            rows.append(read_labels(path, len(listing.names), remarks))
        else:
            remarks.add("missing", shown(picture))
            rows.append([])
    return rows


def _size(path: Path, remarks: Remarks) -> tuple[int, int]:
    try:
        size, orientation = picture_size(path)
    except FastYoloError as error:
        raise EvaluationError(f"cannot score {shown(path)}: {error}") from None
    if orientation != 1:
        remarks.add("turned", shown(path))
    return size


def _object(image_id: int, category_id: int, row: Row, size: tuple[int, int]) -> LabelledObject:
    box = pixel_box(row.box, size)
    return LabelledObject(image_id, category_id, box, box[2] * box[3], False)
