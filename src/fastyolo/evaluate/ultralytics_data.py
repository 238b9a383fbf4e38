"""Ultralytics' data.yaml: which pictures, what classes are called."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.labelled import Listing
from fastyolo.evaluate.picture_list import list_folder, named, read_list
from fastyolo.evaluate.placing import Bases
from fastyolo.evaluate.remarks import Remarks
from fastyolo.evaluate.text_file import read_text
from fastyolo.evaluate.truth import placed
from fastyolo.files import shown
from fastyolo.texts import brief, one_line


def read_yaml(path: Path, images: Path | None, names: Callable[[], Sequence[str] | None], remarks: Remarks) -> Listing:
    """What a data.yaml says: ``val``, folders or lists of pictures below ``path``, and ``names``.

    A relative ``path`` is so to the working directory or to the file's folder, which it is where it is missing; the
    download that some such files name is not made. Without ``names`` the given ones count.

    Raises:
        EvaluationError: PyYAML is not installed; the file is no such one; pictures are missing.
    """
    data = _load(path)
    if data.get("kpt_shape") is not None:
        raise EvaluationError(f"{shown(path)} is of key points (kpt_shape), expected boxes")
    classes = named(_names(path, data.get("names")) or names(), path)
    count = data.get("nc")
    if count is not None and count != len(classes):
        raise EvaluationError(
            f"{shown(path)} must name as many classes as it says, nc: {brief(count)}, got {len(classes)}"
        )
    values, roots = _values(path, data), _roots(path, data)
    if images is not None:
        return Listing(path, list_folder(images, recursive=True), classes)
    pictures: dict[str, Path] = {}
    seen: set[str] = set()
    for value in values:
        for name, picture in _pictures(path, value, roots, remarks).items():
            if (there := os.path.abspath(picture)) in seen:
                remarks.add("listed twice", shown(name))
            else:
                pictures[name] = picture
            seen.add(there)
    return Listing(path, pictures, classes)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise EvaluationError(f"reading {shown(path)} needs PyYAML: pip install pyyaml") from None
    text = read_text(path)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise EvaluationError(f"{shown(path)} is no YAML: {one_line(error)}") from None
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{shown(path)} cannot be read: {one_line(error)}") from None
    if not isinstance(data, dict):
        raise EvaluationError(f"{shown(path)} must have the keys val and names, got {brief(data)}")
    return data


def _names(path: Path, value: Any) -> list[str] | None:
    """A list of names, or names by number."""
    if value is None:
        return None
    if isinstance(value, dict):
        if set(value) != set(range(len(value))) or any(isinstance(key, bool) for key in value):
            numbers = f"0 to {len(value) - 1}"
            raise EvaluationError(f"{shown(path)} must name classes {numbers}, got names for {brief(list(value))}")
        value = [value[number] for number in range(len(value))]
    if not isinstance(value, list) or not value:
        raise EvaluationError(f'{shown(path)} must have a list of "names", or names by number, got {brief(value)}')
    for number, name in enumerate(value):
        # YAML takes a bare no, off or y for a truth value.
        if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
            raise EvaluationError(
                f"{shown(path)} must call class {number} by a text, got {brief(name)}; a name in quotes is always one"
            )
    return [str(name).strip() for name in value]


def _values(path: Path, data: Mapping[str, Any]) -> list[str]:
    value = data.get("val", data.get("validation"))
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) and one.strip() for one in values):
        raise EvaluationError(
            f"{shown(path)} must say which pictures to evaluate on, val: a folder, a list, or several, got "
            f"{brief(value)}"
        )
    return values


def _roots(path: Path, data: Mapping[str, Any]) -> list[Path]:
    root = data.get("path")
    if root is None or root == "":
        return [path.parent]
    if not isinstance(root, str):
        raise EvaluationError(f"{shown(path)} must have a text as path, got {brief(root)}")
    # The last one is for data sets that were moved together with their file.
    return [placed(Path(), root), placed(path.parent, root), path.parent]


def _pictures(path: Path, value: str, roots: Sequence[Path], remarks: Remarks) -> Mapping[str, Path]:
    bases = Bases(path, roots)
    # Roboflow's files say ../valid/images of a folder beside them, which Ultralytics takes without the dots too.
    candidates = [value, *([value[3:]] if value.startswith(("../", "..\\")) else [])]
    for name in candidates:
        if (found := bases.file(name, kind=os.path.exists)) is not None:
            if found.is_dir():
                return {os.path.join(name, file): at for file, at in list_folder(found, recursive=True).items()}
            return _listed(found, roots, remarks)
    folders = ", ".join(shown(root) for root in roots)
    raise EvaluationError(f"{shown(path)} says val: {shown(value)}, which is not there; looked for below {folders}")


def _listed(path: Path, roots: Sequence[Path], remarks: Remarks) -> Mapping[str, Path]:
    """Of a list, to which what begins with ./ is relative."""
    return read_list(path, None, [path.parent, *roots, Path()], remarks)
