"""Looks into wheels without running them: is each what its name says, and does it hold what it must and no more?

    python wheels/check.py dist/*.whl

Problems are printed one a line; any makes the exit code 1.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

from elftools.common.exceptions import ELFError
from library import Library, exported_api, stable_api
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from tools import MissingToolError, python_for_building

# glibc of the oldest boards' images is newer (Kirkstone: 2.35); the wheels claim no more than this.
NEWEST_GLIBC = (2, 27)
LARGEST_WHEEL = 8_000_000
MODULES = ("fastyolo/kernels/postprocess", "fastyolo/kernels/preprocess")
NEEDED = (
    "fastyolo/py.typed",
    "fastyolo/kernels/postprocess.pyi",
    "fastyolo/kernels/preprocess.pyi",
    "fastyolo/export/yolov4-tiny.cfg",
    "fastyolo/nnstreamer/script/fastyolo_nnstreamer.py",
    "fastyolo/models/yolov4-tiny_416_int8.tflite",
    "fastyolo/models/yolov4-tiny_416_int8.md",
    "fastyolo/models/LICENSE.darknet",
    ".dist-info/METADATA",
    ".dist-info/entry_points.txt",
    ".dist-info/licenses/LICENSE",
    ".dist-info/licenses/src/fastyolo/models/LICENSE.darknet",
)
UNWANTED = re.compile(r"\.(c|h|pyx|pxd|pxi|html|o|a|pyc)$|(^|/)(tests|__pycache__)/")
# What manylinux allows of the C library, and what every such image has.
SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2"}
ABSOLUTE_PATH = re.compile(rb"(?<![\w.<%/-])/(?:[\w.+-]+/)+[\w.+-]+")


def check(path: Path) -> list[str]:
    """Everything that is wrong with one wheel."""
    try:
        name, _, _, tags = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            files = {member: archive.read(member) for member in archive.namelist() if not member.endswith("/")}
    except (InvalidWheelFilename, zipfile.BadZipFile, OSError) as error:
        return [f"is no wheel: {error}"]
    problems = [] if name == "fastyolo" else [f"is called {name}, expected fastyolo"]
    if path.stat().st_size >= LARGEST_WHEEL:
        problems.append(f"is {path.stat().st_size} bytes, expected less than {LARGEST_WHEEL}")
    problems += _check_members(files)
    problems += _check_tags(files, tags)
    problems += _check_record(files)
    libraries = {member: content for member, content in files.items() if member.endswith(".so")}
    if len(tags) != 1:
        return [*problems, f"has {len(tags)} tags, expected one"]
    (tag,) = tags
    expected = {module + _suffix(tag) for module in MODULES}
    if set(libraries) != expected:
        problems.append(f"holds the libraries {sorted(libraries)}, expected {sorted(expected)}")
    for member, content in sorted(libraries.items()):
        problems += [f"{member}: {problem}" for problem in _check_library(content, tag)]
    return problems


def _check_members(files: dict[str, bytes]) -> list[str]:
    problems = [f"holds {member}, which does not belong there" for member in files if UNWANTED.search(member)]
    problems += [f"lacks {needed}" for needed in NEEDED if not any(_is(member, needed) for member in files)]
    metadata = _message(files, "METADATA")
    if metadata["Requires-Python"] != ">=3.10":
        problems.append(f"requires Python {metadata['Requires-Python']}, expected >=3.10")
    return problems


def _check_tags(files: dict[str, bytes], tags: frozenset[Tag]) -> list[str]:
    inside = set(_message(files, "WHEEL").get_all("Tag", []))
    outside = {str(tag) for tag in tags}
    return [] if inside == outside else [f"says {sorted(inside)} inside and {sorted(outside)} in its name"]


def _check_record(files: dict[str, bytes]) -> list[str]:
    """The list that pip verifies names every file with its hash."""
    problems = []
    record = next((member for member in files if member.endswith(".dist-info/RECORD")), None)
    if record is None:
        return ["lacks RECORD"]
    listed = dict(line.rsplit(",", 2)[:2] for line in files[record].decode().splitlines())
    for member, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        if member != record and listed.get(member) != f"sha256={digest}":
            problems.append(f"RECORD does not have the hash of {member}")
    return problems


def _check_library(content: bytes, tag: Tag) -> list[str]:
    try:
        library = Library(content)
    except ELFError as error:
        return [f"is no ELF library: {error}"]
    problems = []
    platform = re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", tag.platform)
    if platform is None:
        return [f"the wheel's platform is {tag.platform}, expected manylinux_X_Y_machine"]
    claimed, machine = (int(platform[1]), int(platform[2])), platform[3]
    if library.machine != machine:
        problems.append(f"is for {library.machine}, the wheel for {machine}")
    if claimed > NEWEST_GLIBC:
        problems.append(f"the wheel asks for glibc {claimed}, expected at most {NEWEST_GLIBC}")
    problems += [
        f"needs {symbol} of glibc {'.'.join(map(str, version))}, the wheel claims {'.'.join(map(str, claimed))}"
        for symbol, version in sorted(library.glibc_symbols.items())
        if version > claimed
    ]
    problems += [f"needs {needed}" for needed in sorted(library.needed - SYSTEM_LIBRARIES)]
    problems += [f"has {symbol} undefined, without a version" for symbol in sorted(library.unversioned)]
    problems += _check_python_symbols(library, tag)
    problems += [f"is not stripped: has {section}" for section in library.debug_sections]
    problems += [f"holds the path {found.decode()}" for found in sorted(set(ABSOLUTE_PATH.findall(content)))]
    return problems


def _check_python_symbols(library: Library, tag: Tag) -> list[str]:
    """Everything used of Python's C API exists in the lowest Python that the wheel claims."""
    version = (3, int(tag.interpreter.removeprefix("cp3")))
    problems = [
        f"uses {symbol}, which Python {version[0]}.{version[1]} does not export"
        for symbol in sorted(library.python_symbols - exported_api(python_for_building(version)))
    ]
    if tag.abi == "abi3":
        missing = sorted(library.python_symbols - stable_api(version))
        problems += [
            f"uses {symbol}, which is not in the stable ABI of {version[0]}.{version[1]}" for symbol in missing
        ]
    return problems


def _is(member: str, needed: str) -> bool:
    return member == needed or (needed.startswith(".dist-info/") and member.endswith(needed))


def _suffix(tag: Tag) -> str:
    machine = "aarch64" if tag.platform.endswith("aarch64") else "x86_64"
    version = tag.interpreter.removeprefix("cp")
    return ".abi3.so" if tag.abi == "abi3" else f".cpython-{version}-{machine}-linux-gnu.so"


def _message(files: dict[str, bytes], name: str) -> Message:
    found = [content for member, content in files.items() if member.endswith(f".dist-info/{name}")]
    return message_from_bytes(found[0] if found else b"")


def main(paths: list[str]) -> int:
    failed = False
    for path in map(Path, paths):
        try:
            problems = check(path)
        except MissingToolError as error:
            raise SystemExit(f"wheels/check.py: {error}") from None
        failed = failed or bool(problems)
        print(f"{path.name}: {'; '.join(problems) or 'as it should be'}")
    return int(failed or not paths)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
