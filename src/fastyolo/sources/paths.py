"""Which pictures, videos and other sources a command line names."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastyolo.errors import ImageError
from fastyolo.files import shown
from fastyolo.sources.opening import IMAGE_SUFFIXES, Kind, kind_of


class Source(NamedTuple):
    """One picture or video to run, or, where `error` is set, an argument or folder that gave none."""

    path: str
    error: ImageError | None = None

    @property
    def kind(self) -> Kind:
        """What it is, by its name; of files of unknown name by their first bytes."""
        return "picture" if self.error is not None else kind_of(self.path)


def expand_sources(arguments: Iterable[str | os.PathLike[str]], *, recursive: bool = False) -> Iterator[Source]:
    """Give the pictures that files, folders and glob patterns stand for, each once; cameras and streams as they are.

    Arguments keep their order; a folder's or pattern's pictures come in natural order (img2 before img10), a folder's
    own before those of its subfolders. An existing file or folder is meant literally even if its name looks like a
    pattern. In folders and patterns, hidden names are skipped, and symbolic links to folders are not followed while
    descending (`recursive` or ``**``), so that a loop of links ends. A pattern takes only names that look like
    pictures, unless it spells out a suffix itself. What cannot be had comes as a `Source` with its error, in its place.
    """
    seen: set[tuple[str, str]] = set()
    for argument in arguments:
        text = os.fspath(argument)
        if kind_of(text) not in ("picture", "video"):
            yield Source(text)
            continue
        for source in _expand(text, recursive):
            if source.error is None:
                folder, name = os.path.split(source.path)
                # The folder's links are resolved, the file's own are not: two names of one picture are two sources.
                identity = (os.path.realpath(folder or "."), name)
                if identity in seen:
                    continue
                seen.add(identity)
            yield source


def _expand(argument: str, recursive: bool) -> Iterator[Source]:
    try:
        os.lstat(argument)
    except PermissionError:
        yield Source(argument, ImageError(f"{shown(argument)}: no permission to look into its folder"))
    except (OSError, ValueError):
        # ValueError: a NUL character, which no file name has and no folder lists.
        if glob.has_magic(argument) and "\0" not in argument:
            yield from _or_error(_pattern(argument), argument, f"{shown(argument)} matches no picture")
        else:
            yield Source(argument, ImageError(f"{shown(argument)}: no such file or folder"))
    else:
        if os.path.isdir(argument):
            where = "or below it" if recursive else "(--recursive looks into its subfolders)"
            yield from _or_error(
                _folder(argument, recursive), argument, f"{shown(argument)} has no pictures in it {where}"
            )
        else:
            yield Source(argument)


def _or_error(found: Iterator[Source], argument: str, message: str) -> Iterator[Source]:
    first = next(found, None)
    if first is None:
        yield Source(argument, ImageError(message))
    else:
        yield first
        yield from found


def _folder(folder: str, recursive: bool) -> Iterator[Source]:
    waiting = [folder]
    while waiting:
        entries, failure = _entries(waiting.pop())
        if failure:
            yield failure
        for entry in entries:
            if not _is_folder(entry) and _is_picture_name(entry.name):
                yield Source(entry.path)
        if recursive:
            waiting += [entry.path for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]


def _pattern(pattern: str) -> Iterator[Source]:
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if parts[-1] == "**":
        parts.append("*")
    suffix = os.path.splitext(parts[-1])[1]
    any_name = len(suffix) > 1 and not glob.has_magic(suffix)

    # A folder, and which part of the pattern its entries have to match. Through "**" the same pair may come up again.
    waiting = [("/" if pattern.startswith("/") else "", 0)]
    visited: set[tuple[str, int]] = set()
    unreadable: set[str] = set()
    while waiting:
        folder, index = waiting.pop()
        if (folder, index) in visited:
            continue
        visited.add((folder, index))
        part, last = parts[index], index == len(parts) - 1
        if not last and not glob.has_magic(part):
            waiting.append((os.path.join(folder, part), index + 1))
            continue
        entries, failure = _entries(folder or ".", hidden=part.startswith("."))
        if failure and folder not in unreadable:
            unreadable.add(folder)
            yield failure
        if part == "**":
            below = [entry.name for entry in reversed(entries) if entry.is_dir(follow_symlinks=False)]
            waiting += [(os.path.join(folder, name), index) for name in below]
            waiting.append((folder, index + 1))
            continue
        matching = [entry for entry in entries if fnmatch.fnmatchcase(entry.name, part)]
        if not last:
            waiting += [(os.path.join(folder, entry.name), index + 1) for entry in reversed(matching)]
            continue
        for entry in matching:
            if not _is_folder(entry) and (any_name or _is_picture_name(entry.name)):
                yield Source(os.path.join(folder, entry.name))


def _entries(folder: str, *, hidden: bool = False) -> tuple[list[os.DirEntry[str]], Source | None]:
    """The folder's entries in natural order, and what kept us from reading it. No folder at all is just empty."""
    try:
        with os.scandir(folder) as scan:
            entries = [entry for entry in scan if hidden or not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return [], None
    except OSError as error:
        return [], Source(folder, ImageError(f"cannot read the folder {shown(folder)}: {error.strerror}"))
    return sorted(entries, key=lambda entry: _natural(entry.name)), None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself; trying to read it gives the error


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sort key by which img2 comes before img10, whatever the case."""
    # Splitting by a group gives text and digits in turn, so like is always compared with like.
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _is_picture_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
