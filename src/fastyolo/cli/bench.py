"""``fastyolo bench``: how fast a model is here, stage by stage."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

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
    output_format: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.markdown,
    debug: DebugOption = False,
) -> None:
    """Time loading, the first inference, and every stage, by device and number of threads."""
    from fastyolo.bench import bench as run
    from fastyolo.bench import compare
    from fastyolo.cli.console import say
    from fastyolo.errors import FastYoloError
    from fastyolo.sources.paths import expand_sources

    before = _read(old) if old is not None else None
    entries = list(expand_sources(images))
    pictures = [entry.path for entry in entries if entry.error is None]
    if not pictures:
        raise FastYoloError(str(entries[0].error) if entries else "there are no pictures to time")
    record = run(model, pictures=pictures, devices=device or ["cpu"], threads=threads or [None], runs=runs)
    print(json.dumps(record, indent=2) if output_format is Format.json else _as_markdown(record))
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
    lines = [
        "| device | threads | load ms | first ms | stage | median | p90 | p99 | per second | CPU ms | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in record["rows"]:
        for stage, times in row["stages"].items():
            shown = f"{times['median']:.2f} | {times['p90']:.2f} | {times['p99']:.2f}"
            whole = f"{row['per_second']:.1f} | {row['cpu']:.1f} | {row['peak_mb']:.0f}"
            start = f"{row['load']:.0f} | {row['first']:.1f}"
            lines.append(f"| {row['device']} | {row['threads']} | {start} | {stage} | {shown} | {whole} |")
    return "\n".join(lines)
