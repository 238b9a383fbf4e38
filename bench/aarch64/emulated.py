"""The kernels' wheel on an emulated Cortex-A53 whose every executed block of code is counted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
sys.path[:0] = [str(REPOSITORY / "wheels"), str(REPOSITORY / "wheels/aarch64")]

from boards import A53, BUILD  # noqa: E402
from sysroot import unpacked  # noqa: E402

WATCHED = ("fastyolo/kernels/postprocess", "fastyolo/kernels/preprocess", "libm.so")
# Any that a board may have: nothing of them is counted.
PACKAGES = ("numpy<2", "pillow")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")


@dataclass
class Frames:
    """What a number of frames cost: runs of each block (library, offset, instructions), and cache misses."""

    blocks: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    level1_misses: int = 0
    level2_misses: int = 0

    @property
    def instructions(self) -> int:
        return sum(length * runs for (_, _, length), runs in self.blocks.items())


def install(wheel: Path, folder: Path) -> Path:
    """The wheel's files and what it imports, in `folder`."""
    platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", A53.python, *platforms, "--target", str(folder), *PACKAGES]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def count(
    packages: Path,
    work: Path,
    *,
    caches: bool,
    script: Path = FOLDER / "workloads.py",
    watched: Sequence[str] = WATCHED,
) -> dict[int, Frames]:
    """Run workloads.py, or another such script, once; what was counted up to each mark, by the mark's number."""
    plugin, listing = work / "libcounter.so", work / "counts.txt"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, FOLDER / "counter.c"], check=True)
    options = [f"out={listing}", *(f"watch={path}" for path in watched), *(["cache=on"] if caches else [])]
    root = A53.sysroot
    command = [*_qemu(), "-cpu", A53.cpu, "-L", root, "-plugin", ",".join([str(plugin), *options])]
    command += [root / f"usr/bin/python{A53.python}", "-S", script, work / "cases.txt"]
    # The same addresses each time: the modelled caches see them.
    environment = {"PYTHONPATH": str(packages), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(["setarch", "-R", *command], env={**os.environ, **environment}, check=True)
    return _read(listing)


def _qemu() -> list[Path | str]:
    """QEMU 7.2, which loads plugins, with the libraries of its own Debian release."""
    root = unpacked(BUILD / "qemu-with-plugins", "bookworm", "amd64", ["qemu-user"])
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return [root / "lib64/ld-linux-x86-64.so.2", "--library-path", libraries, root / "usr/bin/qemu-aarch64"]


def _read(listing: Path) -> dict[int, Frames]:
    """The blocks of a mark stand behind it."""
    result: dict[int, Frames] = {}
    for line in listing.read_text().splitlines():
        kind, *fields = line.split()
        if kind == "mark":
            current = result[int(fields[0])] = Frames(level1_misses=int(fields[1]), level2_misses=int(fields[2]))
        else:
            library, offset, length, runs = fields
            current.blocks[library, int(offset, 16), int(length)] += int(runs)
    return result


def built_by(packages: Path) -> dict[str, str]:
    """Compiler and Cython, as the libraries themselves say."""
    content = next((packages / "fastyolo/kernels").glob("postprocess*.so")).read_bytes()
    gcc = re.search(rb"GCC: \(.*?\) ([\d.]+)", content)
    cython = re.search(rb"_cython_(\d+_\d+_\d+)", content)
    assert gcc
    assert cython
    return {"gcc": gcc[1].decode(), "cython": cython[1].decode().replace("_", ".")}
