"""Is a device well: does it run the model, does it answer as the CPU does, and the same each time.

Two CPU computations that are both right differ too, in how they round from layer to layer. How far they do, with and
without XNNPACK on the same pictures, is the measure for the device. It runs in a process of its own, whose end by a
signal is a finding and not ours.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
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
from fastyolo.runtime.devices import find_chip
from fastyolo.runtime.session import RUNTIMES, open_session

Heads = list[npt.NDArray[Any]]
Picture = str | npt.NDArray[np.uint8]

REPEATS = 3
PUBLISHED_MS = {"i.MX 8M Plus": (60.0, 175.0), "i.MX 93": (60.0, 200.0), "i.MX 95": (9.5, 70.0)}
"""(NPU, CPU) milliseconds of YOLOv4-tiny at 416 x 416 in int8 that NXP publishes in eIQ's model zoo."""

_LEAST_STEPS = 0.5
"""Mean difference in quantisation steps that is never held against a device."""


SURE = 0.5


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
    inputs: Heads = field(default_factory=list)
    heads: list[list[Heads]] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """Heads of the device against the CPU's, in quantisation steps (of float heads: hundredths)."""

    equal: float
    largest: float
    mean: float
    bias: float


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
            differences, finding = _compared(path, cpu, run, threads)
            record["heads"] = [asdict(difference) for difference in differences]
            findings += [finding, _boxes(cpu, run)]
    record["findings"] = [asdict(finding) for finding in findings]
    record["healthy"] = run is not None and all(finding.state != "unwell" for finding in findings)
    return record


def measure(path: Path, device: str, pictures: Sequence[Picture], threads: int | None, runtime: str = "auto") -> Run:
    """Everything that one device answers."""
    detector = Detector(path, device=device, runtime=runtime, threads=threads, allow_cpu=True, score_threshold=0.25)
    session = detector.session
    where = f"{session.runtime} {session.version}"
    run = Run(session.device, where, session.ran.to_dict() if session.ran else None, str(session.ran or "not told"))
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
    job = pool.submit(measure, path, device, pictures, threads, runtime)
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
        findings.append(Finding("device", "unwell", says, "try --no-graph-cache; update the delegate and its driver"))
    except TimeoutError:
        findings.append(Finding("device", "unwell", f"no answer within {seconds:.0f} s", "look into dmesg; restart"))
    finally:
        worker.kill()
        pool.shutdown(wait=False, cancel_futures=True)
    return None


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


def _compared(path: Path, cpu: Run, run: Run, threads: int | None) -> tuple[list[Difference], Finding]:
    """The device's heads against the nearer of two CPU computations, measured by how far those are apart."""
    plain = open_session(path, threads=threads, xnnpack=False)
    ours = [answers[0] for answers in cpu.heads]
    theirs = []
    detector_order = [head.index for head in Detector(path, threads=threads)._heads]
    by_index = {tensor.index: tensor for tensor in plain.outputs}
    for pixels in cpu.inputs:
        plain.input_view()[:] = pixels
        plain.invoke()
        theirs.append([plain.output_view(by_index[index]).copy() for index in detector_order])
    device = [answers[0] for answers in run.heads]
    apart = _differences(ours, theirs)
    found = min(_differences(device, ours), _differences(device, theirs), key=lambda d: sum(e.mean for e in d))
    worst = max(found, key=lambda difference: difference.mean)
    limit = max(_LEAST_STEPS, 1.5 * max(difference.mean for difference in apart))
    # Rounding goes both ways: what is nearly all on one side is an offset, however small it is beside rounding.
    tilted = any(abs(head.bias) > max(_LEAST_STEPS, 0.8 * head.mean) for head in found)
    says = (
        f"{worst.equal:.1%} of values equal the CPU's, mean difference {worst.mean:.2f} steps, largest "
        f"{worst.largest:.0f}, on one side {worst.bias:+.2f}; two CPU computations differ by up to "
        f"{max(difference.mean for difference in apart):.2f}"
    )
    if worst.mean > limit or tilted:
        return found, Finding("heads", "unwell", says, "its boxes are not the CPU's: do not trust them")
    return found, Finding("heads", "well", says)


def _differences(one: list[Heads], other: list[Heads]) -> list[Difference]:
    """By head, over all pictures."""
    found = []
    for mine, yours in zip(zip(*one, strict=True), zip(*other, strict=True), strict=True):
        a, b = np.concatenate([x.ravel() for x in mine]), np.concatenate([x.ravel() for x in yours])
        unit = 100.0 if a.dtype.kind == "f" else 1.0
        steps = (a.astype(np.float64) - b.astype(np.float64)) * unit
        size = np.abs(steps)
        found.append(Difference(float((a == b).mean()), float(size.max()), float(size.mean()), float(steps.mean())))
    return found


def _boxes(cpu: Run, run: Run) -> Finding:
    """Detections of score `SURE` and more, each of which the other must have at any score, by class and IoU."""
    missed = total = 0
    for ours, theirs in zip(cpu.detections, run.detections, strict=True):
        for one, other in ((ours, theirs), (theirs, ours)):
            for box in np.flatnonzero(one.confidence >= SURE):
                same = other.xyxy[other.class_id == one.class_id[box]]
                total += 1
                missed += not any(_iou(one.xyxy[box], found) >= 0.5 for found in same)
    if not total:
        return Finding("boxes", "note", "nothing was found in these pictures", "give pictures with --images")
    says = f"of {total} boxes that one of both is sure of, the other has {total - missed}"
    if missed > 0.2 * total:
        return Finding("boxes", "unwell", says, "it sees something else than the CPU")
    return Finding("boxes", "well", says)


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
