"""An evaluation as pictures: AP of every class, and what precision is left at which recall."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastyolo.errors import FastYoloError
from fastyolo.evaluate.scoring import CategoryScore, Scores
from fastyolo.evaluate.truth import StrPath
from fastyolo.files import atomic_write, shown

_DPI = 110
_LIGHT, _DARK, _GREY = "#a6c8e4", "#1f5f99", "#666666"
_LONGEST_NAME = 20
# Points at which COCO samples a curve: recall 0.00, 0.01 ... 1.00.
_RECALL = [step / 100 for step in range(101)]


def require_matplotlib() -> Any:
    """matplotlib's Figure, which draws without a screen.

    Raises:
        FastYoloError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: TID251
    except ImportError:
        raise FastYoloError("plots need matplotlib: pip install matplotlib") from None
    return Figure


def draw_charts(scores: Scores, folder: StrPath) -> tuple[Path, Path]:
    """Write ``ap_by_class.png`` and ``precision_recall.png`` into an existing folder.

    Classes without objects are left out.

    Raises:
        FastYoloError: matplotlib is not installed, or a file cannot be written.
    """
    categories = sorted(
        (category for category in scores.categories if category.ap50 is not None),
        key=lambda category: (-(category.ap50 or 0), category.name),
    )
    charts = {"ap_by_class.png": _bars(scores, categories), "precision_recall.png": _curves(scores, categories)}
    for name, figure in charts.items():
        with atomic_write(Path(folder) / name) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
            figure.savefig(file, format="png", dpi=_DPI)
    bars, curves = (Path(folder) / name for name in charts)
    return bars, curves


def _bars(scores: Scores, categories: Sequence[CategoryScore]) -> Any:
    """One line a class, best first: AP inside AP50, the numbers behind."""
    rows = range(len(categories))
    height = 1.3 + 0.21 * max(len(categories), 2)
    figure = require_matplotlib()(figsize=(9, height), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(rows, [category.ap50 or 0 for category in categories], height=0.8, color=_LIGHT, label="AP50")
    axes.barh(rows, [category.ap or 0 for category in categories], height=0.42, color=_DARK, label="AP (0.50 to 0.95)")
    for row, category in zip(rows, categories, strict=True):
        text = f"{category.ap50:.1f} / {category.ap:.1f}"
        # On white, so that the lines of the means do not run through the digits.
        box = {"facecolor": "white", "linewidth": 0, "pad": 1}
        axes.text((category.ap50 or 0) + 1, row, text, va="center", fontsize=8, color=_GREY, bbox=box)
    for name, mean, colour, style in (("AP50", scores.ap50, _LIGHT, "--"), ("AP", scores.ap, _DARK, ":")):
        if mean is not None:
            label = f"mean {name} {mean:.1f}"
            axes.axvline(mean, color=colour, linestyle=style, linewidth=1.2, zorder=0, label=label)
    labels = [f"{_name(category)} ({category.objects})" for category in categories]
    axes.set_yticks(rows, labels, fontsize=8, parse_math=False)
    axes.set_ylim(len(categories) - 0.4, -0.6)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("average precision in percent (class names with their number of objects)", fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _curves(scores: Scores, categories: Sequence[CategoryScore]) -> Any:
    """A small panel a class, best first, after one with the mean of all."""
    panels = len(categories) + 1
    columns = min(9, max(3, math.ceil(math.sqrt(panels))), panels)
    rows = math.ceil(panels / columns)
    side = 1.6 if panels > 12 else 2.5
    width, height = columns * side + 0.6, rows * (side + 0.15) + 0.9
    figure = require_matplotlib()(figsize=(width, height))
    # By hand: matplotlib's own layout takes several times as long as drawing so many panels.
    figure.subplots_adjust(
        left=0.6 / width, right=1 - 0.15 / width, bottom=0.5 / height, top=1 - 0.6 / height, wspace=0.12, hspace=0.22
    )
    size = 7 if panels > 12 else 9
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    curves = [category.precision_at_50 for category in categories]
    mean = [sum(values) / len(curves) for values in zip(*curves, strict=True)]
    _panel(grid[0], f"all {len(categories)} classes", mean, scores.ap50, size, _DARK)
    for axes, category in zip(grid[1:panels], categories, strict=True):
        _panel(axes, _name(category), category.precision_at_50, category.ap50, size, _GREY)
    for index, axes in enumerate(grid):
        # Each for itself: axes that share their ticks set those of all others too, which takes seconds.
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"] if index >= panels - columns else [])
        axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"] if index % columns == 0 else [])
        axes.set_visible(index < panels)
    figure.supxlabel("recall", fontsize=10, y=0.08 / height, va="bottom")
    figure.supylabel("precision", fontsize=10, x=0.08 / width, ha="left")
    figure.suptitle("Precision and recall at IoU 0.50, with AP50 in percent", fontsize=11, y=1 - 0.1 / height, va="top")
    return figure


def _panel(axes: Any, title: str, precision: Sequence[float], ap50: float | None, size: int, colour: str) -> None:
    axes.plot(_RECALL, precision, color=colour, linewidth=1.3)
    axes.fill_between(_RECALL, precision, color=_LIGHT, alpha=0.6, linewidth=0)
    weight = "bold" if colour == _DARK else "normal"
    axes.set_title(title, loc="left", fontsize=size, pad=3, parse_math=False, weight=weight)
    if ap50 is not None:
        axes.set_title(f"{ap50:.1f}", loc="right", fontsize=size, pad=3, weight=weight)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05)
    axes.tick_params(labelsize=size, length=2)
    axes.grid(color="#dddddd", linewidth=0.5)


def _name(category: CategoryScore) -> str:
    name = shown(category.name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
