"""Builds what is released into dist/: one sdist and four wheels, with the same bytes whenever a commit is built.

    python wheels/build.py [--output dist] [--only TEXT]

Wheels come from the unpacked sdist, each in a folder of its own: setuptools packs whatever an earlier build left.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools import REPOSITORY, MissingToolError, program, python_for_building

# What an interpreter that only compiles needs, taken from the locked development tools.
BUILD_REQUIREMENTS = ("setuptools", "cython")


@dataclass(frozen=True)
class Target:
    """One wheel."""

    python: tuple[int, int]
    machine: str
    abi3: bool

    @property
    def name(self) -> str:
        return f"cp{self.python[0]}{self.python[1]}{'-abi3' if self.abi3 else ''}-{self.machine}"

    def environment(self) -> dict[str, str]:
        """What setuptools must be told to compile for this target."""
        result = {"FASTYOLO_BUILD": "release", "FASTYOLO_ABI3": str(int(self.abi3))}
        if self.machine == "x86_64":
            compiler = str(program("gcc", "gcc"))
            # Given, because the interpreter's own would put the folder of its library into ours.
            return result | {"CC": compiler, "LDSHARED": f"{compiler} -shared -s", "CFLAGS": "-mtune=generic"}
        compiler = str(program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"))
        tag = f"cpython-{self.python[0]}{self.python[1]}"
        return result | {
            "CC": compiler,
            "LDSHARED": f"{compiler} -shared -s",
            # The A53's instructions, which the A55 has as well, in an order that suits the A55.
            "CFLAGS": "-mcpu=cortex-a53 -mtune=cortex-a55",
            "_PYTHON_HOST_PLATFORM": "linux-aarch64",
            # Without this the wheel would hold a library with this machine's name, which no board finds.
            "SETUPTOOLS_EXT_SUFFIX": ".abi3.so" if self.abi3 else f".{tag}-aarch64-linux-gnu.so",
        }


# cp310 is for Kirkstone BSPs; the stable ABI has what the kernels need only from 3.11 on.
TARGETS = tuple(
    Target(python, machine, abi3)
    for machine in ("aarch64", "x86_64")
    for python, abi3 in (((3, 10), False), ((3, 11), True))
)


def build_all(output: Path, targets: tuple[Target, ...] = TARGETS) -> list[Path]:
    """Build the sdist and the wheels of `targets` into `output`, replacing what is there."""
    for target in targets:  # everything that could be missing, before anything is built
        target.environment()
        python_for_building(target.python)
    os.umask(0o022)
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        compilers = {version: _compiling_venv(version, work) for version in sorted({t.python for t in targets})}
        sdist = _build_sdist(compilers[targets[0].python], work, output)
        with ThreadPoolExecutor(2) as executor:
            wheels = executor.map(lambda t: _build_wheel(compilers[t.python], t, sdist, work, output), targets)
            return [sdist, *wheels]


def _compiling_venv(version: tuple[int, int], work: Path) -> Path:
    """A venv with setuptools and Cython, at the locked versions; its python."""
    folder = work / f"venv{version[0]}.{version[1]}"
    _run([python_for_building(version).executable, "-m", "venv", folder])
    locked = work / "locked.txt"
    locked.write_text(_locked(BUILD_REQUIREMENTS))
    _run([folder / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", locked])
    return folder / "bin/python"


def _locked(names: tuple[str, ...]) -> str:
    """The entries of requirements-dev.txt for these packages."""
    entries = (REPOSITORY / "requirements-dev.txt").read_text().replace("\\\n", " ").splitlines()
    return "\n".join(line for line in entries if line.partition("==")[0] in names)


def _build_sdist(python: Path, work: Path, output: Path) -> Path:
    """From a copy of what git tracks, so that nothing lying about gets in."""
    tracked = _run(["git", "ls-files", "-z"], cwd=REPOSITORY).split("\0")[:-1]
    clone = work / "clone"
    for name in tracked:
        if (REPOSITORY / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, clone / name)
    raw = work / "sdist"
    raw.mkdir()
    _hook(python, "build_sdist", raw, clone, {})
    (archive,) = raw.iterdir()
    return _normalised(archive, output / archive.name)


def _normalised(archive: Path, target: Path) -> Path:
    """The same files in a fixed order, at one time, of one owner."""
    content = io.BytesIO()
    with tarfile.open(archive) as source, tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as copy:
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mtime = member.type, member.size, source_date()
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            copy.addfile(plain, source.extractfile(member) if member.isfile() else None)
    target.write_bytes(gzip.compress(content.getvalue(), mtime=source_date()))
    return target


def _build_wheel(python: Path, target: Target, sdist: Path, work: Path, output: Path) -> Path:
    folder = work / target.name
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    (source,) = folder.iterdir()
    raw = folder / "wheel"
    raw.mkdir()
    _hook(python, "build_wheel", raw, source, target.environment())
    (built,) = raw.iterdir()
    repaired = folder / "repaired"
    # Reads which glibc the symbols need, and names the wheel after it.
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    _run([sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", repaired, built], environment=path)
    (wheel,) = repaired.iterdir()
    return Path(shutil.move(wheel, output / wheel.name))


def _hook(python: Path, name: str, result: Path, source: Path, environment: dict[str, str]) -> None:
    """Call the build backend as pip would, without fetching anything."""
    code = f"import sys; sys.path.insert(0, ''); from setuptools import build_meta; build_meta.{name}({str(result)!r})"
    _run([python, "-c", code], cwd=source, environment=environment)


@cache
def source_date() -> int:
    """The time all files carry: that of the commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given or _run(["git", "log", "-1", "--format=%ct"], cwd=REPOSITORY))


def _run(command: list[str | Path], cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    fixed = {} if command[0] == "git" else {"SOURCE_DATE_EPOCH": str(source_date())}
    run = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **fixed, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{run.stdout[-2000:]}{run.stderr[-4000:]}")
    return run.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=REPOSITORY / "dist")
    parser.add_argument("--only", default="", help="only wheels with this in their name, such as abi3-x86_64")
    arguments = parser.parse_args()
    try:
        targets = tuple(target for target in TARGETS if arguments.only in target.name)
        if not targets:
            raise SystemExit(f"--only must be part of {', '.join(t.name for t in TARGETS)}, got {arguments.only!r}")
        for path in build_all(arguments.output.resolve(), targets):
            print(f"{path.stat().st_size:>9,d}  {path.name}")
    except MissingToolError as error:
        raise SystemExit(f"make wheels: {error}") from None


if __name__ == "__main__":
    main()
