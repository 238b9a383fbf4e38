"""Tables that read well in a terminal and paste as they are into a report: Markdown with aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from fastyolo.files import shown


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """The first `left` columns are text, the others numbers, which stand at the right."""
    cells = [[shown(cell).replace("|", "\\|") if cell else "" for cell in row] for row in (titles, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [f":{'-' * (width - 1)}" if at < left else f"{'-' * (width - 1)}:" for at, width in enumerate(widths)]
    lines = []
    for row in (cells[0], rule, *cells[1:]):
        padded = zip(row, widths, strict=True)
        aligned = [cell.ljust(width) if at < left else cell.rjust(width) for at, (cell, width) in enumerate(padded)]
        lines.append(f"| {' | '.join(aligned)} |")
    return "\n".join(lines)


def percent(value: float | None) -> str:
    """Two decimals, "-" for None."""
    return "-" if value is None else f"{value:.2f}"


def difference(value: float | None, before: float | None) -> str:
    """Two decimals with their sign, of the numbers as they are printed, so that columns add up."""
    if value is None or before is None:
        return "-"
    return f"{round(value, 2) - round(before, 2):+.2f}"
