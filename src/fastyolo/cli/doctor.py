"""``fastyolo doctor``: does a device run the model, and as the CPU does."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from fastyolo.cli.console import warnings_as_lines
from fastyolo.cli.options import DebugOption, DeviceOption, ModelOption, ThreadsOption
from fastyolo.texts import printable


class Format(str, Enum):
    text = "text"
    json = "json"


def doctor(
    model: ModelOption = None,
    device: DeviceOption = "auto",
    images: Annotated[
        list[Path] | None, typer.Option("--images", help="A picture or a folder of them; may be repeated.")
    ] = None,
    threads: ThreadsOption = None,
    output_format: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.text,
    debug: DebugOption = False,
) -> int:
    """Compare a device with the CPU: who runs what, the same answers, each time. Exit code 1 if it is unwell."""
    from fastyolo.doctor import diagnose
    from fastyolo.runtime.health import surroundings
    from fastyolo.sources.paths import expand_sources

    pictures = [entry.path for entry in expand_sources([str(path) for path in images])] if images else []
    with warnings_as_lines():
        record = diagnose(model, device=device, pictures=pictures, threads=threads)
    record = {"surroundings": surroundings(), **record}
    print(json.dumps(record, indent=2) if output_format is Format.json else _as_text(record))
    return 0 if record["healthy"] else 1


def _as_text(record: dict[str, Any]) -> str:
    lines = [f"{key:<12} {value}" for key, value in record["surroundings"].items()]
    for finding in record["findings"]:
        lines.append(f"{finding['what']:<12} {finding['state']}: {finding['says']}")
        if finding["advice"]:
            lines.append(f"{'':<12} -> {finding['advice']}")
    lines.append(f"{record['device']} is {'well' if record['healthy'] else 'UNWELL'}")
    return "\n".join(map(printable, lines))
