"""The chart: one panel for each kind of work, a bar for each contender, one scale for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from report import OURS, Row

ACCENT, PLAIN, FLOOR = "#d9480f", "#868e96", "#ced4da"


def draw(rows: Sequence[Row], works: Sequence[str], path: Path) -> None:
    """Medians as bars on a logarithmic axis, a thin line up to the 95th percentile, the time written beside it."""
    groups = [[row for row in rows if row.work == work] for work in works]
    height = 0.45 * len(works) + 0.2 * sum(map(len, groups))
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(len(works), 1, sharex=True, height_ratios=[len(group) + 0.6 for group in groups])
    for axis, work, group in zip(axes, works, groups, strict=True):
        position = range(len(group), 0, -1)
        axis.barh(position, [row.median_us for row in group], 0.7, color=[_colour(row) for row in group])
        for y, row in zip(position, group, strict=True):
            axis.plot([row.median_us, row.p95_us], [y, y], color="#343a40", linewidth=1)
            axis.text(max(row.p95_us, row.median_us) * 1.08, y, _time(row.median_us), va="center", fontsize=8)
        axis.set_yticks(list(position), [row.contender for row in group], fontsize=8)
        axis.set_xscale("log")
        axis.grid(axis="x", color="#e9ecef")
        axis.set_axisbelow(True)
        axis.set_title(work, fontsize=9, loc="left", fontweight="bold")
        axis.tick_params(length=0)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    decades = [10.0**power for power in range(6)]
    axes[-1].set_xlim(1, max(row.p95_us for row in rows if row.work in works) * 3)
    axes[-1].set_xticks(decades, [_time(decade) for decade in decades], fontsize=8)
    axes[-1].minorticks_off()
    axes[-1].set_xlabel("for one frame, logarithmic: median, and a line to the 95th percentile", fontsize=8)
    figure.savefig(path, dpi=110)


def _colour(row: Row) -> str:
    if row.contender.startswith(OURS):
        return ACCENT
    return FLOOR if row.contender.startswith("floor") else PLAIN


def _time(microseconds: float) -> str:
    return f"{microseconds / 1e3:.3g} ms" if microseconds >= 1000 else f"{microseconds:.3g} us"
