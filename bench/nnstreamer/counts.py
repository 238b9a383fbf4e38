"""Instructions that a frame costs in the filter on an emulated Cortex-A53: kernel, Python, NumPy, libc and all.

python bench/nnstreamer/counts.py [--wheel dist/*-cp311-abi3-*aarch64.whl]

A frame is a tenth of what ten more frames cost. Without --wheel the boards' wheel is built first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "aarch64"))

from emulated import WATCHED, count, install  # noqa: E402

from counts import built_wheel  # noqa: E402

EVERYTHING = (*WATCHED, "bin/python3", "_multiarray_umath", "libc.so.6", "ld-linux-aarch64")
KERNEL = WATCHED[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the cp311-abi3 wheel for aarch64")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = install(arguments.wheel or built_wheel(folder / "dist"), folder / "packages")
        marks = count(packages, folder, caches=False, script=FOLDER / "workloads.py", watched=EVERYTHING)
        names = (folder / "cases.txt").read_text().splitlines()
    print(f"| {'per frame on a Cortex-A53':<36} | {'instructions':>12} | {'of the kernel':>13} |")
    print(f"| {'-' * 36} | -----------: | ------------: |")
    for index, case in enumerate(names):
        once, eleven = marks[index * 100 + 1], marks[index * 100 + 11]
        difference = eleven.blocks.copy()
        difference.subtract(once.blocks)
        total = sum(length * runs for (_, _, length), runs in difference.items()) // 10
        kernel = sum(length * runs for (library, _, length), runs in difference.items() if library == KERNEL) // 10
        print(f"| {case:<36} | {total:>12,} | {kernel:>13,} |")


if __name__ == "__main__":
    main()
