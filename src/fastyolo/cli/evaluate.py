"""``fastyolo evaluate``: annotated pictures in, COCO AP out; or the loss of an int8 model broken down."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastyolo.cli.console import say, stepwise_progress, warnings_as_lines
from fastyolo.cli.markdown import difference, markdown_table, percent
from fastyolo.cli.options import (
    CfgOption,
    DebugOption,
    DeviceOption,
    InputRangeOption,
    MaxMemoryOption,
    ModelOption,
    NamesOption,
    NmsOption,
    Resize,
    RuntimeOption,
    ThreadsOption,
    bytes_from_option,
    range_from_option,
    spec_from_options,
)
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.files import shown

if TYPE_CHECKING:
    from fastyolo.evaluate import Evaluation
    from fastyolo.evaluate.ladder import Ladder


class Format(str, Enum):
    table = "table"
    json = "json"


def evaluate(
    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations",
            metavar="FILE|DIR",
            help="What is in the pictures: COCO's JSON, Darknet's obj.data, Ultralytics' data.yaml, or a list or "
            "folder of pictures with YOLO labels.",
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Folder of the pictures, where --annotations does not say it."),
    ] = None,
    model: ModelOption = None,
    cfg: CfgOption = None,
    names: NamesOption = None,
    output_format: Annotated[
        Format, typer.Option("--format", "-f", help="How the numbers are printed.")
    ] = Format.table,
    results: Annotated[
        Path | None, typer.Option("--results", metavar="FILE", help="Write all detections as a COCO results file.")
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", metavar="DIR", help="Draw AP by class and precision-recall curves into this folder."),
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option("--ladder", help="Break the loss down, from NXP's evaluation rules to ours to --float-model."),
    ] = False,
    float_model: Annotated[
        Path | None, typer.Option("--float-model", metavar="FILE", help="The same network in float32, for --ladder.")
    ] = None,
    conf: Annotated[float, typer.Option("--conf", min=0, max=1, help="Lowest score that counts.")] = 0.001,
    iou: Annotated[float, typer.Option("--iou", min=0, max=1, help="Overlap above which NMS drops a box.")] = 0.45,
    nms: NmsOption = None,
    max_det: Annotated[int, typer.Option("--max-det", min=1, help="Most detections in one picture.")] = 300,
    resize: Annotated[
        Resize | None, typer.Option("--resize", help="How pictures are fitted. Default: what the model or .cfg says.")
    ] = None,
    input_range: InputRangeOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Take only the first pictures, by id.")] = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = "auto",
    device: DeviceOption = "cpu",
    max_memory: MaxMemoryOption = None,
    debug: DebugOption = False,
) -> int:
    """Measure COCO AP of a model on annotated pictures.

    The numbers go to stdout, in percent. All detections of a picture count (300 unless --max-det says otherwise), every
    class of a box above --conf is one. Ctrl-C ends early, with the numbers of the pictures done so far.
    """
    with warnings_as_lines():
        spec = spec_from_options(model, cfg, names)
    common: dict[str, Any] = {
        "images": images,
        "annotations": annotations,
        "spec": spec,
        "runtime": runtime,
        "threads": threads,
        "max_memory": bytes_from_option(max_memory),
        "limit": limit,
    }
    fixed = {"--conf": conf != 0.001, "--iou": iou != 0.45, "--nms": nms is not None, "--max-det": max_det != 300,
             "--resize": resize is not None, "--input-range": input_range is not None, "--device": device != "cpu",
             "--results": results is not None, "--plots": plots is not None}  # fmt: skip
    if ladder != (float_model is not None):
        raise OptionError("--ladder needs --float-model, and the other way round")
    if float_model is not None:
        if given := [option for option, used in fixed.items() if used]:
            raise OptionError(f"--ladder has rules of its own, so it takes no {' or '.join(given)}")
        return _climb(output_format, model, float_model, common)
    from fastyolo.evaluate import Settings

    settings = Settings(
        conf,
        iou,
        max_det,
        nms=nms.value if nms else None,
        resize=resize.value if resize else None,
        input_range=range_from_option(input_range),
    )
    return _evaluate(output_format, results, plots, {"model": model, "settings": settings, "device": device, **common})


def _evaluate(output_format: Format, results: Path | None, plots: Path | None, arguments: dict[str, Any]) -> int:
    from fastyolo.evaluate import evaluate as run
    from fastyolo.evaluate import write_results

    # Whatever would spoil the end of a long run, before its beginning.
    if plots is not None:
        from fastyolo.evaluate.charts import draw_charts, require_matplotlib

        require_matplotlib()
        _make_folder(plots)
    if results is not None and not results.parent.is_dir():
        raise FastYoloError(f"cannot write {results}: the folder {results.parent} does not exist")
    with warnings_as_lines(), stepwise_progress() as progress, _first_interrupt() as stop:
        evaluation = run(**arguments, progress=progress, stop=stop)
    if evaluation.images:
        print(json.dumps(evaluation.to_dict(), indent=2) if output_format is Format.json else _as_text(evaluation))
        if results is not None:
            write_results(evaluation, results)
            say(f"saved {results}")
        if plots is not None:
            paths = draw_charts(evaluation.scores, plots)
            say(f"saved {', '.join(map(str, paths))}")
    return _exit_code(evaluation, stop)


def _climb(output_format: Format, model: Path | None, float_model: Path, arguments: dict[str, Any]) -> int:
    from fastyolo.evaluate.ladder import climb

    with warnings_as_lines(), stepwise_progress() as progress, _first_interrupt() as stop:
        ladder = climb(model, float_model=float_model, **arguments, progress=progress, stop=stop)
    if ladder.images:
        print(json.dumps(ladder.to_dict(), indent=2) if output_format is Format.json else _ladder_text(ladder))
    return _exit_code(ladder, stop)


@contextmanager
def _first_interrupt() -> Iterator[Event]:
    """The first Ctrl-C in the block only sets the event; the second one interrupts as usual."""
    stop = Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _exit_code(outcome: Evaluation | Ladder, stop: Event) -> int:
    if not stop.is_set():
        return 0
    say(f"interrupted after {outcome.images} of {outcome.images_listed} images; the numbers are of those alone")
    return 130


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FastYoloError(f"cannot make the folder {folder}: {error.strerror}") from None


def _as_text(evaluation: Evaluation) -> str:
    scores, settings, model = evaluation.scores, evaluation.settings, evaluation.model
    averages = (scores.ap50, scores.ap, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large)
    with_objects = [category for category in scores.categories if category.objects]
    rows = [
        (category.name, str(category.objects), percent(category.ap50), percent(category.ap))
        for category in with_objects
    ]
    return "\n".join(
        [
            f"{shown(Path(model['path']).name)}, {model['runtime']}, {model['device']}",
            f"{evaluation.images} images, {scores.objects} objects of {len(with_objects)} classes; score "
            f">= {settings.score_threshold:g}, {settings.nms} {settings.iou_threshold:g}, up to "
            f"{settings.max_detections} detections an image, {settings.resize}",
            "",
            markdown_table(
                ("AP50", "AP", "AP75", "AP small", "AP medium", "AP large"), [list(map(percent, averages))], left=0
            ),
            "",
            markdown_table(("class", "objects", "AP50", "AP"), rows),
        ]
    )


def _ladder_text(ladder: Ladder) -> str:
    rows = []
    before = None
    for number, rung in enumerate(ladder.rungs, 1):
        ap50, ap = rung.scores.ap50, rung.scores.ap
        steps = ("", "") if before is None else (difference(ap50, before.ap50), difference(ap, before.ap))
        rows.append((str(number), rung.change, percent(ap50), steps[0], percent(ap), steps[1]))
        before = rung.scores
    return "\n".join(
        [
            f"{shown(Path(ladder.models['int8']).name)} on {ladder.images} images, each row on top of the one above",
            "",
            markdown_table(("", "rule", "AP50", "change", "AP", "change"), rows, left=2),
            "",
            "All rows count up to 300 boxes an image. What the reference's own model file loses is not in this table.",
        ]
    )
