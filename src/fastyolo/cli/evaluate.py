"""``fastyolo evaluate``: annotated pictures in, COCO's numbers out; or the loss of an int8 model broken down."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastyolo.cli.console import say, stepwise_progress, warnings_as_lines
from fastyolo.cli.detect import DEFAULT_OUTPUT
from fastyolo.cli.evaluation_output import Format, Wanted
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
    names_from_option,
    range_from_option,
    spec_from_options,
)
from fastyolo.errors import OptionError

if TYPE_CHECKING:
    from fastyolo.evaluate import Evaluation
    from fastyolo.evaluate.ladder import Ladder


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
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            metavar="FILE",
            help="Score what this file holds, without a model: COCO results, Darknet's -out, or JSON of detect.",
        ),
    ] = None,
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
    worst: Annotated[
        int | None,
        typer.Option(
            "--worst",
            metavar="N",
            min=1,
            help="Save the N pictures with the most misses and false alarms, annotations beside detections.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help=f"For --worst. Default: {DEFAULT_OUTPUT}/.")
    ] = None,
    ladder: Annotated[
        bool,
        typer.Option("--ladder", help="Break the loss down, from NXP's evaluation rules to ours to --float-model."),
    ] = False,
    float_model: Annotated[
        Path | None, typer.Option("--float-model", metavar="FILE", help="The same network in float32, for --ladder.")
    ] = None,
    conf: Annotated[float, typer.Option("--conf", min=0, max=1, help="Lowest score that counts in AP.")] = 0.001,
    threshold: Annotated[
        float,
        typer.Option("--threshold", min=0, max=1, help="Lowest score that counts in precision, recall and --worst."),
    ] = 0.25,
    iou: Annotated[float, typer.Option("--iou", min=0, max=1, help="Overlap above which NMS drops a box.")] = 0.45,
    nms: NmsOption = None,
    max_det: Annotated[
        int | None,
        typer.Option(
            "--max-det", min=1, help="Most detections in one picture. Default: 300; with --detections 100, as COCO's."
        ),
    ] = None,
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
    """Measure COCO AP of a model, or of a file of detections, on annotated pictures.

    The numbers go to stdout, in percent: COCO's twelve, precision and recall, and those of each class. Ctrl-C ends
    early, with the numbers of the pictures done so far.
    """
    tuned = {"--conf": conf != 0.001, "--iou": iou != 0.45, "--nms": nms is not None, "--resize": resize is not None,
             "--input-range": input_range is not None, "--device": device != "cpu",
             "--results": results is not None}  # fmt: skip
    shown = {"--max-det": max_det is not None, "--threshold": threshold != 0.25, "--plots": plots is not None,
             "--worst": worst is not None, "--detections": detections is not None}  # fmt: skip
    if ladder != (float_model is not None):
        raise OptionError("--ladder needs --float-model, and the other way round")
    if output is not None and worst is None:
        raise OptionError("--output is for --worst")
    wanted = Wanted(output_format, results, plots, worst, output or DEFAULT_OUTPUT)
    truth: dict[str, Any] = {"annotations": annotations, "images": images, "limit": limit}
    if detections is not None and not ladder:
        runs = {"--model": model is not None, "--cfg": cfg is not None, "--runtime": runtime != "auto",
                "--threads": threads is not None, "--max-memory": max_memory is not None}  # fmt: skip
        _refuse("--detections runs no model", {**runs, **tuned})
        with warnings_as_lines():
            truth |= {"names": names_from_option(names), "threshold": threshold}
        if max_det is not None:
            truth["max_detections"] = max_det
        return _score(wanted, detections, truth)
    with warnings_as_lines():
        spec = spec_from_options(model, cfg, names)
    common = {
        **truth,
        "spec": spec,
        "runtime": runtime,
        "threads": threads,
        "max_memory": bytes_from_option(max_memory),
    }
    if float_model is not None:
        _refuse("--ladder has rules of its own", {**tuned, **shown})
        return _climb(output_format, model, float_model, common)
    from fastyolo.evaluate import Settings
    from fastyolo.postprocess import DEFAULT_MAX_DETECTIONS

    settings = Settings(
        conf,
        iou,
        max_det or DEFAULT_MAX_DETECTIONS,
        nms=nms.value if nms else None,
        resize=resize.value if resize else None,
        input_range=range_from_option(input_range),
    )
    return _evaluate(wanted, {"model": model, "settings": settings, "threshold": threshold, "device": device, **common})


def _refuse(why: str, options: dict[str, bool]) -> None:
    """Options that would have no effect are a mistake."""
    if given := [option for option, used in options.items() if used]:
        raise OptionError(f"{why}, so it takes no {' or '.join(given)}")


def _evaluate(wanted: Wanted, arguments: dict[str, Any]) -> int:
    from fastyolo.evaluate import evaluate as run

    wanted.check()
    with warnings_as_lines(), stepwise_progress() as progress, _first_interrupt() as stop:
        evaluation = run(**arguments, progress=progress, stop=stop)
    if evaluation.images:
        wanted.show(evaluation)
    return _exit_code(evaluation, stop)


def _score(wanted: Wanted, detections: Path, arguments: dict[str, Any]) -> int:
    from fastyolo.evaluate import evaluate_results

    wanted.check()
    with warnings_as_lines(), stepwise_progress() as progress:
        evaluation = evaluate_results(detections, **arguments, pictures=wanted.worst is not None, progress=progress)
    wanted.show(evaluation)
    return 0


def _climb(output_format: Format, model: Path | None, float_model: Path, arguments: dict[str, Any]) -> int:
    from fastyolo.cli.evaluation_text import ladder_text
    from fastyolo.evaluate.ladder import climb

    with warnings_as_lines(), stepwise_progress() as progress, _first_interrupt() as stop:
        ladder = climb(model, float_model=float_model, **arguments, progress=progress, stop=stop)
    if ladder.images:
        print(json.dumps(ladder.to_dict(), indent=2) if output_format is Format.json else ladder_text(ladder))
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
