"""``fastyolo export``: a Darknet network in, TFLite files out."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastyolo.cli.compile import say_compiled, vela_log
from fastyolo.cli.console import say, stepwise_progress, warnings_as_lines
from fastyolo.cli.options import DebugOption, NamesOption, NmsOption, Resize, names_from_option
from fastyolo.files import shown

if TYPE_CHECKING:
    from fastyolo.export import ExportResult

FEW_PICTURES = 32
"""Below this many, the choice of calibration pictures shows in the accuracy."""


class Effort(str, Enum):
    default = "default"
    high = "high"


class Target(str, Enum):
    imx8mp = "imx8mp"
    imx93 = "imx93"


class WeightScales(str, Enum):
    per_tensor = "per-tensor"
    per_channel = "per-channel"


class Format(str, Enum):
    float32 = "float32"
    int8 = "int8"
    quant = "quant"


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "320" -> (320, 320); "256x416" -> (256, 416), height before width."""
    from fastyolo.errors import OptionError

    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)
    if match is None:
        raise OptionError(f"--input-size must be a size such as 320, or HEIGHTxWIDTH such as 256x416, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


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
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format", help="int8 throughout, or quant: int8 in and float32 out; may be repeated. Default: all three."
        ),
    ] = None,
    target: Annotated[
        Target | None,
        typer.Option(
            "--target",
            help="The chip whose NPU will run it: imx93 also compiles for its Ethos-U, into DIR/model_imx93/.",
        ),
    ] = None,
    weight_scales: Annotated[
        WeightScales | None,
        typer.Option("--weights", help="One scale for all weights of a layer, which suits every NPU, or one a filter."),
    ] = None,
    names: NamesOption = None,
    resize: Annotated[
        Resize | None,
        typer.Option(
            "--resize", help="How pictures are fitted, in calibration and later. Default: what the .cfg says."
        ),
    ] = None,
    nms: NmsOption = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input-size",
            metavar="SIZE|HEIGHTxWIDTH",
            help="Input of the network, instead of the .cfg's. Anchors stay as they are.",
        ),
    ] = None,
    effort: Annotated[
        Effort, typer.Option("--effort", help="'high' takes minutes to choose int8 numbers, as for the bundled model.")
    ] = Effort.default,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write every tensor's range and signal-to-noise: JSON for FILE.json, else Markdown.",
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing; use what was fetched before.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the layers of the .cfg; needs no weights.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Turn a Darknet YOLO network into self-describing TFLite files: float32, int8, and int8 with float outputs."""
    size = parse_size(input_size)
    if dry_run:
        _list_layers(cfg, size)
        return
    if report is not None:
        _check_report(report, output, calibrated=calibration is not None)
    from fastyolo.export import export as run

    with warnings_as_lines(), stepwise_progress() as progress:
        result = run(
            cfg,
            weights,
            output_dir=output,
            calibration=calibration,
            names=names_from_option(names),
            formats=[kind.value for kind in formats] if formats else None,
            resize=resize.value if resize else None,
            nms=nms.value if nms else None,
            input_size=size,
            target=target.value if target is not None else None,
            effort=effort.value,
            weight_scales=weight_scales.value if weight_scales is not None else None,
            offline=offline,
            progress=progress,
            log=vela_log(debug),
        )
    for path in result.paths.values():
        print(shown(path))
    if result.compiled is not None:
        print(shown(result.compiled[0]))
    if report is not None and result.report is not None:
        result.report.write(report)
        print(shown(report))
    _say_more(result, target, calibrated=calibration is not None)


def _check_report(report: Path, output: Path, *, calibrated: bool) -> None:
    """Whatever would spoil the end of a long run, before its beginning."""
    from fastyolo.errors import FastYoloError, OptionError

    if not calibrated:
        raise OptionError("--report tells what quantisation chose, so it needs --calibration")
    # The output folder is made on the way.
    if not report.parent.is_dir() and report.parent.resolve() != output.resolve():
        raise FastYoloError(f"cannot write {report}: the folder {report.parent} does not exist")


def _say_more(result: ExportResult, target: Target | None, *, calibrated: bool) -> None:
    if not calibrated:
        say("no calibration pictures were given (--calibration), so only the float32 file was written")
    if 0 < result.pictures < FEW_PICTURES:
        say(f"warning: {result.pictures} calibration pictures are few; about 100 make a better int8 file")
    if result.compiled is not None and target is not None:
        say_compiled(result.compiled[1], target.value)
    steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in result.seconds.items())
    say(f"seconds: {steps}")


def _list_layers(cfg: Path | None, input_size: tuple[int, int] | None) -> None:
    from fastyolo.cli.layers import layer_table
    from fastyolo.darknet import read_cfg, spec_from_cfg, with_input_size
    from fastyolo.export import check_channels
    from fastyolo.export.build import supported_layers
    from fastyolo.export.fetch import OFFICIAL_CFG

    description = read_cfg(OFFICIAL_CFG if cfg is None else cfg)
    if input_size is not None:
        description = with_input_size(description, input_size)
    with warnings_as_lines():
        layers = supported_layers(description)
        # For what these would refuse.
        check_channels(description)
        spec_from_cfg(description)
    print("\n".join(layer_table(layers, description.input_shape)))
