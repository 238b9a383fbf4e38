"""Pictures that a list names, a line each, or that lie in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.label_file import label_path
from fastyolo.evaluate.labelled import Listing
from fastyolo.evaluate.placing import Bases, once
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.text_file import read_lines
from fastyolo.evaluate.truth import base_name, with_slashes
from fastyolo.files import shown
from fastyolo.names import read_names
from fastyolo.sources.paths import expand_sources

_NAMES_FILES = ("obj.names", "classes.txt")


def read_list(path: Path, images: Path | None, folders: Iterable[Path], remarks: Remarks) -> dict[str, Path]:
    """Path of each picture of a list, by the name it has there.

    Names are relative to `images` where it is given, be it with all their folders or without; else to the one of the
    `folders` that has most of them.

    Raises:
        EvaluationError: the list cannot be read or is empty, or a picture is missing.
    """
    names = once([line for _, line in read_lines(path)], remarks)
    if not names:
        raise EvaluationError(f"{shown(path)} must list pictures, one path a line, got an empty file")
    if images is not None:
        return _in_folder(path, names, images)
    return dict(zip(names, Bases(path, folders).files(names), strict=True))


def list_folder(folder: Path, *, recursive: bool = False) -> dict[str, Path]:
    """Path of each picture in a folder, by its name there.

    Raises:
        EvaluationError: the folder cannot be read, or has no pictures.
    """
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder of images {shown(folder)}")
    found: dict[str, Path] = {}
    for source in expand_sources([str(folder)], recursive=recursive):
        if source.error is None:
            found[os.path.relpath(source.path, folder)] = Path(source.path)
        elif source.path != str(folder) or not os.access(folder, os.R_OK):
            raise EvaluationError(str(source.error))
    if not found:
        raise EvaluationError(f"{shown(folder)} has no pictures in it{'' if recursive else _hint(folder)}")
    return found


def folder_listing(folder: Path, images: Path | None, names: Callable[[], Sequence[str] | None]) -> Listing:
    """A folder of pictures with labels, or of labels whose pictures are in `images`.

    Names are those of an obj.names or classes.txt in it or beside the labels, else the given ones.

    Raises:
        EvaluationError: there are no pictures, or no names.
    """
    pictures = list_folder(images or folder)
    apart = folder if images is not None and not os.path.samefile(images, folder) else None
    first = next(iter(pictures.values()))
    folders = dict.fromkeys([folder, first.parent, label_path(first).parent])
    own = (parent / name for parent in folders for name in _NAMES_FILES if (parent / name).is_file())
    file = next(own, None)
    return Listing(folder, pictures, named(names() if file is None else read_names(file), folder), apart)


def named(names: Sequence[str] | None, where: Path) -> Sequence[str]:
    """The names, which something must give."""
    if names is None:
        raise EvaluationError(f"nothing says what the classes of {shown(where)} are called; --names does")
    return names


def _hint(folder: Path) -> str:
    """What a folder holds that may have been meant."""
    described = [name for name in sorted(os.listdir(folder)) if name.endswith((".yaml", ".yml", ".data", ".json"))]
    if described:
        return f"; it holds {shown(described[0])}, which may say where they are"
    return "; its subfolders are not looked into, and --images says where pictures of labels are"


def _in_folder(listed_in: Path, names: Sequence[str], folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder of images {shown(folder)}")
    # Without their folders two pictures may have one name, so that only the whole name tells them apart.
    bare = [base_name(name) for name in names]
    if len(set(bare)) < len(names) or (folder / with_slashes(names[0])).is_file():
        bare = list(names)
    return dict(zip(names, Bases(listed_in, [folder]).files(bare), strict=True))
