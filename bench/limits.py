"""What the kernels are to reach, as ratios of medians of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from report import OURS, Row, find

FLOAT, INT8 = "decode float32, 0.25", "decode int8, 0.25"
EVALUATE = "decode {dtype}, 0.001, every class"
WORST = "decode float32, every box of every class (synthetic)"
RGB, NV12 = "1280x720 RGB to int8", "1920x1080 NV12 to int8"
FILE, PIXELS = "640x427 JPEG file, around invoke()", "640x427 pixels, around invoke()"

NUMPY, PLAIN = "NumPy + OpenCV", "NumPy + OpenCV, all candidates at once"
EDGEFIRST, FLOOR = "edgefirst-decoder", "floor: objectness scan in C"
CAPPED = "edgefirst-decoder, best 300 candidates"
RECIPE = "reference recipe"


class Limit(NamedTuple):
    """Our median of `work` must be at most `ratio` times the median of `contender` at `rival_work`."""

    work: str
    ratio: float
    contender: str
    rival_work: str


LIMITS = (
    Limit(FLOAT, 1 / 20, NUMPY, FLOAT),
    Limit(FLOAT, 1 / 90, EDGEFIRST, FLOAT),
    Limit(FLOAT, 4.5, FLOOR, FLOAT),
    Limit(INT8, 1.0, OURS, FLOAT),
    *(
        Limit(work, ratio, contender, work)
        for work in (EVALUATE.format(dtype="float32"), EVALUATE.format(dtype="int8"))
        for ratio, contender in ((1 / 25, NUMPY), (1 / 25, PLAIN), (1 / 9, CAPPED))
    ),
    Limit(WORST, 1 / 15, NUMPY, WORST),
    Limit(RGB, 1.0, "cv2.resize + xor", RGB),
    Limit(NV12, 0.5, "cv2.cvtColor + resize + xor", NV12),
    Limit(FILE, 1 / 2, RECIPE, FILE),
    Limit(PIXELS, 1 / 6, RECIPE, PIXELS),
)


def limit_table(rows: Sequence[Row]) -> str:
    """Every limit beside what this run measured."""
    lines = ["| fastyolo's | against | at most | measured | |", "| --- | --- | ---: | ---: | --- |"]
    for limit in LIMITS:
        ours, rival = find(rows, limit.work, OURS), find(rows, limit.rival_work, limit.contender)
        if ours is None or rival is None:
            raise ValueError(f"no rows for {limit}")
        measured = ours.median_us / rival.median_us
        against = limit.contender if limit.rival_work == limit.work else f"{limit.contender}, {limit.rival_work}"
        verdict = "met" if measured <= limit.ratio else "missed"
        lines.append(f"| {limit.work} | {against} | {_ratio(limit.ratio)} | {_ratio(measured)} | {verdict} |")
    return "\n".join(lines)


def _ratio(value: float) -> str:
    return f"1/{1 / value:.1f}" if value < 0.75 else f"{value:.2f}"
