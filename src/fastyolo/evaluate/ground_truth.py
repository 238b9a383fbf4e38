"""What a COCO annotation file says is in the pictures, checked before anything is computed from it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from fastyolo.errors import EvaluationError
from fastyolo.files import shown
from fastyolo.names import common_name

StrPath = str | os.PathLike[str]
Id = int | str


class GivenIds(NamedTuple):
    """What images and categories are called by a file whose ids are texts; here they have numbers."""

    images: Mapping[int, str]
    categories: Mapping[int, str]


NO_TEXTS = GivenIds({}, {})


class Picture(NamedTuple):
    """One entry of "images". `size` is (height, width) in pixels where the entry says it."""

    id: int
    path: Path
    name: str
    size: tuple[int, int] | None = None


class LabelledObject(NamedTuple):
    """One entry of "annotations". `bbox` is (x, y, width, height) and `area` its size, in image pixels.

    `crowd` marks a region that holds many objects: what is found there counts neither for nor against the detector.
    """

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool


@dataclass(frozen=True)
class GroundTruth:
    """The pictures of an annotation file, by ascending id, and the objects in them.

    Attributes:
        path: the file.
        pictures: every picture to be scored.
        categories: name of each category id, in the file's order.
        objects: in the file's order.
        given_ids: of images and categories whose id in the file is a text; empty where all are numbers.
    """

    path: Path
    pictures: tuple[Picture, ...]
    categories: Mapping[int, str]
    objects: tuple[LabelledObject, ...]
    given_ids: GivenIds = NO_TEXTS

    def of(self, pictures: Sequence[Picture]) -> GroundTruth:
        """The same, as if only these pictures had been annotated."""
        ids = {picture.id for picture in pictures}
        objects = tuple(entry for entry in self.objects if entry.image_id in ids)
        return replace(self, pictures=tuple(sorted(pictures)), objects=objects)


def read_ground_truth(annotations: StrPath, images: StrPath, *, limit: int | None = None) -> GroundTruth:
    """Read a COCO annotation file and find its pictures.

    Args:
        annotations: JSON with "images" (id, file_name), "categories" (id, name) and "annotations" (id, image_id,
            category_id, bbox). A missing "area" is that of the box, a missing "iscrowd" is 0; "ignore" has no effect,
            as in pycocotools. Ids may be whole numbers or texts. Of categories of one name, such as the root that some
            tools add, those without an object are passed over, as is anything else in the file.
        images: the folder that every file_name is relative to, written with slashes or Windows' backslashes; it may
            hold more pictures than the file lists.
        limit: take only the first pictures, by id; texts come after numbers, in the file's order.

    Raises:
        EvaluationError: the file cannot be read or is no such file, no object is annotated, the folder or one of the
            pictures is missing; one line each.
    """
    path, folder = Path(annotations), Path(images)
    document = _Reader(path, _load(path))
    listed, labels = _numbered(document.entries("images")), _numbered(document.entries("categories"))
    pictures = {number: _picture(number, entry, folder) for number, entry in listed.values()}
    every_category = {number: entry.text("name") for number, entry in labels.values()}
    objects = tuple(_labelled_object(entry, listed, labels) for entry in document.entries("annotations"))
    categories = _distinct(path, every_category, {entry.category_id for entry in objects})
    first = [pictures[id_] for id_ in sorted(pictures)][:limit]
    truth = GroundTruth(path, tuple(first), categories, objects, GivenIds(_texts(listed), _texts(labels))).of(first)
    if all(entry.crowd for entry in truth.objects):
        where = f"in {shown(path)}" if limit is None else f"in the first {len(truth.pictures)} images of {shown(path)}"
        raise EvaluationError(f"no object is annotated {where}, so there is nothing to score")
    _check_pictures(folder, truth.pictures)
    return truth


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


def some(items: Sequence[str], count: int = 5) -> str:
    """The first items in one line, and how many more there are."""
    rest = len(items) - count
    return ", ".join(items[:count]) + (f" and {rest} more" if rest > 0 else "")


def _load(path: Path) -> Any:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise EvaluationError(f"cannot read annotations {shown(path)}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise EvaluationError(f"{shown(path)} is no COCO annotation file: not JSON: {reason}")


class _Reader:
    """One JSON object of an annotation file, and how to name it in an error."""

    def __init__(self, path: Path, value: Any, name: str = "the document") -> None:
        self.path = path
        self.name = name
        self.value: dict[str, Any] = value
        if not isinstance(value, dict):
            raise self.error("be an object {...}", value)

    def error(self, expected: str, got: Any) -> EvaluationError:
        text = "nothing" if got is None else json.dumps(got)
        text = text if len(text) <= 60 else f"{text[:60]}..."
        return EvaluationError(
            f"{shown(self.path)} is no COCO annotation file: {self.name} must {expected}, got {text}"
        )

    def entries(self, key: str) -> Iterator[_Reader]:
        """The objects of a list, whose ids must differ."""
        values = self.value.get(key)
        if not isinstance(values, list):
            raise self.error(f'have a list "{key}"', values)
        seen: set[Id] = set()
        for index, value in enumerate(values):
            entry = _Reader(self.path, value, f"{key}[{index}]")
            if entry.id in seen:
                raise entry.error('have an "id" of its own', entry.id)
            seen.add(entry.id)
            yield entry

    @property
    def id(self) -> Id:
        return self.identity("id")

    def identity(self, key: str) -> Id:
        """A whole number, or a text."""
        value = self.value.get(key)
        if isinstance(value, str) and value:
            return value
        # Beyond 64 bits pycocotools would fail, far from here.
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**62:
            raise self.error(f'have a whole number or a text "{key}"', value)
        return value

    def text(self, key: str) -> str:
        value = self.value.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(f'have a text "{key}"', value)
        return value

    def reference(self, key: str, known: Numbered, where: str) -> int:
        """The number of an entry in another list."""
        id_ = self.identity(key)
        if id_ not in known:
            raise self.error(f'have "{key}" of an entry in "{where}"', id_)
        return known[id_].number


class _Entry(NamedTuple):
    number: int
    entry: _Reader


Numbered = dict[Id, _Entry]


def _numbered(entries: Iterator[_Reader]) -> Numbered:
    """Each entry by its id, with a number of its own: the id itself, or behind all numbers where it is a text."""
    listed = list(entries)
    free = count(max((entry.id for entry in listed if isinstance(entry.id, int)), default=-1) + 1)
    return {entry.id: _Entry(entry.id if isinstance(entry.id, int) else next(free), entry) for entry in listed}


def _texts(numbered: Numbered) -> dict[int, str]:
    return {entry.number: id_ for id_, entry in numbered.items() if isinstance(id_, str)}


def _picture(number: int, entry: _Reader, folder: Path) -> Picture:
    name, height, width = entry.text("file_name"), entry.value.get("height"), entry.value.get("width")
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    return Picture(number, _path_of(folder, name), name, size)


def _path_of(folder: Path, name: str) -> Path:
    """Where a picture lies; a name that tools on Windows wrote has backslashes for slashes."""
    path = folder / name
    if "\\" in name and not os.path.lexists(path):
        return folder / name.replace("\\", "/")
    return path


def _labelled_object(entry: _Reader, images: Numbered, categories: Numbered) -> LabelledObject:
    box = entry.value.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)) or min(box[2:]) < 0:
        raise entry.error('have "bbox" [x, y, width, height]', box)
    x, y, width, height = map(float, box)
    area, crowd = entry.value.get("area", width * height), entry.value.get("iscrowd", 0)
    if not _is_number(area) or area < 0:
        raise entry.error('have a number "area" of at least 0', area)
    if crowd not in (0, 1):
        raise entry.error('have "iscrowd" 0 or 1', crowd)
    image_id = entry.reference("image_id", images, "images")
    category_id = entry.reference("category_id", categories, "categories")
    return LabelledObject(image_id, category_id, (x, y, width, height), float(area), bool(crowd))


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and -1e300 < value < 1e300


def _distinct(path: Path, categories: Mapping[int, str], used: Set[int]) -> dict[int, str]:
    """The categories less those that only repeat the name of another; `used` are those with objects."""
    of_name: dict[str, int] = {}
    for id_, name in categories.items():
        other = of_name.setdefault(common_name(name), id_)
        if other != id_ and {other, id_} <= used:
            raise EvaluationError(f"categories {other} and {id_} of {shown(path)} have the same name {name!r}")
        if other not in used:
            of_name[common_name(name)] = id_
    kept = set(of_name.values())
    return {id_: name for id_, name in categories.items() if id_ in kept}


def _check_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    if not os.path.isdir(folder):
        raise EvaluationError(f"there is no folder of images {shown(folder)}")
    missing = [shown(picture.name) for picture in pictures if not os.path.isfile(picture.path)]
    if missing:
        raise EvaluationError(f"{len(missing)} of {len(pictures)} images are not in {shown(folder)}: {some(missing)}")
