"""How fast a model is on this machine: loading, the first inference, then every stage, by device and threads."""

from __future__ import annotations

import os
import resource
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from fastyolo.detector import BUNDLED_MODEL, STAGES, Detector
from fastyolo.frames.reading import ImageLike

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
    start = perf_counter()
    detector = Detector(path, device=device, threads=threads)
    loaded = perf_counter()
    first = detector(pictures[0]).speed["inference"]
    for index in range(WARM_UP):
        detector(pictures[index % len(pictures)])
    begin, cpu = perf_counter(), process_time()
    speeds = [detector(pictures[index % len(pictures)]).speed for index in range(runs)]
    wall, cpu = perf_counter() - begin, process_time() - cpu
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
        "cpu": cpu / runs * 1e3,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


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
