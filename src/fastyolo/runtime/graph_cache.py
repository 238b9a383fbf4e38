"""The graph that the vx delegate compiles, kept for the next start, and never handed over unless it is the right one.

The delegate believes whatever lies in its cache file: another model's graph gives that model's answers, a damaged one
wrong answers, an abort or a hang. So what it may write to or read from is always a private file of this process. A
graph is kept only after an inference has succeeded, under a name made of everything it depends on, with its SHA-256;
what is handed over is a copy of exactly the bytes that were verified.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import warnings
import weakref
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from fastyolo.runtime.devices import Delegate

_SPARE_BYTES = 1 << 16
"""Bytes beside a graph that must find room on the disk too: where they do not, the delegate's own may be cut short."""

_OWN_FILE = "cache_file_path"


@dataclass(frozen=True)
class Entry:
    """One kept graph."""

    path: Path
    model: str
    bytes: int
    made: float
    sound: bool


def cache_folder() -> Path:
    """Where graphs are kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "fastyolo" / "graphs"


def cached_graph(model: str, delegate: Delegate) -> CachedGraph | None:
    """The place for this model's graph; None, with a warning, where it cannot be kept or the user named a file."""
    if _OWN_FILE in delegate.options:
        warnings.warn(
            f"{_OWN_FILE} is passed on as it is: the delegate checks nothing of it, so that another model's file gives "
            "that model's boxes and a damaged one wrong boxes, a crash or a hang",
            stacklevel=5,
        )
        return None
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(folder)
        return CachedGraph(folder, _key(model, delegate), model, delegate)
    except OSError as error:
        warnings.warn(f"the compiled graph is not kept: {folder}: {error.strerror}", stacklevel=5)
        return None


class CachedGraph:
    """The graph of one model on its way into the cache or out of it; `delegate` has the options that name it."""

    def __init__(self, folder: Path, key: str, model: str, delegate: Delegate) -> None:
        self._kept, self._model = folder / f"{key}.graph", model
        content = _verified(self._kept)
        self.loaded = content is not None
        # A process that dies with it leaves the file; who finds it does not believe the graph either. One that ends
        # well, or never runs the model, removes it.
        use = "load" if self.loaded else "make"
        self._private = folder / f".{key}.{os.getpid()}.{secrets.token_hex(4)}.{use}"
        self._remove = weakref.finalize(self, _remove, self._private)
        if content is not None:
            self._private.write_bytes(content)
        else:
            _check_writable(folder)
        options = {"allowed_cache_mode": "true", _OWN_FILE: str(self._private)}
        self.delegate = Delegate(delegate.library, {**delegate.options, **options})

    def finish(self, *, succeeded: bool) -> None:
        """After the first inference: keep what was compiled, or throw away what failed."""
        try:
            if self.loaded and not succeeded:
                discard(self._kept)
            elif not self.loaded and succeeded and self._private.exists():
                self._keep()
        except OSError as error:
            warnings.warn(f"the compiled graph is not kept: {error.strerror or error}", stacklevel=2)
        finally:
            self._remove()

    def _keep(self) -> None:
        content = self._private.read_bytes()
        if not content:
            raise OSError("the delegate wrote an empty file, as on a full disk: No space left?")
        copy = self._private.with_suffix(".copy")
        record = {"sha256": hashlib.sha256(content).hexdigest(), "model": os.path.abspath(self._model)}
        try:
            # The delegate does not notice a full disk. Where this much more fits, its own writing had room as well.
            with open(copy, "wb") as file:
                file.write(content)
                file.write(bytes(_SPARE_BYTES))
                file.flush()
                os.fsync(file.fileno())
                file.truncate(len(content))
            side = copy.with_suffix(".record")
            side.write_text(json.dumps(record), encoding="utf-8")
            os.replace(side, _record(self._kept))
            os.replace(copy, self._kept)
        finally:
            copy.unlink(missing_ok=True)


def entries() -> list[Entry]:
    """Every kept graph, the newest first."""
    found = []
    for path in cache_folder().glob("*.graph"):
        with suppress(OSError):
            status = path.stat()
            model = _said(path).get("model", "unknown")
            found.append(Entry(path, str(model), status.st_size, status.st_mtime, _verified(path) is not None))
    return sorted(found, key=lambda entry: -entry.made)


def clear() -> int:
    """Remove every kept graph; returns their number."""
    kept = list(cache_folder().glob("*.graph"))
    for path in kept:
        discard(path)
    return len(kept)


def discard(path: Path) -> None:
    path.unlink(missing_ok=True)
    _record(path).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Where the folder cannot be written any more, it stays, and is believed by nobody."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _verified(path: Path) -> bytes | None:
    """A kept graph's content; None, and gone, where it is not what was kept."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if content and hashlib.sha256(content).hexdigest() == _said(path).get("sha256"):
        return content
    with suppress(OSError):
        discard(path)
    return None


def _said(path: Path) -> dict[str, object]:
    try:
        said = json.loads(_record(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _key(model: str, delegate: Delegate) -> str:
    """Everything that a compiled graph depends on, as one SHA-256."""
    key = hashlib.sha256()
    for path in (model, delegate.library, *_driver()):
        try:
            with open(path, "rb") as file:
                key.update(hashlib.sha256(file.read()).digest())
        except OSError:  # a library that the loader finds by its name
            key.update(path.encode())
    key.update(repr(sorted(delegate.options.items())).encode())
    return key.hexdigest()


def _driver() -> list[str]:
    """What says which driver this is: the kernel's version, the module's, and the libraries that compile."""
    names = ("libtim-vx.so*", "libOpenVX.so*", "libGAL.so*", "libNNArchPerf.so*", "libArchModelSw.so*")
    libraries = [path for name in names for path in glob(f"/usr/lib/{name}")]
    return ["/proc/version", "/sys/module/galcore/version", *sorted(libraries)]


def _remove_left_behind(folder: Path) -> None:
    """Private files of processes that are gone. One that died with a graph handed over has spoken against it."""
    for path in folder.glob(".*"):
        parts = path.name.split(".")
        if len(parts) < 5 or not parts[2].isdigit() or _lives(int(parts[2])):
            continue
        if parts[-1] == "load":
            discard(folder / f"{parts[1]}.graph")
        path.unlink(missing_ok=True)


def _check_writable(folder: Path) -> None:
    """Raise `OSError` where the delegate could write no file; it would say nothing of it."""
    test = folder / f".test.{os.getpid()}.{secrets.token_hex(4)}.make"
    try:
        test.touch()
    finally:
        test.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
