"""What building needs from the machine: Pythons, compilers, programs. Whatever is missing is one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent

_ASK = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps({
    "version": sys.version_info[:2],
    "implementation": sys.implementation.name,
    "prefix": sys.base_prefix,
    "gil": not sysconfig.get_config_var("Py_GIL_DISABLED"),
    "headers": paths["include"],
    "library": sysconfig.get_config_var("Py_ENABLE_SHARED") and sysconfig.get_config_var("INSTSONAME"),
    "library_folder": sysconfig.get_config_var("LIBDIR"),
}))
"""


class MissingToolError(Exception):
    """Something that has to be installed first; the message says what."""


class Python(NamedTuple):
    """One CPython of this machine."""

    executable: Path
    version: tuple[int, int]
    free_threaded: bool
    has_headers: bool  # such as any compiler can use; Debian's lead to another folder for every architecture
    symbols_in: Path  # the file that exports the C API: the shared library, or the executable itself


@cache
def pythons() -> tuple[Python, ...]:
    """Every CPython from 3.10 on that is on PATH or in pyenv, oldest first, one of each version."""
    names = [f"python3.{minor}{kind}" for minor in range(10, 30) for kind in ("", "t")]
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    candidates = [folder / name for folder in folders for name in names]
    for root in _pyenv_roots(folders):
        candidates += sorted(root.glob("versions/*/bin/python"))
    found: dict[tuple[tuple[int, int], bool], Python] = {}
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.parent.name != "shims":
            python = _described(candidate)
            if python is not None:
                known = found.get((python.version, python.free_threaded))
                if known is None or (python.has_headers and not known.has_headers):
                    found[python.version, python.free_threaded] = python
    return tuple(found[key] for key in sorted(found))


def python_for_building(version: tuple[int, int]) -> Python:
    """The CPython of exactly this version, with headers."""
    for python in pythons():
        if python.version == version and python.has_headers and not python.free_threaded:
            return python
    name = f"{version[0]}.{version[1]}"
    raise MissingToolError(
        f"Python {name} with headers that a cross compiler can use is missing: `pyenv install {name}`"
    )


def program(name: str, package: str) -> Path:
    """A program of the machine, which Debian has in `package`."""
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(f"{name} is missing: apt-get install {package}")
    return Path(path)


def _pyenv_roots(folders: list[Path]) -> list[Path]:
    roots = [folder.parent for folder in folders if folder.name == "shims"]
    roots += [Path(os.environ["PYENV_ROOT"])] if "PYENV_ROOT" in os.environ else []
    return [*roots, Path.home() / ".pyenv"]


def _described(executable: Path) -> Python | None:
    run = subprocess.run([executable, "-I", "-c", _ASK], capture_output=True, text=True, check=False)
    if run.returncode:
        return None
    facts = json.loads(run.stdout)
    version = (int(facts["version"][0]), int(facts["version"][1]))
    if facts["implementation"] != "cpython" or version < (3, 10):
        return None
    symbols_in = executable.resolve()
    if facts["library"]:
        symbols_in = (Path(facts["library_folder"]) / facts["library"]).resolve()
    config = Path(facts["headers"]) / "pyconfig.h"
    has_headers = config.is_file() and "-linux-gnu/python" not in config.read_text()
    return Python(executable, version, not facts["gil"], has_headers, symbols_in)
