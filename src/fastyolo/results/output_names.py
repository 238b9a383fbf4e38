"""What the files are called that come of pictures: annotated copies, and formats of a file a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from fastyolo.results.render import is_own_picture

# The suffixes an annotated copy keeps; from every other format it becomes a PNG.
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png")


class OutputNames:
    """Hands out one path in `folder` for what comes of each picture: an annotated copy, or a file with `suffix`.

    A file keeps its picture's name where it can. It gets "-2", "-3", ... behind the stem where that name was
    already handed out (case ignored, for file systems that ignore it), is one of the `inputs` under any name, or holds
    something that fastyolo did not write, by `is_own`. Results of an earlier run are overwritten.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        inputs: Iterable[str | os.PathLike[str]] = (),
        *,
        suffix: str | None = None,
        is_own: Callable[[str], bool] = is_own_picture,
    ) -> None:
        self._folder = os.fspath(folder)
        self._suffix = suffix
        self._is_own = is_own
        self._taken: set[str] = set()
        self._next_number: dict[tuple[str, str], int] = {}
        self._inputs = {identity for path in inputs if (identity := _file_identity(os.fspath(path)))}

    def path_for(self, source: str | os.PathLike[str]) -> str:
        """Return where to write what comes of `source`; a second call gives a second path."""
        stem, suffix = os.path.splitext(os.path.basename(os.fspath(source)))
        suffix = self._suffix or (suffix if suffix.lower() in _KEPT_SUFFIXES else ".png")
        key = (stem.casefold(), suffix.casefold())
        number = self._next_number.get(key, 1)
        while True:
            name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
            number += 1
            path = os.path.join(self._folder, name)
            if name.casefold() not in self._taken and self._may_write(path):
                break
        self._taken.add(name.casefold())
        self._next_number[key] = number
        return path

    def _may_write(self, path: str) -> bool:
        if not os.path.lexists(path):
            return True
        if _file_identity(path) in self._inputs:
            return False
        # An output folder may be one that people keep pictures in, so a name alone does not make a file ours: we mark
        # what we write, and whatever carries no mark stays.
        return self._is_own(path)


def _file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode, which symbolic and hard links of one file share; None where there is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
