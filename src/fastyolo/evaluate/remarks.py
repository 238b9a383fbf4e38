"""What is odd about many files of one data set: said once for each kind, with how often and the first place."""

from __future__ import annotations

import warnings
from collections import Counter

_TEXTS = {
    "missing": "{count} of {pictures} pictures have no label file and count as without objects, such as {first}",
    "twice": "{count} pictures have labels in labels/, which count, and others beside them, such as {first}",
    "shared": "{count} pictures share the label file of another, such as {first}",
    "listed twice": "{count} pictures are listed more than once and count once, such as {first}",
    "polygons": "{count} rows are polygons, of which the box around them counts, such as {first}",
    "repeated": "{count} rows repeat another of their file and are left out, such as {first}",
    "flat": "{count} rows have no width or no height and are left out, such as {first}",
    "turned": "{count} pictures are turned by their EXIF orientation, and labels taken to be of them upright, "
    "such as {first}",
}


class Remarks:
    """Counts what is odd, by kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, where: str) -> None:
        """One more of a kind; `where` is printable."""
        assert kind in _TEXTS
        self._counts[kind] += 1
        self._first.setdefault(kind, where)

    def count(self, kind: str) -> int:
        return self._counts[kind]

    def warn(self, pictures: int) -> None:
        """A warning for each kind there was."""
        for kind, text in _TEXTS.items():
            if count := self._counts[kind]:
                warnings.warn(text.format(count=count, pictures=pictures, first=self._first[kind]), stacklevel=2)
