"""The part of ``fastyolo detect`` that is about videos, cameras and streams."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastyolo.cli.console import say
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.files import shown
from fastyolo.results.writer import Result
from fastyolo.sources.opening import kind_of

if TYPE_CHECKING:
    from fastyolo.cli.console import Saved
    from fastyolo.detections import Detections
    from fastyolo.detector import Detector
    from fastyolo.results.output_names import OutputNames
    from fastyolo.results.video import VideoWriter
    from fastyolo.sources.paths import Source
    from fastyolo.streaming import Stream
    from fastyolo.streaming.selection import Selection

VIDEO_OUTPUTS = (".mp4", ".mkv")
PICTURE_OUTPUTS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Wanted:
    """What is asked for beside the results.

    Attributes:
        selection: which frames of a video.
        retry: how often to open a live source again.
        pictures: hands out the paths of annotated pictures, if any are asked for.
        found_only: save only those frames that show something.
        file: the one picture or video to write.
        bar: whether to show progress of a video.
        debug: say what is converted.
    """

    selection: Selection
    retry: int = 0
    pictures: OutputNames | None = None
    found_only: bool = False
    file: Path | None = None
    bar: bool = False
    debug: bool = False

    @property
    def video(self) -> Path | None:
        """The path of an annotated video, if one is asked for."""
        return self.file if self.file is not None and self.file.suffix.lower() in VIDEO_OUTPUTS else None

    def path_for(self, name: str, found: Detections) -> str | None:
        """Where an annotated picture of `name` goes; None if none is asked for."""
        if self.file is not None and self.video is None:
            return str(self.file)
        if self.pictures is None or (self.found_only and not len(found)):
            return None
        return self.pictures.path_for(name)


def results(name: str, detector: Detector, wanted: Wanted, saved: Saved) -> Iterator[Result]:
    """The result of every frame of a source, or of the single picture it turns out to be; last an error, if any."""
    try:
        yield from _results(name, detector, wanted, saved)
    except OptionError:
        raise
    except FastYoloError as error:
        yield Result(name, error=str(error))


def _results(name: str, detector: Detector, wanted: Wanted, saved: Saved) -> Iterator[Result]:
    from fastyolo.sources.opening import open_any, open_source
    from fastyolo.sources.stdin import Picture
    from fastyolo.streaming import Stream
    from fastyolo.streaming.patience import opened

    source = opened(partial(open_any, name))
    if isinstance(source, Picture):
        yield _picture(name, source.content, detector, wanted, saved)
        return
    if wanted.file is not None and wanted.video is None and wanted.selection.max_frames != 1:
        source.close()
        raise OptionError(
            f"--output {shown(wanted.file)} is one picture; add --max-frames 1, or name a folder or a video"
        )
    if wanted.debug:
        for note in source.notes:
            say(note)
    with Stream(source, partial(open_source, name), detector, wanted.selection, wanted.retry, say) as stream:
        with _saving(name, stream, wanted, saved) as save, _progress(name, stream, wanted.bar) as advance:
            for found in stream:
                save()
                yield Result(name, found)
                advance()
        _say_losses(name, stream)
        if stream.source.problem:
            raise FastYoloError(stream.source.problem)


def _picture(name: str, content: bytes, detector: Detector, wanted: Wanted, saved: Saved) -> Result:
    from fastyolo.results.render import save_plot

    if wanted.video is not None:
        raise OptionError(f"{shown(name)} is a single picture, so --output must be a picture or a folder")
    found = detector(content)
    if (path := wanted.path_for(f"{stem(name)}.jpg", found)) is not None:
        save_plot(found.plot(content), path)
        saved.add(path)
    return Result(name, found)


@contextmanager
def _saving(name: str, stream: Stream, wanted: Wanted, saved: Saved) -> Iterator[Callable[[], None]]:
    """Gives what to call for each result: it saves what is asked for of the frame."""
    if wanted.video is None:
        yield partial(_save, name, stream, wanted, saved, None)
        return
    from fastyolo.results.video import VideoWriter

    rate = getattr(stream.source, "rate", None)
    with VideoWriter(wanted.video, rate=rate / wanted.selection.every if rate else None) as writer:
        yield partial(_save, name, stream, wanted, saved, writer)
    if writer.frames:
        say(f"saved {shown(wanted.video)}, {writer.frames} frames")


def _save(name: str, stream: Stream, wanted: Wanted, saved: Saved, writer: VideoWriter | None) -> None:
    from fastyolo.results.render import save_plot

    found = stream.found
    assert found is not None
    path = wanted.path_for(f"{stem(name)}_{found.index:06d}.jpg", found)
    if path is None and writer is None:
        return
    image = found.plot(stream.frame)
    if writer is not None:
        writer.write(image, found.timestamp)
    if path is not None:
        save_plot(image, path)
        saved.add(path)


@contextmanager
def _progress(name: str, stream: Stream, bar: bool) -> Iterator[Callable[[], None]]:
    """A line on a terminal's stderr with frames, rate, what was dropped and the time that is left."""
    if not (bar and sys.stderr.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        *((BarColumn(), MofNCompleteColumn()) if stream.total else (TextColumn("{task.completed} frames"),)),
        TextColumn("{task.fields[rate]:.1f} frames/s"),
        TextColumn("{task.fields[lost]}"),
        *((TimeRemainingColumn(),) if stream.total else ()),
    )
    with Progress(
        *columns, console=Console(file=sys.stderr), transient=True, redirect_stdout=sys.stdout.isatty()
    ) as progress:
        began = time.monotonic()
        task = progress.add_task(shown(name), total=stream.total, rate=0.0, lost="")

        def advance() -> None:
            rate = stream.delivered / max(1e-6, time.monotonic() - began)
            progress.update(task, completed=stream.delivered, rate=rate, lost=_losses(stream))

        yield advance


def _losses(stream: Stream) -> str:
    parts = []
    if stream.dropped:
        parts.append(f"{stream.dropped} dropped for newer ones")
    if stream.corrupt:
        parts.append(f"{stream.corrupt} corrupt and skipped")
    return ", ".join(parts)


def _say_losses(name: str, stream: Stream) -> None:
    if losses := _losses(stream):
        say(f"{shown(name)}: {stream.delivered} frames, {losses}")


def stem(name: str) -> str:
    """What pictures of a source's frames are called."""
    kind = kind_of(name)
    if kind in ("video", "picture"):
        return os.path.splitext(os.path.basename(name))[0]
    if kind in ("stdin", "gst"):
        return kind
    # Neither a password nor what belongs to no file name.
    text = re.sub(r"\?.*|^[a-z]+://([^/]*@)?", "", name.removeprefix("/dev/"), flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.") or kind


def output_file(path: Path | None) -> bool:
    """Whether --output names a file to write, rather than a folder."""
    return path is not None and path.suffix.lower() in (*VIDEO_OUTPUTS, *PICTURE_OUTPUTS) and not path.is_dir()


def check_output(path: Path, sources: Sequence[Source], selection: Selection) -> None:
    """Refuse a file for --output that cannot hold what comes of the sources.

    Raises:
        OptionError: which, and what to name instead.
        FastYoloError: it is one of the sources.
    """
    for source in sources:
        if path.exists() and os.path.exists(source.path) and path.samefile(source.path):
            raise FastYoloError(f"{shown(path)} is what is read; choose another file, or an output folder")
    if len(sources) > 1:
        raise OptionError(f"--output {shown(path)} is for one source, got {len(sources)}; name a folder")
    is_video = path.suffix.lower() in VIDEO_OUTPUTS
    if is_video and any(source.kind == "picture" for source in sources):
        raise OptionError(f"--output {shown(path)} is a video, but {shown(sources[0].path)} is a picture")
