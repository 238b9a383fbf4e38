"""Instructions that the kernels execute for fixed inputs: a regression gate that no clock and no busy machine disturbs.

python bench/counts/counts.py            compare with counts.json; exit 1 and say why where they differ
python bench/counts/counts.py --record   write counts.json anew (`make counts`)
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
RECORD = FOLDER / "counts.json"
TOLERANCE = 0.005

# Counting goes on while one of these runs. Their addresses stand in Cython's method tables, so they are never inlined;
# none calls another, or counting would stop in the middle.
ENTRY_POINTS = {
    "postprocess": ("Workspace.run",),
    "preprocess": ("Resizer.to_int8", "Resizer.to_float32"),
}
# A function that is not seen counts 0, which no comparison would call slower: one instruction for each of the 2535
# boxes, and one for every 16 bytes of the smallest tensor, there must be.
MINIMUM = {"decode": 2535, "preprocess": 416 * 416 // 16}
# Work that moves into another library leaves the count; beyond this share the count no longer says what a frame costs.
LARGEST_SHARE_OUTSIDE = 0.1


class CountError(Exception):
    """Why there is no count, or what is wrong with it, in one line."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="write counts.json instead of comparing with it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            package = build(Path(folder))
            found = {"build": describe(package), "counts": count(package)}
            if arguments.record:
                RECORD.write_text(json.dumps(found, indent=2) + "\n")
            problems = compare(found, json.loads(RECORD.read_text()))
        except CountError as error:
            problems = [str(error)]
    print("\n".join(problems) or f"{len(found['counts'])} counts are as recorded")
    return bool(problems)


def variant() -> dict[str, str]:
    """For setup.py: with symbols, and with the stable ABI where this Python has it, as the wheels are."""
    stable = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")
    return {"FASTYOLO_BUILD": "profile", "FASTYOLO_ABI3": str(int(stable))}


def build(folder: Path, source: Path = REPOSITORY) -> Path:
    """Install the package of this variant, from its sources or from a wheel of it."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    run = subprocess.run(
        [*command, "--target", folder / "package", source],
        env={**os.environ, **variant()},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise CountError(f"the kernels do not build: {run.stderr.strip()}")
    return folder / "package"


def describe(package: Path) -> dict[str, str]:
    """What the numbers depend on, read from the built kernels themselves."""
    kernel = _extension(package, "postprocess")
    debug = _output("readelf", "--debug-dump=info", str(kernel))
    producer = re.search(r"DW_AT_producer .*: GNU C\d* (\S+) (.*)", debug)
    cython = re.search(rb"_cython_(\d+_\d+_\w*?)(?:limited|\0)", kernel.read_bytes())
    if not producer or not cython:
        raise CountError(f"{kernel.name} does not say which gcc and Cython made it: is it stripped?")
    return {
        "gcc": producer[1],
        "flags": producer[2].strip(),
        "cython": cython[1].decode().replace("_", "."),
        "abi": "stable" if ".abi3." in kernel.name else sysconfig.get_config_var("SOABI"),
    }


def entry_point(package: Path, kernel: str, method: str) -> str:
    """The exact name of the C function behind a method of a kernel's class."""
    class_name, _, method_name = method.partition(".")
    symbols = _output("nm", str(_extension(package, kernel))).split()
    pattern = rf"__pyx_pw_\w*{kernel}_{len(class_name)}{class_name}_\d+{method_name}"
    found = [symbol for symbol in symbols if re.fullmatch(pattern, symbol)]
    if len(found) != 1:
        raise CountError(
            f"{kernel} must have one function for {method}, found {len(found)}: is it stripped or renamed?"
        )
    return found[0]


def count(package: Path, *, toggles: list[str] | None = None, only: str = "") -> dict[str, int]:
    """Instructions of every case per frame: a tenth of what ten more frames cost.

    `toggles` are the functions during which counting goes on, by default the kernels' entry points; `only` chooses the
    cases whose name begins with it.
    """
    if toggles is None:
        toggles = [entry_point(package, kernel, name) for kernel, names in ENTRY_POINTS.items() for name in names]
    for toggle in toggles:
        if not re.fullmatch(r"\w+", toggle):
            raise CountError(f"counting needs the exact name of one function, got {toggle!r}")
    with tempfile.TemporaryDirectory() as folder:
        dumps = [_read_dump(path) for path in _run(package, toggles, only, Path(folder))]
    totals = {(name, times): objects for name, times, objects in dumps}
    counts = {}
    for name in dict.fromkeys(name for name, _ in totals):
        kernel = str(_extension(package, "preprocess" if name.startswith("preprocess") else "postprocess").resolve())
        once, eleven = totals[name, 1], totals[name, 11]
        frame = {path: (eleven[path] - once.get(path, 0)) / 10 for path in eleven}
        inside = frame.pop(kernel, 0)
        # Python and NumPy hand over the arrays; all else does the kernel's work for it.
        outside = sum(cost for path, cost in frame.items() if re.search(r"/lib(c|m|mvec|gcc_s)\.so", path))
        minimum = MINIMUM[name.split()[0]]
        if inside < minimum:
            raise CountError(f"{name}: counted {inside:.0f} instructions, but there must be at least {minimum}")
        if outside > LARGEST_SHARE_OUTSIDE * inside:
            raise CountError(f"{name}: {outside:.0f} instructions in libc and libm beside {inside:.0f} in the kernel")
        counts[name] = round(inside)
    return counts


def compare(found: dict[str, dict], recorded: dict[str, dict]) -> list[str]:
    """One line for each case that differs, or one that asks for a new record where the build does."""
    if found["build"] != recorded["build"]:
        differences = ", ".join(
            f"{key} {recorded['build'].get(key)!r} then and {value!r} now"
            for key, value in found["build"].items()
            if recorded["build"].get(key) != value
        )
        return [f"counts.json is of another build ({differences}): run `make counts` before and after your change"]
    if found["counts"].keys() != recorded["counts"].keys():
        return ["counts.json has other cases than frames.py: run `make counts`"]
    problems = []
    for name, now in found["counts"].items():
        then = recorded["counts"][name]
        change = now / then - 1
        if abs(change) > TOLERANCE:
            advice = "look why" if change > 0 else "keep the gain"
            problems.append(f"{name}: {now} instructions, recorded {then} ({change:+.1%}): {advice}, or `make counts`")
    return problems


def _run(package: Path, toggles: list[str], only: str, folder: Path) -> list[Path]:
    """Run frames.py under callgrind; the dumps that it leaves."""
    requests = folder / "librequests.so"
    _output("gcc", "-O1", "-shared", "-fPIC", "-o", str(requests), str(FOLDER / "callgrind_requests.c"))
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--compress-strings=no", "--compress-pos=no"]
    command += [f"--callgrind-out-file={folder}/dump", *(f"--toggle-collect={toggle}" for toggle in toggles)]
    command += [sys.executable, "-P", str(FOLDER / "frames.py"), str(requests), only]
    if sys.version_info < (3, 11):
        command.remove("-P")
    # A fixed seed and one thread: what Python and NumPy do besides shall be the same each time too.
    environment = {"PYTHONPATH": str(package), "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    _output(*command, environment={**os.environ, **environment})
    return sorted(folder.glob("dump.*"), key=lambda path: int(path.suffix[1:]))


def _read_dump(path: Path) -> tuple[str, int, dict[str, int]]:
    """Case, number of frames, and instructions by the file whose code they are."""
    name, times = "", 0
    costs: dict[str, int] = {}
    current = ""
    inclusive = False
    for line in path.read_text().splitlines():
        if line.startswith("desc: Trigger: Client Request: "):
            name, times = json.loads(line.partition("Request: ")[2])
        elif line.startswith("ob="):
            current = line.removeprefix("ob=")
        elif line.startswith("calls="):
            inclusive = True  # the next line is the cost of the called function, which has lines of its own
        elif line[:1].isdigit():
            if not inclusive:
                costs[current] = costs.get(current, 0) + int(line.split()[1])
            inclusive = False
    return name, times, costs


def _extension(package: Path, kernel: str) -> Path:
    (path,) = (package / "fastyolo/kernels").glob(f"{kernel}.*.so")
    return path


def _output(*command: str, environment: dict[str, str] | None = None) -> str:
    try:
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CountError(f"{command[0]} is missing; on Debian: apt-get install valgrind gcc binutils") from None
    if run.returncode:
        raise CountError(f"{command[0]} failed: {run.stderr.strip()}")
    return run.stdout


if __name__ == "__main__":
    sys.exit(main())
