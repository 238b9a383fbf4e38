"""Bars of times as an SVG picture, with nothing but text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from fastyolo.texts import printable

COLORS = ("#9aa5b1", "#4c9f70", "#3366aa", "#d98032")
_WIDTH, _LEFT, _BAR, _GAP, _TOP = 760, 200, 22, 12, 46


def stages_chart(rows: Sequence[Mapping[str, Any]]) -> str:
    """A bar for each row of `bench`, of its stages' median milliseconds one after the other."""
    longest = max(_total(row) for row in rows) or 1.0
    scale = (_WIDTH - _LEFT - 80) / longest
    parts = [_legend(list(rows[0]["stages"]))]
    for at, row in enumerate(rows):
        y, x = _TOP + at * (_BAR + _GAP), float(_LEFT)
        parts.append(_text(_LEFT - 8, y + 16, f"{row['device']}, {row['threads']} threads", anchor="end"))
        for (stage, times), color in zip(row["stages"].items(), COLORS, strict=True):
            width = times["median"] * scale
            title = f"<title>{stage}: {times['median']:.2f} ms</title>"
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}">{title}</rect>')
            x += width
        parts.append(_text(x + 6, y + 16, f"{_total(row):.1f} ms"))
    height = _TOP + len(rows) * (_BAR + _GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="13">', '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>\n"])


def _legend(stages: Sequence[str]) -> str:
    parts = []
    for at, (stage, color) in enumerate(zip(stages, COLORS, strict=True)):
        x = _LEFT + at * 130
        parts.append(f'<rect x="{x}" y="14" width="14" height="14" fill="{color}"/>{_text(x + 20, 26, stage)}')
    return "\n".join(parts)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    # A delegate's path can be long; its end says which it is.
    short = text if len(text) <= 30 else f"...{text[-27:]}"
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(printable(short))}</text>'


def _total(row: Mapping[str, Any]) -> float:
    return sum(float(times["median"]) for times in row["stages"].values())
