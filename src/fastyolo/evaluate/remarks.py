"""What is odd about many files of one data set: said once for each kind, with how often and the first place."""

from __future__ import annotations

import warnings
from collections import Counter

_TEXTS = {
    "missing": "pictures without a label file count as without objects: {count} of {pictures}, such as {first}",
    "twice": "pictures with labels in labels/, which count, and others beside them: {count}, such as {first}",
    "shared": "pictures that share the label file of another: {count}, such as {first}",
    "listed twice": "pictures that are listed more than once count once: {count}, such as {first}",
    "polygons": "rows that are polygons count by the box around them: {count}, such as {first}",
    "repeated": "rows that repeat another of their file are left out: {count}, such as {first}",
    "flat": "rows without width or height are left out: {count}, such as {first}",
    "turned": "pictures that EXIF turns are taken to have labels of what they show upright: {count}, such as {first}",
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
