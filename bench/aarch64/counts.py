"""Instructions that the kernels execute on an emulated Cortex-A53, and modelled cache misses, per frame.

python bench/aarch64/counts.py [--wheel FILE]            compare with counts.json; exit 1 where they differ
python bench/aarch64/counts.py [--wheel FILE] --record   write counts.json anew (`make counts-aarch64`)

Without --wheel the boards' wheel is built first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER))

from emulated import Frames, built_by, count, install  # noqa: E402

RECORD = FOLDER / "counts.json"
# Which lines share a set of the small first cache depends on where memory happens to lie: its misses vary by a quarter.
TOLERANCES = {"instructions": 0.03, "level1_misses": 0.4, "level2_misses": 0.03}
FEW_MISSES = 200
# A library that was not recognised counts 0, which no comparison would call slower.
MINIMUM = {"decode": 2535, "preprocess": 416 * 416 // 16}

Counts = dict[str, dict[str, int]]


def per_frame(marks: dict[int, Frames], cases: list[str]) -> Counts:
    """A tenth of what ten more frames cost, so that what happens once a call of this program does not count."""
    result: Counts = {}
    for index, name in enumerate(cases):
        once, eleven = marks[index * 100 + 1], marks[index * 100 + 11]
        result[name] = {
            "instructions": round((eleven.instructions - once.instructions) / 10),
            "level1_misses": round((eleven.level1_misses - once.level1_misses) / 10),
            "level2_misses": round((eleven.level2_misses - once.level2_misses) / 10),
        }
    return result


def compare(found: dict[str, dict], recorded: dict[str, dict]) -> list[str]:
    """One line for everything that differs; one that asks for a new record where compiler or cases do."""
    if found["build"] != recorded["build"]:
        return [f"counts.json is of {recorded['build']}, this build of {found['build']}: run `make counts-aarch64`"]
    if found["counts"].keys() != recorded["counts"].keys():
        return ["counts.json has other cases than workloads.py: run `make counts-aarch64`"]
    problems = []
    for name, counts in found["counts"].items():
        for kind, now in counts.items():
            then = recorded["counts"][name][kind]
            allowed = max(TOLERANCES[kind] * then, FEW_MISSES if kind.endswith("misses") else 0)
            if abs(now - then) > allowed:
                advice = "look why" if now > then else "keep the gain"
                change = f"{now / max(then, 1) - 1:+.1%}"
                problems.append(f"{name}: {kind} {now}, recorded {then} ({change}): {advice}, or `make counts-aarch64`")
    return problems


def check(first: dict[int, Frames], second: dict[int, Frames], counts: Counts) -> list[str]:
    """Both runs agree to the last instruction, block by block; and none saw too little."""
    problems = [
        f"mark {number}: two runs executed different instructions"
        for number in first
        if first[number].blocks != second[number].blocks
    ]
    for name, kinds in counts.items():
        minimum = MINIMUM[name.split()[0]]
        if kinds["instructions"] < minimum:
            problems.append(f"{name}: {kinds['instructions']} instructions, but there must be at least {minimum}")
    return problems


def built_wheel(folder: Path) -> Path:
    command = [sys.executable, REPOSITORY / "wheels/build.py", "--only", "cp311-abi3-aarch64", "--output", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the cp311-abi3 wheel for aarch64")
    parser.add_argument("--record", action="store_true", help="write counts.json instead of comparing with it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = install(arguments.wheel or built_wheel(folder / "dist"), folder / "packages")
        first = count(packages, folder, caches=True)
        second = count(packages, folder, caches=False)
        cases = (folder / "cases.txt").read_text().splitlines()
        found = {"build": built_by(packages), "counts": per_frame(first, cases)}
    problems = check(first, second, found["counts"])
    if arguments.record and not problems:
        RECORD.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{'per frame on a Cortex-A53':<44} {'instructions':>12} {'L1 misses':>10} {'L2 misses':>10}")
    for name, kinds in found["counts"].items():
        print(f"{name:<44} {kinds['instructions']:>12,} {kinds['level1_misses']:>10,} {kinds['level2_misses']:>10,}")
    problems += compare(found, json.loads(RECORD.read_text()))
    print("\n".join(problems) or "two runs executed the same instructions, and they are as recorded")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
