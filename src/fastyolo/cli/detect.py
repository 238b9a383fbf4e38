"""``fastyolo detect``: pictures and videos in, a table or JSON out, annotated copies on request."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastyolo.cli.console import Saved, progress, say, warnings_as_lines
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
from fastyolo.errors import OptionError
from fastyolo.results import FORMATS, writer_of

if TYPE_CHECKING:
    from fastyolo.cli.stream import Wanted
    from fastyolo.detections import Detections
    from fastyolo.detector import Detector
    from fastyolo.results.writer import Result, ResultWriter
    from fastyolo.sources.paths import Source

DEFAULT_OUTPUT = Path("fastyolo-out")


Format = Enum("Format", {name: name for name in FORMATS}, type=str)  # type: ignore[misc]
TABLE = Format("table")


def detect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Pictures, folders of pictures, quoted glob patterns; videos, cameras (/dev/video0, camera), "
            "rtsp:// and http(s):// addresses, - for stdin, 'gst:PIPELINE ! appsink'.",
        ),
    ],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into subfolders too.")] = False,
    save: Annotated[bool, typer.Option("--save", help=f"Save annotated copies into {DEFAULT_OUTPUT}/.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            help="Save annotated copies into this folder, or as this one .mp4, .mkv, .jpg or .png.",
        ),
    ] = None,
    save_frames: Annotated[
        bool, typer.Option("--save-frames", help="Save annotated pictures of those frames only that show something.")
    ] = False,
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
    every: Annotated[int, typer.Option("--every", min=1, help="Of a video, look at each so many-th frame.")] = 1,
    max_frames: Annotated[int | None, typer.Option("--max-frames", min=1, help="End after so many frames.")] = None,
    start: Annotated[float, typer.Option("--start", min=0, metavar="SECONDS", help="Begin there in the video.")] = 0.0,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0, metavar="SECONDS", help="End after so many seconds of video.")
    ] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="Play a video at its own pace, like a camera.")] = False,
    retry: Annotated[
        int, typer.Option("--retry", min=0, help="How often in a row to open a camera or stream again that broke.")
    ] = 0,
    yuv_matrix: Annotated[
        str | None,
        typer.Option("--yuv-matrix", metavar="bt601|bt709", help="What Y'CbCr means. Default: what the video says."),
    ] = None,
    yuv_range: Annotated[
        str | None, typer.Option("--yuv-range", metavar="limited|full", help="Its range. Default: what the video says.")
    ] = None,
    timing: Annotated[bool, typer.Option("--timing", help="Show the milliseconds of every stage.")] = False,
    debug: DebugOption = False,
) -> int:
    """Detect objects in pictures, videos, and what cameras show.

    Data goes to stdout, everything else to stderr. A source that fails is reported and the others still run; the exit
    code is then 1. Video needs the package av.
    """
    from fastyolo.cli.stream import Wanted, check_output, output_file
    from fastyolo.detector import Detector
    from fastyolo.frames.picture import MAX_PIXELS, raise_pillow_limit
    from fastyolo.results.output_names import OutputNames
    from fastyolo.results.writer import Output
    from fastyolo.sources.paths import expand_sources
    from fastyolo.streaming.selection import Selection

    selection = Selection(every, max_frames, start, duration, realtime)
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
            yuv_matrix=yuv_matrix,  # type: ignore[arg-type]
            yuv_range=yuv_range,  # type: ignore[arg-type]
            allow_cpu=allow_cpu,
            graph_cache=not no_graph_cache,
        )
    say_device(detector.session, device)
    raise_pillow_limit(detector.max_pixels)
    named = tuple(entry for entry in entries if entry.error is None)
    pictures = tuple(entry.path for entry in named if entry.kind == "picture")
    videos = len(named) > len(pictures)
    writes = writer_of(output_format.value)
    file = output if output_file(output) else None
    if file is not None:
        check_output(file, named, selection)
    folder = output if output is not None and file is None else DEFAULT_OUTPUT
    # Where the format itself writes files, a folder alone asks for those, and --save for pictures beside them.
    saves = save or save_frames or (output is not None and file is None and not writes.writes_files)
    if videos and writes.pictures_only:
        raise OptionError(f"--format {output_format.value} is for pictures; of a video take jsonl or csv")
    if saves or writes.writes_files:
        _make_folder(folder)
    copies = OutputNames(folder, pictures) if saves else None
    writer = writes(Output(sys.stdout, folder, pictures, timing, videos))
    # On one terminal a bar would break long lines of JSON or CSV.
    bar = output_format is TABLE or not sys.stdout.isatty()
    wanted = Wanted(selection, retry, copies, save_frames, file, bar and not sys.stdout.isatty(), debug)
    return _run(detector, entries, wanted, writer, bar=bar and len(entries) > 1 and not videos, timing=timing)


def _run(
    detector: Detector,
    entries: Sequence[Source],
    wanted: Wanted,
    writer: ResultWriter,
    *,
    bar: bool,
    timing: bool,
) -> int:
    """Run every source and print its result as it comes; returns the exit code."""
    failures = 0
    saved = Saved()
    # A camera never ends: its last ten thousand frames will do.
    speeds: deque[dict[str, float]] = deque(maxlen=10_000)
    with progress("detecting", len(entries)) if bar else nullcontext(lambda: None) as advance, writer:
        for result in _results(detector, entries, wanted, saved):
            if result.detections is None:
                failures += 1
                say(str(result.error))
            elif timing:
                speeds.append(dict(result.detections.speed))
            writer.write(result)
            advance()
    saved.tell()
    if timing and speeds:
        _say_timing(speeds, detector)
    return 1 if failures else 0


def _results(detector: Detector, entries: Sequence[Source], wanted: Wanted, saved: Saved) -> Iterator[Result]:
    from fastyolo.cli.stream import results
    from fastyolo.errors import FastYoloError
    from fastyolo.results.writer import Result

    for entry in entries:
        raise_received()
        if entry.error is not None:
            yield Result(entry.path, error=str(entry.error))
            continue
        if entry.kind != "picture":
            yield from results(entry.path, detector, wanted, saved)
            continue
        try:
            detections = detector(entry.path)
            if (path := wanted.path_for(entry.path, detections)) is not None:
                _save(detections, detector, path)
                saved.add(path)
        except FastYoloError as error:
            yield Result(entry.path, error=str(error))
        else:
            yield Result(entry.path, detections)


def _save(detections: Detections, detector: Detector, path: str) -> None:
    from fastyolo.frames.picture import load_image
    from fastyolo.results.render import save_plot

    assert isinstance(detections.source, str)
    pixels = load_image(detections.source, max_pixels=detector.max_pixels)
    save_plot(detections.plot(pixels), path)


def _make_folder(folder: Path) -> None:
    from fastyolo.errors import FastYoloError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FastYoloError(f"cannot make the output folder {folder}: {error.strerror}") from None


def _say_timing(speeds: Sequence[dict[str, float]], detector: Detector) -> None:
    from statistics import median

    stages = ", ".join(f"{stage} {median(speed[stage] for speed in speeds):.2f}" for stage in speeds[0])
    session = detector.session
    where = f"{session.runtime} {session.version}, {session.device}, {session.threads} threads"
    what = f"median of {len(speeds)} pictures" if len(speeds) > 1 else "one picture, without warm-up"
    ran = f"; {session.ran}" if session.ran is not None else ""
    say(f"milliseconds ({what}; {where}): {stages}{ran}")
