"""``fastyolo export``: a Darknet network in, TFLite files out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastyolo.cli.compile import say_compiled, vela_log
from fastyolo.cli.console import say, stepwise_progress, warnings_as_lines
from fastyolo.cli.options import DebugOption, NamesOption, NmsOption, Resize, names_from_option
from fastyolo.errors import OptionError
from fastyolo.files import shown

if TYPE_CHECKING:
    from fastyolo.cli.input_sizes import Size
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
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes",
            metavar="SIZE,SIZE,...",
            help="Several at once, such as 320,416,352x608 (height x width): files of each, and a table.",
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
            help="Write every tensor's range and signal-to-noise: JSON for FILE.json, else Markdown. "
            "With --sizes one FILE_SIZE for each.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written for programs.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing; use what was fetched before.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the layers of the .cfg; needs no weights.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Turn a Darknet YOLO network into self-describing TFLite files: float32, int8, and int8 with float outputs."""
    from fastyolo.cli.input_sizes import parse_size, parse_sizes, sizes_to_come

    if sizes is not None and input_size is not None:
        raise OptionError("--sizes and --input-size both say how large the input is, so only one of them can be given")
    several = None if sizes is None else parse_sizes(sizes)
    size = None if input_size is None else parse_size(input_size)
    if dry_run:
        if several is None:
            _list_layers(cfg, size)
        else:
            with warnings_as_lines():
                print(sizes_to_come(cfg, several))
        return
    if report is not None:
        _check_report(report, output, calibrated=calibration is not None)
    options: dict[str, Any] = {
        "output_dir": output,
        "calibration": calibration,
        "names": names_from_option(names),
        "formats": [kind.value for kind in formats] if formats else None,
        "resize": resize.value if resize else None,
        "nms": nms.value if nms else None,
        "target": target.value if target is not None else None,
        "effort": effort.value,
        "weight_scales": weight_scales.value if weight_scales is not None else None,
        "offline": offline,
        "log": vela_log(debug),
    }
    with warnings_as_lines(), stepwise_progress() as progress:
        results = _results(cfg, weights, several, size, {**options, "progress": progress})
        done = _write(results, report, table=several is not None, as_json=as_json)
    _say_more(done, target, calibrated=calibration is not None)


def _results(
    cfg: Path | None, weights: Path | None, sizes: list[Size] | None, size: Size | None, options: dict[str, Any]
) -> Iterator[ExportResult]:
    """One for each size, or only one."""
    if sizes is not None:
        from fastyolo.export.sizes import export_sizes

        yield from export_sizes(cfg, weights, sizes=sizes, **options)
        return
    from fastyolo.export import export as run

    yield run(cfg, weights, input_size=size, **options)


def _write(results: Iterator[ExportResult], report: Path | None, *, table: bool, as_json: bool) -> list[ExportResult]:
    """Print what was written, also where Ctrl-C or an error ends it: the files of earlier sizes are whole and stay."""
    from fastyolo.cli.input_sizes import made_files, report_path, sizes_table

    done: list[ExportResult] = []
    reports = []
    try:
        for result in results:
            done.append(result)
            if report is not None and result.report is not None:
                path = report_path(report, result.spec.input_size) if table else report
                result.report.write(path)
                reports.append(path)
    finally:
        if as_json and done:
            files = [record for result in done for record in made_files(result)]
            print(json.dumps({"files": files, "reports": [str(path) for path in reports]}, indent=2))
        elif table and done:
            print(sizes_table(done))
        elif done:
            print("\n".join(shown(path) for path in [*_paths(done[0]), *reports]))
    return done


def _paths(result: ExportResult) -> list[Path]:
    return [*result.paths.values(), *([result.compiled[0]] if result.compiled is not None else [])]


def _check_report(report: Path, output: Path, *, calibrated: bool) -> None:
    """Whatever would spoil the end of a long run, before its beginning."""
    from fastyolo.errors import FastYoloError

    if not calibrated:
        raise OptionError("--report tells what quantisation chose, so it needs --calibration")
    # The output folder is made on the way.
    if not report.parent.is_dir() and report.parent.resolve() != output.resolve():
        raise FastYoloError(f"cannot write {report}: the folder {report.parent} does not exist")


def _say_more(results: list[ExportResult], target: Target | None, *, calibrated: bool) -> None:
    if not calibrated:
        say("no calibration pictures were given (--calibration), so only the float32 file was written")
    if 0 < results[0].pictures < FEW_PICTURES:
        say(f"warning: {results[0].pictures} calibration pictures are few; about 100 make a better int8 file")
    seconds: Counter[str] = Counter()
    for result in results:
        seconds.update(result.seconds)
        if result.compiled is not None and target is not None:
            say_compiled(result.compiled[1], target.value)
    say(f"seconds: {', '.join(f'{step} {spent:.1f}' for step, spent in seconds.items())}")


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
