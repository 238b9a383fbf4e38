"""``fastyolo detect``: pictures in, a table or JSON out, annotated copies on request."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastyolo.cli.console import progress, say, warnings_as_lines
from fastyolo.cli.options import (
    AllowCpuOption,
    CfgOption,
    DebugOption,
    DeviceOption,
    InputRangeOption,
    MaxMemoryOption,
    ModelOption,
    NamesOption,
    NmsOption,
    NoGraphCacheOption,
    Resize,
    RuntimeOption,
    ThreadsOption,
    bytes_from_option,
    range_from_option,
    say_device,
    spec_from_options,
)
from fastyolo.cli.signals import raise_received
from fastyolo.results import FORMATS, writer_of

if TYPE_CHECKING:
    from fastyolo.detections import Detections
    from fastyolo.detector import Detector
    from fastyolo.results.output_names import OutputNames
    from fastyolo.results.writer import Result, ResultWriter
    from fastyolo.sources.paths import Source

DEFAULT_OUTPUT = Path("fastyolo-out")


Format = Enum("Format", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
TABLE = Format("table")


def detect(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Pictures, folders of pictures, or quoted glob patterns.")
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders too.")] = False,
    save: Annotated[bool, typer.Option("--save", help=f"Save annotated copies into {DEFAULT_OUTPUT}/.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Save annotated copies into this folder.")
    ] = None,
    output_format: Annotated[Format, typer.Option("--format", "-f", help="How results are printed.")] = TABLE,
    conf: Annotated[float, typer.Option("--conf", min=0, max=1, help="Lowest score that is reported.")] = 0.25,
    iou: Annotated[float, typer.Option("--iou", min=0, max=1, help="Overlap above which NMS drops a box.")] = 0.45,
    nms: NmsOption = None,
    every_class: Annotated[
        bool, typer.Option("--every-class", help="Every class of a box above --conf, as Darknet; not only the best.")
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option("--classes", metavar="NAME|ID,...", help="Report only these classes; may be repeated."),
    ] = None,
    max_det: Annotated[int, typer.Option("--max-det", min=1, help="Most detections in one picture.")] = 300,
    model: ModelOption = None,
    cfg: CfgOption = None,
    names: NamesOption = None,
    resize: Annotated[
        Resize | None, typer.Option("--resize", help="How pictures are fitted. Default: what the model or .cfg says.")
    ] = None,
    input_range: InputRangeOption = None,
    threads: ThreadsOption = None,
    runtime: RuntimeOption = "auto",
    device: DeviceOption = "cpu",
    allow_cpu: AllowCpuOption = False,
    no_graph_cache: NoGraphCacheOption = False,
    max_pixels: Annotated[
        int | None,
        typer.Option("--max-pixels", min=1, help="Refuse pictures with more pixels than this. Default: 89 million."),
    ] = None,
    max_memory: MaxMemoryOption = None,
    timing: Annotated[bool, typer.Option("--timing", help="Show the milliseconds of every stage.")] = False,
    debug: DebugOption = False,
) -> int:
    """Detect objects in pictures.

    Data goes to stdout, everything else to stderr. A picture that fails is reported and the others still run; the exit
    code is then 1.
    """
    from fastyolo.detector import Detector
    from fastyolo.frames.picture import MAX_PIXELS, raise_pillow_limit
    from fastyolo.results.output_names import OutputNames
    from fastyolo.results.writer import Output
    from fastyolo.sources.paths import expand_sources

    entries = list(expand_sources(sources, recursive=recursive))
    with warnings_as_lines():
        detector = Detector(
            model,
            spec=spec_from_options(model, cfg, names),
            runtime=runtime,
            device=device,
            threads=threads,
            resize=resize.value if resize else None,
            input_range=range_from_option(input_range),
            score_threshold=conf,
            iou_threshold=iou,
            max_detections=max_det,
            nms=nms.value if nms else None,
            multi_label=every_class,
            classes=[part for group in classes for part in group.split(",")] if classes else None,
            max_pixels=max_pixels or MAX_PIXELS,
            max_memory=bytes_from_option(max_memory),
            allow_cpu=allow_cpu,
            graph_cache=not no_graph_cache,
        )
    say_device(detector.session, device)
    raise_pillow_limit(detector.max_pixels)
    pictures = tuple(entry.path for entry in entries if entry.error is None)
    folder = output if output is not None else DEFAULT_OUTPUT
    writes = writer_of(output_format.value)
    # Where the format itself writes files, a folder alone asks for those, and --save for pictures beside them.
    saves = save or (output is not None and not writes.writes_files)
    if saves or writes.writes_files:
        _make_folder(folder)
    copies = OutputNames(folder, pictures) if saves else None
    writer = writes(Output(sys.stdout, folder, pictures, timing))
    # On one terminal a bar would break long lines of JSON or CSV.
    bar = len(entries) > 1 and (output_format is TABLE or not sys.stdout.isatty())
    return _run(detector, entries, copies, writer, bar=bar, timing=timing)


def _run(
    detector: Detector,
    entries: Sequence[Source],
    copies: OutputNames | None,
    writer: ResultWriter,
    *,
    bar: bool,
    timing: bool,
) -> int:
    """Run every source and print its result as it comes; returns the exit code."""
    failures = 0
    saved: list[str] = []
    speeds: list[dict[str, float]] = []
    with progress("detecting", len(entries)) if bar else nullcontext(lambda: None) as advance, writer:
        for result in _results(detector, entries, copies, saved):
            if result.detections is None:
                failures += 1
                say(str(result.error))
            else:
                speeds.append(dict(result.detections.speed))
            writer.write(result)
            advance()
    if saved:
        where = saved[0] if len(saved) == 1 else f"{len(saved)} pictures in {os.path.dirname(saved[0])}/"
        say(f"saved {where}")
    if timing and speeds:
        _say_timing(speeds, detector)
    return 1 if failures else 0


def _results(
    detector: Detector, entries: Sequence[Source], copies: OutputNames | None, saved: list[str]
) -> Iterator[Result]:
    from fastyolo.errors import FastYoloError
    from fastyolo.results.writer import Result

    for entry in entries:
        raise_received()
        if entry.error is not None:
            yield Result(entry.path, error=str(entry.error))
            continue
        try:
            detections = detector(entry.path)
            if copies is not None:
                saved.append(_save(detections, detector, copies))
        except FastYoloError as error:
            yield Result(entry.path, error=str(error))
        else:
            yield Result(entry.path, detections)


def _save(detections: Detections, detector: Detector, copies: OutputNames) -> str:
    from fastyolo.frames.picture import load_image
    from fastyolo.results.render import save_plot

    assert isinstance(detections.source, str)
    pixels = load_image(detections.source, max_pixels=detector.max_pixels)
    path = copies.path_for(detections.source)
    save_plot(detections.plot(pixels), path)
    return path


def _make_folder(folder: Path) -> None:
    from fastyolo.errors import FastYoloError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FastYoloError(f"cannot make the output folder {folder}: {error.strerror}") from None


def _say_timing(speeds: list[dict[str, float]], detector: Detector) -> None:
    from statistics import median

    stages = ", ".join(f"{stage} {median(speed[stage] for speed in speeds):.2f}" for stage in speeds[0])
    session = detector.session
    where = f"{session.runtime} {session.version}, {session.device}, {session.threads} threads"
    what = f"median of {len(speeds)} pictures" if len(speeds) > 1 else "one picture, without warm-up"
    ran = f"; {session.ran}" if session.ran is not None else ""
    say(f"milliseconds ({what}; {where}): {stages}{ran}")
