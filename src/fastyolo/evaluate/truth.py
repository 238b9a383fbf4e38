"""What is in annotated pictures, whichever kind of file says it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fastyolo.errors import EvaluationError
from fastyolo.files import shown
from fastyolo.names import common_name
from fastyolo.texts import shortened

StrPath = str | os.PathLike[str]

_MOST_SHOWN = 200


class GivenIds(NamedTuple):
    """What images and categories are called by a file whose ids are texts; here they have numbers."""

    images: Mapping[int, str]
    categories: Mapping[int, str]


NO_TEXTS = GivenIds({}, {})


class Picture(NamedTuple):
    """One annotated picture. `size` is (height, width) in pixels where it is known."""

    id: int
    path: Path
    name: str
    size: tuple[int, int] | None = None


class LabelledObject(NamedTuple):
    """One object. `bbox` is (x, y, width, height) and `area` its size, in image pixels.

    `crowd` marks a region that holds many objects: what is found there counts neither for nor against the detector.
    """

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool


@dataclass(frozen=True)
class GroundTruth:
    """Annotated pictures, by ascending id, and the objects in them.

    Attributes:
        path: the file or folder.
        pictures: every picture to be scored.
        categories: name of each category id, in the file's order.
        objects: in the file's order.
        given_ids: of images and categories whose id in the file is a text; empty where all are numbers.
        own_ids: whether the file gives its pictures no ids, as labels do not, so that they have numbers of ours.
    """

    path: Path
    pictures: tuple[Picture, ...]
    categories: Mapping[int, str]
    objects: tuple[LabelledObject, ...]
    given_ids: GivenIds = NO_TEXTS
    own_ids: bool = False

    def of(self, pictures: Sequence[Picture]) -> GroundTruth:
        """The same, as if only these pictures had been annotated."""
        ids = {picture.id for picture in pictures}
        objects = tuple(entry for entry in self.objects if entry.image_id in ids)
        return replace(self, pictures=tuple(sorted(pictures)), objects=objects)


def some(items: Sequence[str], count: int = 5) -> str:
    """The first items in one line, and how many more there are."""
    rest = len(items) - count
    return ", ".join(shortened(item, _MOST_SHOWN) for item in items[:count]) + (f" and {rest} more" if rest > 0 else "")


def placed(folder: Path, name: str) -> Path:
    """Where a file of that name lies; a name that tools on Windows wrote has backslashes for slashes."""
    path = folder / name
    if "\\" in name and not os.path.lexists(path):
        return folder / with_slashes(name)
    return path


def with_slashes(name: str) -> str:
    """A file's name as tools on Linux write it."""
    return name.replace("\\", "/")


def base_name(name: str) -> str:
    """A file's name without its folders, whichever way their slashes lean."""
    return os.path.basename(with_slashes(name))


def pixel_box(shares: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """(x, y, width, height) in pixels of a box (centre x, centre y, width, height) in shares of a picture's sides.

    Args:
        size: (height, width) of the picture.
    """
    (x, y, w, h), (height, width) = shares, size
    return (x - w / 2) * width, (y - h / 2) * height, w * width, h * height


def distinct(path: Path, categories: Mapping[int, str], used: Set[int]) -> dict[int, str]:
    """The categories less those that only repeat the name of another; `used` are those with objects.

    Raises:
        EvaluationError: two with objects have the same name.
    """
    of_name: dict[str, int] = {}
    for id_, name in categories.items():
        other = of_name.setdefault(common_name(name), id_)
        if other != id_ and {other, id_} <= used:
            raise EvaluationError(f"categories {other} and {id_} of {shown(path)} have the same name {name!r}")
        if other not in used:
            of_name[common_name(name)] = id_
    kept = set(of_name.values())
    return {id_: name for id_, name in categories.items() if id_ in kept}


def check_objects(truth: GroundTruth, limit: int | None) -> None:
    """Raise `EvaluationError` where nothing is annotated that could be found."""
    if all(entry.crowd for entry in truth.objects):
        path = shown(truth.path)
        where = f"in {path}" if limit is None else f"in the first {len(truth.pictures)} images of {path}"
        raise EvaluationError(f"no object is annotated {where}, so there is nothing to score")
