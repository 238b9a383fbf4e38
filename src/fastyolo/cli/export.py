"""``fastyolo export``: a Darknet network in, TFLite files out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastyolo.cli.console import say, stepwise_progress
from fastyolo.cli.options import DebugOption, NamesOption, Resize


def export(
    cfg: Annotated[
        Path | None, typer.Argument(help="Darknet .cfg. Default: the official COCO YOLOv4-tiny, fetched once.")
    ] = None,
    weights: Annotated[Path | None, typer.Argument(help="Its .weights.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files.")] = Path("."),
    calibration: Annotated[
        list[str] | None,
        typer.Option(
            "--calibration",
            metavar="IMAGES",
            help="Pictures like those the camera will see: a folder or a quoted pattern; may be repeated. "
            "About 100 are enough. Without them only the float32 file is written.",
        ),
    ] = None,
    names: NamesOption = None,
    resize: Annotated[
        Resize, typer.Option("--resize", help="How pictures are fitted, in calibration and later.")
    ] = Resize.stretch,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing; use what was fetched before.")] = False,
    debug: DebugOption = False,
) -> None:
    """Turn a Darknet YOLO network into self-describing TFLite files: float32, int8, and int8 with float outputs."""
    from fastyolo.export import export as run
    from fastyolo.spec import read_names

    with stepwise_progress() as progress:
        result = run(
            cfg,
            weights,
            output_dir=output,
            calibration=calibration,
            names=read_names(names) if names is not None else None,
            resize=resize.value,
            offline=offline,
            progress=progress,
        )
    for path in result.paths.values():
        print(path)
    if calibration is None:
        say("no calibration pictures were given (--calibration), so only the float32 file was written")
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    say(f"seconds: {steps}")
