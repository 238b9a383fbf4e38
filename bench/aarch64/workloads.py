"""Runs fixed inputs under counter.c's plugin, each once and then eleven times; emulated.py starts it.

The argument is a file for the names of the cases: case n has the marks 100 n + 1 and 100 n + 11.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "counts"))

from frames import Case, decode_cases, preprocess_cases

# counter.c knows these numbers.
MARK, EMPTY = 900000, 899999
NOTHING = 9999  # the mark of what lies between the cases
REPETITIONS = (1, 11)
CASES = (
    "decode hopper, 0.25, float32",
    "decode hopper, 0.25, int8",
    "decode hopper, 0.001 multi-label, float32",
    "decode hopper, 0.001 multi-label, int8",
    "preprocess 1280x720 rgb, int8",
    "preprocess 1920x1080 nv12, int8",
    "preprocess 1920x1080 nv12, int8 grey",
)


def tell(number: int) -> None:
    """Close a file that is not open: the plugin listens."""
    with suppress(OSError):
        os.close(number)


def main() -> None:
    every: dict[str, Case] = {case[0]: case for case in (*decode_cases(), *preprocess_cases())}
    Path(sys.argv[1]).write_text("\n".join(CASES))
    for index, name in enumerate(CASES):
        run = every[name][1]
        run()  # tables are built and memory is touched before anything counts
        for times in REPETITIONS:
            tell(MARK + NOTHING)
            for _ in range(times):
                tell(EMPTY)  # as a network's inference would leave them
                run()
            tell(MARK + index * 100 + times)


if __name__ == "__main__":
    main()
