"""Where the files lie that a list or a description of a data set names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.truth import placed, some, with_slashes
from fastyolo.files import shown


class Bases:
    """Folders that names may be relative to, tried in turn; says once where it is not the first that has them."""

    def __init__(self, named_in: Path, folders: Iterable[Path]) -> None:
        self._named_in = named_in
        self._folders = list(dict.fromkeys(folders))
        self._said: set[Path] = set()

    def file(self, name: str, *, kind: Callable[[str], bool] = os.path.isfile) -> Path | None:
        """The file of that name, None where there is none."""
        for folder in self._folders:
            if kind(str(path := placed(folder, name))):
                self._say(folder, [name])
                return path
        return None

    def files(self, names: Sequence[str]) -> list[Path]:
        """All of these, from the one folder that has most of them.

        Raises:
            EvaluationError: some are not there.
        """
        there = [[os.path.isfile(placed(folder, name)) for name in names] for folder in self._folders]
        best = max(range(len(there)), key=lambda at: (sum(there[at]), -at))
        missing = [shown(name) for name, is_there in zip(names, there[best], strict=True) if not is_there]
        if missing:
            folders = ", ".join(map(_called, self._folders))
            raise EvaluationError(
                f"{len(missing)} of {len(names)} images of {shown(self._named_in)} are not there: {some(missing)}; "
                f"looked for from {folders}; --images says where they are"
            )
        self._say(self._folders[best], names)
        return [placed(self._folders[best], name) for name in names]

    def _say(self, folder: Path, names: Sequence[str]) -> None:
        """Darknet takes paths from where it is started; who started it elsewhere learns what was taken instead."""
        if folder in (self._folders[0], *self._said) or all(os.path.isabs(name) for name in names):
            return
        self._said.add(folder)
        warnings.warn(
            f"paths in {shown(self._named_in)} lead nowhere from {_called(self._folders[0])}, so they are taken from "
            f"{_called(folder)}",
            stacklevel=4,
        )


def _called(folder: Path) -> str:
    return "the working directory" if folder == Path() else shown(folder)


def once(names: Sequence[str], remarks: Remarks) -> list[str]:
    """The names without those that came before, whichever way their slashes lean."""
    first: dict[PurePosixPath, str] = {}
    for name in names:
        path = PurePosixPath(with_slashes(name))
        if path in first:
            remarks.add("listed twice", shown(name))
        first.setdefault(path, name)
    return list(first.values())
