"""Does ``fastyolo bench`` agree with ``detect --timing`` and with LiteRT's own benchmark: one run, rounds interleaved.

    python bench/agree.py PICTURE... [--rounds 5] [--threads 1]

Prints the milliseconds of inference by each, the median of the rounds, and the ratios. Exit code 1 where bench is
further than `ROOM` from either; a machine that does something else at the same time says nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fastyolo.detector import BUNDLED_MODEL

ROOM = 1.15
RUNS = 30


def of_bench(pictures: list[str], threads: str) -> float:
    record = json.loads(_fastyolo("bench", *pictures, "--runs", str(RUNS), "--threads", threads, "--format", "json")[0])
    return float(record["rows"][0]["stages"]["inference"]["median"])


def of_timing(pictures: list[str], threads: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        several = _repeated(pictures)
        said = _fastyolo("detect", *several, "--timing", "--threads", threads, "--output", f"{folder}/")[1]
    found = re.search(r"milliseconds \(median of .*?inference ([0-9.]+)", said)
    assert found is not None, said
    return float(found[1])


def of_litert(_pictures: list[str], threads: str) -> float:
    """The tool that comes with ai-edge-litert: the same runtime's newer interface, and noise for a picture."""
    tool = Path(sys.executable).with_name("litert-benchmark")
    with tempfile.NamedTemporaryFile() as result:
        asked = ("--num_runs", str(RUNS), "--warmup_runs", "3", "--num_threads", threads, "--result_json", result.name)
        subprocess.run([tool, "--model", BUNDLED_MODEL, *asked], capture_output=True, check=True)
        return float(json.loads(Path(result.name).read_text())["latency"]["median_ms"])


def _repeated(pictures: list[str]) -> list[str]:
    return (pictures * (RUNS // len(pictures) + 1))[: max(RUNS, len(pictures))]


def _fastyolo(*arguments: str) -> tuple[str, str]:
    run = subprocess.run([sys.executable, "-m", "fastyolo", *arguments], capture_output=True, text=True, check=True)
    return run.stdout, run.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1")
    given = parser.parse_args()
    ways: dict[str, Callable[[list[str], str], float]] = {
        "fastyolo bench": of_bench,
        "detect --timing": of_timing,
        "litert-benchmark": of_litert,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            times[name].append(way(given.pictures, given.threads))
    ours = statistics.median(times["fastyolo bench"])
    worst = 1.0
    for name, found in times.items():
        ratio = ours / statistics.median(found)
        worst = max(worst, ratio, 1 / ratio)
        print(
            f"{name:<17} {statistics.median(found):6.2f} ms ({min(found):.2f} to {max(found):.2f}); ratio {ratio:.3f}"
        )
    return int(worst > ROOM)


if __name__ == "__main__":
    sys.exit(main())
