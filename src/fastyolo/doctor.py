"""Is a device well: does it run the model, does it answer as the CPU does, and the same each time.

How far two computations that are both right may be apart is in `runtime.agreement`. The device runs in a process of its
own, whose end by a signal is a finding and not ours, and where what its delegate prints is caught.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastyolo.detections import Detections
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.errors import FastYoloError
from fastyolo.runtime.agreement import Heads, agreement
from fastyolo.runtime.devices import find_chip
from fastyolo.runtime.session import RUNTIMES, open_session
from fastyolo.texts import printable, shortened

Picture = str | npt.NDArray[np.uint8]

REPEATS = 3
PUBLISHED_MS = {"i.MX 8M Plus": (60.0, 175.0), "i.MX 93": (60.0, 200.0), "i.MX 95": (9.5, 70.0)}
"""(NPU, CPU) milliseconds of YOLOv4-tiny at 416 x 416 in int8 that NXP publishes in eIQ's model zoo."""

SURE = 0.5
"""Score of the boxes that both must have."""

_MOST_LINES = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` says what to do about it."""

    what: str
    state: Literal["well", "note", "unwell"]
    says: str
    advice: str = ""


@dataclass
class Run:
    """What one device answered to each picture, `REPEATS` times."""

    device: str
    runtime: str
    ran: dict[str, Any] | None
    shown: str
    order: list[int]
    inputs: Heads = field(default_factory=list)
    heads: list[list[Heads]] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


def diagnose(
    model: str | os.PathLike[str] | None = None,
    *,
    device: str = "cpu",
    pictures: Sequence[Picture] = (),
    threads: int | None = None,
    seconds: float = 600,
) -> dict[str, Any]:
    """Run the model on the CPU and on `device`, and compare; `healthy` and `findings` of the record say how it is.

    Device "cpu" is the CPU under another TFLite runtime, where a second one is installed.

    Args:
        model: path of a .tflite file; None takes the bundled one.
        device: see `Detector`.
        pictures: paths or RGB arrays; none takes three that are made up, in which nothing is to be found.
        seconds: how long the device may take for everything.
    """
    path = Path(model) if model is not None else BUNDLED_MODEL
    pictures = list(pictures) or _made_up()
    findings: list[Finding] = []
    record: dict[str, Any] = {"model": str(path), "device": device, "chip": find_chip()[0], "ran": None}
    cpu = _cpu_run(path, pictures, threads, device, findings)
    runtime = _second_runtime(path, cpu) if cpu is not None and device == "cpu" else "auto"
    run = None
    if cpu is not None or device != "cpu":
        run = _apart(path, device, pictures, threads, seconds, findings, runtime)
    if run is not None:
        record["device"], record["runtime"], record["ran"] = run.device, run.runtime, run.ran
        findings.append(_taken(run, device))
        findings.append(_repeated(run))
        findings.append(_speed(run, record["chip"]))
        if cpu is not None:
            _compare(path, cpu, run, threads, findings, record)
    record["findings"] = [asdict(finding) for finding in findings]
    record["healthy"] = run is not None and all(finding.state != "unwell" for finding in findings)
    return record


def measure(path: Path, device: str, pictures: Sequence[Picture], threads: int | None, runtime: str = "auto") -> Run:
    """Everything that one device answers."""
    detector = Detector(path, device=device, runtime=runtime, threads=threads, allow_cpu=True, score_threshold=0.25)
    session = detector.session
    where = f"{session.runtime} {session.version}"
    ran = session.ran.to_dict() if session.ran else None
    run = Run(session.device, where, ran, str(session.ran or "not told"), [head.index for head in detector._heads])
    detector(np.zeros((8, 8, 3), np.uint8))  # the first one compiles
    for picture in pictures:
        answers: list[Heads] = []
        for _ in range(REPEATS):
            found = detector(picture)
            answers.append([session.output_view(head).copy() for head in detector._heads])
            run.milliseconds.append(found.speed["inference"])
        run.inputs.append(session.input_view().copy())
        run.heads.append(answers)
        run.detections.append(found)
    return run


def _cpu_run(
    path: Path, pictures: Sequence[Picture], threads: int | None, device: str, findings: list[Finding]
) -> Run | None:
    try:
        run = measure(path, "cpu", pictures, threads)
    except FastYoloError as error:
        note = device != "cpu"  # a compiled model has no CPU to be compared with
        findings.append(Finding("CPU", "note" if note else "unwell", str(error), "give the file it was compiled from"))
        return None
    says = f"{run.runtime}, {run.shown}; {statistics.median(run.milliseconds):.1f} ms"
    findings.append(Finding("CPU", "well", says))
    return run


def _second_runtime(path: Path, cpu: Run) -> str:
    """One that runs the model beside the first; "auto", the first again, where there is none."""
    for name in RUNTIMES:
        if name != cpu.runtime.partition(" ")[0]:
            with suppress(FastYoloError):
                return open_session(path, runtime=name).runtime
    return "auto"


def _apart(
    path: Path,
    device: str,
    pictures: Sequence[Picture],
    threads: int | None,
    seconds: float,
    findings: list[Finding],
    runtime: str,
) -> Run | None:
    """`measure` in a process of its own; None and a finding where it does not come back with a result."""
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "said")
        job = pool.submit(_measure_telling, log, path, device, pictures, threads, runtime)
        worker = next(iter(pool._processes.values()))
        try:
            return job.result(timeout=seconds)
        except FastYoloError as error:
            findings.append(Finding("device", "unwell", str(error), "see what the line asks for"))
        except BrokenProcessPool:
            worker.join(5)
            ended = -(worker.exitcode or 0)
            name = signal.Signals(ended).name if ended > 0 else f"exit code {-ended}"
            says = f"the process that ran it ended by {name}"
            findings.append(
                Finding("device", "unwell", says, "try --no-graph-cache; update the delegate and its driver")
            )
        except TimeoutError:
            findings.append(
                Finding("device", "unwell", f"no answer within {seconds:.0f} s", "look into dmesg; restart")
            )
        finally:
            worker.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            findings += _said(log)
    return None


def _measure_telling(
    log: str, path: Path, device: str, pictures: Sequence[Picture], threads: int | None, runtime: str
) -> Run:
    """`measure`, with what native code prints on stderr in `log`."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
    return measure(path, device, pictures, threads, runtime)


def _said(log: str) -> list[Finding]:
    """The delegate's own words, such as which operators it refused and why; not what the runtime always says."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 20)
    except OSError:
        return []
    usual = ("XNNPACK", "Initialized TensorFlow Lite runtime")
    lines = [line for line in dict.fromkeys(map(str.strip, text.splitlines())) if line]
    lines = [line for line in lines if not any(word in line for word in usual)]
    more = f"; and {len(lines) - _MOST_LINES} lines more" if len(lines) > _MOST_LINES else ""
    says = "; ".join(printable(shortened(line, 160)) for line in lines[:_MOST_LINES]) + more
    return [Finding("it says", "note", says)] if lines else []


def _taken(run: Run, asked: str) -> Finding:
    if asked == "cpu":
        return Finding("operators", "well", f"{run.runtime}, {run.shown}")
    if run.ran is None:
        return Finding("operators", "note", "this runtime does not tell who runs which", "take another runtime")
    if not run.ran["device"] and asked != "auto":
        return Finding("operators", "unwell", run.shown, "the device took nothing: look at its driver and the model")
    if run.ran["cpu"]:
        return Finding("operators", "note", run.shown, "what is left to the CPU costs time, and each part a copy")
    return Finding("operators", "well", run.shown)


def _repeated(run: Run) -> Finding:
    changed = sum(
        not all(np.array_equal(first, again) for first, again in zip(answers[0], answer, strict=True))
        for answers in run.heads
        for answer in answers[1:]
    )
    if changed:
        says = f"{changed} of {len(run.heads) * (REPEATS - 1)} repetitions gave another answer to the same picture"
        return Finding("repetition", "unwell", says, "run one thread and one process on it; update the driver")
    return Finding("repetition", "well", f"the same answer {REPEATS} times to each of {len(run.heads)} pictures")


def _compare(
    path: Path, cpu: Run, run: Run, threads: int | None, findings: list[Finding], record: dict[str, Any]
) -> None:
    """Heads and boxes of the device against the CPU's."""
    plain = open_session(path, threads=threads, xnnpack=False)
    ours, theirs = ([answers[0] for answers in one.heads] for one in (cpu, run))
    found = agreement(plain, cpu.order, cpu.inputs, ours, theirs)
    advice = "" if found.well else "its boxes are not the CPU's: do not trust them"
    findings.append(Finding("heads", "well" if found.well else "unwell", str(found), advice))
    record["heads"] = [asdict(head) for head in found.heads]
    finding, record["boxes"] = _boxes(cpu, run)
    findings.append(finding)


def _boxes(cpu: Run, run: Run) -> tuple[Finding, dict[str, float]]:
    """Detections of score `SURE` and more, each of which the other must have at any score, by class and IoU."""
    total, apart = 0, []
    for ours, theirs in zip(cpu.detections, run.detections, strict=True):
        for one, other in ((ours, theirs), (theirs, ours)):
            for box in np.flatnonzero(one.confidence >= SURE):
                total += 1
                if (same := _same_box(one, int(box), other)) is not None:
                    apart.append(abs(float(one.confidence[box] - other.confidence[same])))
    largest, mean = max(apart, default=0.0), statistics.fmean(apart) if apart else 0.0
    numbers = {"sure": total, "found": len(apart), "score_largest": largest, "score_mean": mean}
    if not total:
        says = "nothing was found in these pictures"
        return Finding("boxes", "note", says, "give pictures with --images"), numbers
    says = f"of {total} boxes that one of both is sure of, the other has {len(apart)}"
    if apart:
        says += f", with scores {mean:.3f} apart, at most {largest:.3f}"
    if len(apart) < 0.8 * total:
        return Finding("boxes", "unwell", says, "it sees something else than the CPU"), numbers
    return Finding("boxes", "well", says), numbers


def _same_box(one: Detections, box: int, other: Detections) -> int | None:
    """Which of the other's is this one: of its class, the one that covers it best."""
    overlaps = {
        int(index): _iou(one.xyxy[box], other.xyxy[index])
        for index in np.flatnonzero(other.class_id == one.class_id[box])
    }
    best = max(overlaps, key=overlaps.__getitem__, default=None)
    return best if best is not None and overlaps[best] >= 0.5 else None


def _iou(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared, 1e-9)


def _speed(run: Run, chip: str) -> Finding:
    taken = statistics.median(run.milliseconds)
    says = f"{taken:.1f} ms an inference"
    if chip not in PUBLISHED_MS:
        return Finding("time", "well", says)
    wanted = PUBLISHED_MS[chip][1 if run.device == "cpu" else 0]
    says += f"; NXP publishes {wanted:g} for YOLOv4-tiny at 416 x 416"
    slow = taken > 2 * wanted
    return Finding("time", "note" if slow else "well", says, "look at the governor and at heat" if slow else "")


def _made_up() -> list[Picture]:
    """Three smooth, seeded pictures."""
    from PIL import Image

    random = np.random.default_rng(5)
    small = [random.integers(0, 256, (size, size, 3), np.uint8) for size in (6, 13, 40)]
    return [np.asarray(Image.fromarray(pixels).resize((416, 416), Image.Resampling.BICUBIC)) for pixels in small]
