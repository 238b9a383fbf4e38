"""Which annotated picture a results file speaks of."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from fastyolo.errors import EvaluationError, FastYoloError
from fastyolo.evaluate.json_file import Id
from fastyolo.evaluate.truth import GroundTruth, base_name, some, with_slashes
from fastyolo.files import shown
from fastyolo.frames.picture import picture_size
from fastyolo.texts import printable


class ResultPictures:
    """Finds the image id of each entry, and remembers what is odd."""

    def __init__(self, path: Path, truth: GroundTruth) -> None:
        self._path = path
        self._truth = truth
        self._pictures = {picture.id: picture for picture in truth.pictures}
        self._by_text = {text: number for number, text in truth.given_ids.images.items()}
        self._by_path: dict[str, int] = {}
        self._by_base: dict[str, int | None] = {}
        for picture in truth.pictures:
            for name in (picture.name, str(picture.path)):
                self._by_path.setdefault(_plain(name), picture.id)
            # A name of two pictures tells neither.
            base = base_name(picture.name)
            self._by_base[base] = picture.id if base not in self._by_base else None
        self._unknown: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._failed: list[str] = []
        self._resized: list[str] = []

    def by_id(self, given: Id, name: str | None = None) -> int | None:
        """The number of a picture by its id, or by its file name where the entry has one; None for one not listed."""
        image_id: int | None
        if isinstance(given, str):
            image_id = self._by_text.get(given)
        else:
            image_id = given if given in self._pictures and given not in self._truth.given_ids.images else None
        if name is not None:
            named = self._find(name)
            # Of two pictures of one name it is the id that tells.
            known = image_id is not None and base_name(self._pictures[image_id].name) == base_name(name)
            image_id = named if named is not None else image_id if known else None
        if image_id is None:
            self._unknown[printable(name if name is not None else str(given))] += 1
        else:
            self._seen.add(image_id)
        return image_id

    def by_name(self, name: str, detections: int, *, failed: bool = False) -> int | None:
        """The same by its file name alone, of a picture that has one entry with so many detections.

        Raises:
            EvaluationError: it had an entry before.
        """
        image_id = self._find(name)
        if image_id is None:
            self._unknown[shown(name)] += detections
            return None
        if image_id in self._seen:
            raise EvaluationError(
                f"{shown(self._path)} must have one entry for each picture, got two for {shown(name)}"
            )
        self._seen.add(image_id)
        if failed:
            self._failed.append(shown(name))
        return image_id

    def size_of(self, image_id: int) -> tuple[int, int]:
        """(height, width) of a picture, by the annotations or else by itself.

        Raises:
            EvaluationError: neither is to be had.
        """
        picture = self._pictures[image_id]
        if picture.size is not None:
            return picture.size
        try:
            return picture_size(picture.path)[0]
        except FastYoloError as error:
            raise EvaluationError(
                f"boxes in {shown(self._path)} are relative to their picture's size, but {shown(self._truth.path)} "
                f"does not say that of {shown(picture.name)}, and {error}; --images says where pictures are"
            ) from None

    def check_size(self, image_id: int, height: Any, width: Any) -> None:
        """Remember a picture that had another size than it was annotated with."""
        picture = self._pictures[image_id]
        if picture.size is not None and (height, width) != picture.size:
            self._resized.append(
                f"{shown(picture.name)} ({width} x {height}, not {picture.size[1]} x {picture.size[0]})"
            )

    def remarks(self, *, complete: bool) -> list[str]:
        """A line for each kind of oddity; `complete` where the file has an entry for a picture without detections too.

        Raises:
            EvaluationError: no entry is of an annotated picture.
        """
        path, truth = shown(self._path), shown(self._truth.path)
        lines = []
        unknown = some([f"{name} ({count})" for name, count in self._unknown.items()])
        if self._unknown and not self._seen:
            raise EvaluationError(f"nothing in {path} is of a picture of {truth}, but of {unknown}")
        if self._unknown:
            lines.append(
                f"{len(self._unknown)} pictures of {path} are not in {truth}, and their {sum(self._unknown.values())} "
                f"detections are left out: {unknown}"
            )
        if self._failed:
            lines.append(f"{len(self._failed)} pictures failed when {path} was made: {some(self._failed)}")
        if self._resized:
            lines.append(
                f"{len(self._resized)} pictures had another size in {path} than in {truth}, so boxes may not match: "
                f"{some(self._resized, 1)}"
            )
        missing = [shown(picture.name) for picture in self._truth.pictures if picture.id not in self._seen]
        if complete and missing:
            lines.append(
                f"{len(missing)} pictures of {truth} are not in {path}, as if nothing were found: {some(missing)}"
            )
        return lines

    def _find(self, name: str) -> int | None:
        whole = self._by_path.get(_plain(name))
        return whole if whole is not None else self._by_base.get(base_name(name))


def _plain(name: str) -> str:
    return os.path.normpath(with_slashes(name))
