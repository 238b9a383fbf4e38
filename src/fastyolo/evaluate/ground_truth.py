"""Ground truth from whichever kind of file or folder says it, and how it goes with the classes of a model."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.coco_file import read_coco
from fastyolo.evaluate.darknet_data import read_data
from fastyolo.evaluate.labelled import Listing, read_labelled
from fastyolo.evaluate.picture_list import folder_listing, named, read_list
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.truth import GivenIds as GivenIds
from fastyolo.evaluate.truth import GroundTruth as GroundTruth
from fastyolo.evaluate.truth import LabelledObject as LabelledObject
from fastyolo.evaluate.truth import Picture as Picture
from fastyolo.evaluate.truth import StrPath, some
from fastyolo.evaluate.ultralytics_data import read_yaml
from fastyolo.files import shown
from fastyolo.names import common_name

Kind = Literal["coco", "data", "yaml", "list", "folder"]

_BY_SUFFIX: dict[str, Kind] = {".json": "coco", ".data": "data", ".yaml": "yaml", ".yml": "yaml", ".txt": "list"}
_CONTENTS: tuple[tuple[Kind, re.Pattern[bytes]], ...] = (
    ("coco", re.compile(rb"\A(\xef\xbb\xbf)?\s*[\[{]")),
    ("data", re.compile(rb"^[ \t]*(valid|train|names|classes)[ \t]*=", re.MULTILINE)),
    ("yaml", re.compile(rb"^(val|train|names|path|nc)[ \t]*:(\s|$)", re.MULTILINE)),
    ("list", re.compile(rb"\.(jpe?g|png|bmp|ppm|webp|tiff?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)),
)
_LOOKED_AT = 4096


def read_ground_truth(
    annotations: StrPath,
    images: StrPath | None = None,
    *,
    names: Callable[[], Sequence[str] | None] = lambda: None,
    limit: int | None = None,
    pictures: bool = True,
) -> GroundTruth:
    """Read what is in annotated pictures, and find the pictures.

    Args:
        annotations: one of these, by its name, or else by how it begins:

            - .json: a COCO annotation file; see `fastyolo.evaluate.coco_file.read_coco`.
            - .data: Darknet's, with ``valid`` and ``names``; see `fastyolo.evaluate.darknet_data.read_data`.
            - .yaml, .yml: Ultralytics', with ``val`` and ``names``; see
              `fastyolo.evaluate.ultralytics_data.read_yaml`.
            - .txt: a list of pictures, one path a line.
            - a folder of pictures, with YOLO labels beside them or in labels/ for pictures in images/; or of labels.

        images: the folder of the pictures, where the annotations do not say it.
        names: gives what classes are called, for a list or folder that does not say it; called only then.
        limit: take only the first pictures, by id.
        pictures: whether those of a COCO file must be there. Labels are in shares of their picture, so theirs must.

    Raises:
        EvaluationError: a file cannot be read or is wrong, no object is annotated, a picture is missing; one line each.
    """
    path = Path(annotations)
    folder = None if images is None else Path(images)
    kind = kind_of(path)
    if kind == "coco":
        return read_coco(path, folder, limit=limit, pictures=pictures)
    remarks = Remarks()
    return read_labelled(_listing(kind, path, folder, names, remarks), remarks, limit=limit)


def kind_of(path: Path) -> Kind:
    """What kind of annotations a file or folder is.

    Raises:
        EvaluationError: there is none, or it is none of these.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            return "folder"
        if (by_suffix := _BY_SUFFIX.get(path.suffix.lower())) is not None:
            return by_suffix
        if not stat.S_ISREG(mode):
            return "coco"  # a pipe can be read only once
        with open(path, "rb") as file:
            begin = file.read(_LOOKED_AT)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise EvaluationError(f"cannot read annotations {shown(path)}: {reason}") from None
    for kind, pattern in _CONTENTS:
        if pattern.search(begin):
            return kind
    raise EvaluationError(
        f"{shown(path)} is none of the annotations that are understood: COCO's JSON, Darknet's .data, Ultralytics' "
        ".yaml, a list of pictures, a folder of pictures with labels"
    )


def _listing(
    kind: Kind, path: Path, images: Path | None, names: Callable[[], Sequence[str] | None], remarks: Remarks
) -> Listing:
    if kind == "data":
        return read_data(path, images, names, remarks)
    if kind == "yaml":
        return read_yaml(path, images, names, remarks)
    if kind == "list":
        return Listing(path, read_list(path, images, [Path(), path.parent], remarks), named(names(), path))
    return folder_listing(path, images, names)


def match_classes(names: Sequence[str], truth: GroundTruth) -> tuple[int | None, ...]:
    """The category id of every class of a model, None for a class that the annotation file does not know.

    Names match whatever their case, and in Darknet's spelling as in COCO's. What a class without a category finds can
    be neither right nor wrong, so the caller may leave it out and say so. The reverse would be dishonest: objects that
    the model has no class for would vanish from the score, so that is an error.

    Raises:
        EvaluationError: a category with objects matches no class, or two classes match one category.
    """
    by_name = {common_name(name): id_ for id_, name in truth.categories.items()}
    matched = tuple(by_name.get(common_name(name)) for name in names)
    class_of: dict[int, str] = {}
    for name, id_ in zip(names, matched, strict=True):
        if id_ in class_of:
            pair = f"{class_of[id_]!r} and {name!r}"
            raise EvaluationError(f"classes {pair} of the model both match category {truth.categories[id_]!r}")
        if id_ is not None:
            class_of[id_] = name
    counts = Counter(entry.category_id for entry in truth.objects if not entry.crowd)
    missed = counts.keys() - class_of
    unknown = [f"{name!r} ({counts[id_]})" for id_, name in truth.categories.items() if id_ in missed]
    if unknown:
        raise EvaluationError(
            f"the model has no class for {some(unknown)}, categories of {shown(truth.path)} (with their number of "
            f"objects); it has {len(names)} classes, such as {names[0]!r}; --names gives it others"
        )
    return matched
