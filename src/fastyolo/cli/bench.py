"""``fastyolo bench``: how fast a model is here, stage by stage."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from fastyolo.cli.markdown import markdown_table
from fastyolo.cli.options import DebugOption, ModelOption


class Format(str, Enum):
    markdown = "markdown"
    json = "json"


def bench(
    images: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Pictures, or folders of them.")],
    model: ModelOption = None,
    device: Annotated[list[str] | None, typer.Option("--device", help="As of detect; may be repeated.")] = None,
    threads: Annotated[list[int] | None, typer.Option("--threads", min=1, help="May be repeated.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=5, help="Pictures that are timed.")] = 50,
    old: Annotated[Path | None, typer.Option("--compare", metavar="OLD.json", help="Say what has changed.")] = None,
    chart: Annotated[Path | None, typer.Option("--chart", metavar="FILE.svg", help="Draw the stages.")] = None,
    output_format: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.markdown,
    debug: DebugOption = False,
) -> None:
    """Time loading, the first inference, and every stage, by device and number of threads.

    "per second" is one picture after the other; "pipelined" with reading and preprocessing beside the network.
    """
    from fastyolo.bench import bench as run
    from fastyolo.bench import compare
    from fastyolo.cli.console import say
    from fastyolo.errors import FastYoloError, OptionError
    from fastyolo.sources.paths import expand_sources

    if chart is not None and chart.suffix != ".svg":
        raise OptionError(f"chart must end in .svg, got {chart.name!r}")
    before = _read(old) if old is not None else None
    entries = list(expand_sources(images))
    pictures = [entry.path for entry in entries if entry.error is None]
    if not pictures:
        raise FastYoloError(str(entries[0].error) if entries else "there are no pictures to time")
    record = run(model, pictures=pictures, devices=device or ["cpu"], threads=threads or [None], runs=runs)
    print(json.dumps(record, indent=2) if output_format is Format.json else _as_markdown(record))
    if chart is not None:
        from fastyolo.cli.chart import stages_chart
        from fastyolo.files import atomic_write

        with atomic_write(chart, text=True) as file:
            file.write(stages_chart(record["rows"]))
    if before is not None:
        try:
            lines = compare(record, before)
        except (KeyError, TypeError, AttributeError):
            raise FastYoloError(f"{old} is no record of fastyolo bench --format json") from None
        for line in lines or ["nothing has changed beyond noise"]:
            say(line)


def _read(path: Path) -> Any:
    from fastyolo.errors import FastYoloError

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FastYoloError(f"cannot read {path}: {error}") from None


def _as_markdown(record: dict[str, Any]) -> str:
    """A table of what each row costs as a whole, and one of its stages."""
    wholes, stages = [], []
    for row in record["rows"]:
        threads = str(row["threads"])
        numbers = (row[key] for key in ("load", "first", "cpu", "per_second", "per_second_pipelined", "peak_mb"))
        wholes.append([row["device"], row["ran"] or "not told", threads, *(f"{number:.1f}" for number in numbers)])
        for stage, times in row["stages"].items():
            stages.append([row["device"], stage, threads, *(f"{times[key]:.2f}" for key in ("median", "p90", "p99"))])
    whole = ["device", "ran", "threads", "load ms", "first ms", "CPU ms", "per second", "pipelined", "peak MB"]
    return "\n\n".join(
        [
            f"{record['model']}, {record['runs']} pictures",
            markdown_table(whole, wholes, left=2),
            markdown_table(["device", "stage", "threads", "median ms", "p90", "p99"], stages, left=2),
        ]
    )
