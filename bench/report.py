"""Rows of the benchmark, and their table and JSON."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

REPOSITORY = Path(__file__).resolve().parent.parent
OURS = "fastyolo"


@dataclass(frozen=True)
class Row:
    """What one contender took for one kind of work, and how its results differ from ours."""

    work: str
    contender: str
    median_us: float
    p95_us: float
    calls: int
    differences: str = ""


def rows_of(
    work: str, names: Sequence[str], nanoseconds: npt.NDArray[np.int64], differences: Sequence[str] | None = None
) -> list[Row]:
    """One row for each contender from times (rounds, frames, contenders)."""
    rows = []
    for index, name in enumerate(names):
        times = nanoseconds[:, :, index].ravel() / 1e3
        median, p95 = np.percentile(times, (50, 95))
        rows.append(Row(work, name, float(median), float(p95), times.size, differences[index] if differences else ""))
    return rows


def find(rows: Sequence[Row], work: str, contender: str) -> Row | None:
    return next((row for row in rows if (row.work, row.contender) == (work, contender)), None)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; the last column is how many times as long as ours a contender took."""
    lines = ["| work | contender | median, us | p95, us | x ours |", "| --- | --- | ---: | ---: | ---: |"]
    shown = ""
    for row in rows:
        ours = find(rows, row.work, OURS)
        ratio = f"{row.median_us / ours.median_us:.2f}" if ours else ""
        work = row.work if row.work != shown else ""
        shown = row.work
        lines.append(f"| {work} | {row.contender} | {row.median_us:.1f} | {row.p95_us:.1f} | {ratio} |")
    return "\n".join(lines)


def difference_table(rows: Sequence[Row]) -> str:
    """What every contender found, beside what we did."""
    lines = ["| work | contender | difference from fastyolo's result |", "| --- | --- | --- |"]
    shown = ""
    for row in rows:
        if row.differences and row.contender != OURS:
            lines.append(f"| {row.work if row.work != shown else ''} | {row.contender} | {row.differences} |")
            shown = row.work
    return "\n".join(lines)


def as_json(rows: Sequence[Row], conditions: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": conditions, "rows": [asdict(row) for row in rows]}


def commit() -> str:
    """The commit that is measured, with a mark when the working tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def write_between_marks(path: Path, mark: str, text: str) -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- /mark -->` of a Markdown file."""
    pattern = rf"(<!-- {mark} -->\n).*(<!-- /{mark} -->)"
    content, count = re.subn(pattern, lambda found: f"{found[1]}{text}\n{found[2]}", path.read_text(), flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{path.name} must have one <!-- {mark} --> ... <!-- /{mark} -->, got {count}")
    path.write_text(content)
