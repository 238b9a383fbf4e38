"""How fast a model is on this machine: loading, the first inference, then every stage, by device and threads.

Which operators take how long is not told: no TFLite runtime's Python interface gives it.
"""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from fastyolo.detector import BUNDLED_MODEL, STAGES, Detector
from fastyolo.frames.reading import ImageLike, as_frame
from fastyolo.sources.source import FrameSource, Pending
from fastyolo.streaming import stream

WARM_UP = 3


def bench(
    model: str | os.PathLike[str] | None = None,
    *,
    pictures: Sequence[ImageLike],
    devices: Sequence[str] = ("cpu",),
    threads: Sequence[int | None] = (None,),
    runs: int = 50,
) -> dict[str, Any]:
    """Time the model on every device with every number of threads; times are in milliseconds.

    Raises what `Detector` does.
    """
    path = Path(model) if model is not None else BUNDLED_MODEL
    rows = [_row(path, pictures, device, count, runs) for device in devices for count in threads]
    return {"model": str(path), "runs": runs, "rows": rows}


def _row(path: Path, pictures: Sequence[ImageLike], device: str, threads: int | None, runs: int) -> dict[str, Any]:
    reset = _forget_peak()
    start = perf_counter()
    detector = Detector(path, device=device, threads=threads)
    loaded = perf_counter()
    first = detector(pictures[0]).speed["inference"]
    for index in range(WARM_UP):
        detector(pictures[index % len(pictures)])
    begin, cpu = perf_counter(), process_time()
    speeds = [detector(pictures[index % len(pictures)]).speed for index in range(runs)]
    wall, cpu = perf_counter() - begin, process_time() - cpu
    with stream(_Pictures(pictures, runs, detector), detector=detector) as found:
        begin = perf_counter()
        together = sum(1 for _ in found)
        pipelined = perf_counter() - begin
    session = detector.session
    return {
        "device": session.device,
        "threads": session.threads,
        "runtime": f"{session.runtime} {session.version}",
        "ran": str(session.ran) if session.ran is not None else None,
        "load": (loaded - start) * 1e3,
        "first": first,
        "stages": {stage: _summary([speed[stage] for speed in speeds]) for stage in STAGES},
        "per_second": runs / wall,
        "per_second_pipelined": together / pipelined,
        "cpu": cpu / runs * 1e3,
        "peak_mb": _peak_mb(since_reset=reset),
    }


class _Pictures(FrameSource):
    """The same pictures as a video's frames: read, prepared and detected on side by side."""

    name = "pictures"

    def __init__(self, pictures: Sequence[ImageLike], runs: int, detector: Detector) -> None:
        self._pictures, self._runs, self.frames = pictures, runs, runs
        self._read = partial(as_frame, color="rgb", needed=detector._needed, max_pixels=detector.max_pixels)

    def __iter__(self) -> Iterator[Pending]:
        for index in range(self._runs):
            picture = self._pictures[index % len(self._pictures)]
            yield Pending(index, None, None, partial(self._read, picture))


def _forget_peak() -> bool:
    """Begin to measure the peak of memory anew, so that a row is not charged with those before it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        return False
    return True


def _peak_mb(*, since_reset: bool) -> float:
    """The most memory of this process, of its whole life where the system cannot tell of less."""
    if since_reset:
        with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """A line for every stage that is faster or slower than in an older record by more than both records' noise."""
    lines = []
    old = {(row["device"], row["threads"]): row for row in before["rows"]}
    for row in now["rows"]:
        other = old.get((row["device"], row["threads"]))
        if other is None:
            continue
        for stage, new in row["stages"].items():
            was = other["stages"][stage]
            change, noise = new["median"] - was["median"], max(new["spread"], was["spread"])
            if abs(change) > max(noise, 0.02 * was["median"]):
                word = "slower" if change > 0 else "faster"
                shown = f"{was['median']:.2f} -> {new['median']:.2f} ms (noise {noise:.2f})"
                lines.append(f"{row['device']}, {row['threads']} threads, {stage}: {word}, {shown}")
    return lines


def _summary(times: list[float]) -> dict[str, float]:
    """Median, percentiles, and the spread between the quartiles, which is taken for noise."""
    ordered = sorted(times)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]

    return {"median": statistics.median(times), "p90": at(0.9), "p99": at(0.99), "spread": at(0.75) - at(0.25)}
