"""Darknet's .data files: which pictures, what classes are called."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.labelled import Listing
from fastyolo.evaluate.picture_list import named, read_list
from fastyolo.evaluate.placing import Bases
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.text_file import read_lines
from fastyolo.files import shown
from fastyolo.names import read_names
from fastyolo.texts import brief


def read_data(path: Path, images: Path | None, names: Callable[[], Sequence[str] | None], remarks: Remarks) -> Listing:
    """What a .data file says: ``valid``, the list of pictures, and ``names``, the file of class names.

    Paths are relative to the working directory, as in Darknet, and where they lead nowhere from there, to the file's
    folder or the one above it, with a warning. Without a ``names`` the given ones count.

    Raises:
        EvaluationError: a file cannot be read or is missing, or nothing names the classes.
    """
    options = _options(path)
    around = (path.parent, path.parent.parent)
    bases = Bases(path, [Path(), *around])
    listed = _file(path, options, "valid", bases)
    if listed is None:
        raise EvaluationError(f"{shown(path)} must say which pictures to evaluate on, valid=FILE, got no such line")
    file = _file(path, options, "names", bases)
    classes = named(names() if file is None else read_names(file), path)
    count = options.get("classes")
    if count is not None and count != str(len(classes)):
        warnings.warn(
            f"{shown(path)} says classes={brief(count)[1:-1]}, but there are {len(classes)} names, which count",
            stacklevel=2,
        )
    return Listing(path, read_list(listed, images, [Path(), *around, listed.parent], remarks), classes)


def _options(path: Path) -> dict[str, str]:
    """``key = value`` lines; of a key that stands twice the first counts, as in Darknet."""
    options: dict[str, str] = {}
    for number, line in read_lines(path):
        if line[0] in "#;":
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key or not value:
            raise EvaluationError(f"line {number} of {shown(path)} must be key = value, got {brief(line)}")
        if options.setdefault(key, value) != value:
            warnings.warn(
                f"line {number} of {shown(path)}: {brief(key)[1:-1]}= stands twice; the first counts, as in Darknet",
                stacklevel=2,
            )
    return options


def _file(path: Path, options: dict[str, str], key: str, bases: Bases) -> Path | None:
    if key not in options:
        return None
    if (file := bases.file(options[key])) is None:
        raise EvaluationError(
            f"{shown(path)} says {key}={shown(options[key])}, but there is no such file, neither from the working "
            "directory nor from its own folder"
        )
    return file
