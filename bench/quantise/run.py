"""Compare recipes of int8 quantisation on calibration pictures alone; see README.md."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from agreement import Heads, agreement
from candidates import BASELINE, CANDIDATES, Split

from fastyolo.darknet import read_cfg, read_weights, spec_from_cfg
from fastyolo.export.build import build_graph, supported_layers
from fastyolo.export.calibrate import Observer, Statistics, calibrate
from fastyolo.export.fetch import OFFICIAL_CFG, fetch_weights
from fastyolo.export.graph import Graph
from fastyolo.export.pictures import Pictures, find_pictures
from fastyolo.names import COCO_NAMES
from fastyolo.spec import ModelSpec

FOLDS = 4
Fold = tuple[int, int]
"""(seed, number) of a split."""

Gathered = tuple[dict[int, Heads], dict[Fold, dict[str, Statistics]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("FASTYOLO_COCO", "../shared/coco")) / "train2017"
    parser.add_argument("--images", type=Path, default=default, help="pictures to calibrate and score on")
    parser.add_argument("--seeds", type=int, default=5, help="how many times the pictures are shuffled into folds")
    parser.add_argument("--candidates", nargs="*", default=list(CANDIDATES), help="names; default all")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path, help="write every single result here")
    options = parser.parse_args()
    names = list(dict.fromkeys([BASELINE, *options.candidates]))
    work = _Work(options.images, options.seeds, names)
    with tempfile.TemporaryDirectory() as folder:
        # Not in this process: a TFLite runtime that has run before a fork hangs after it.
        parts = _in_processes(
            options.processes, work, _gather, [(index, options.processes, folder) for index in range(options.processes)]
        )
        for part in parts:
            work.add(pickle.loads(Path(part).read_bytes()))
    rows = []
    for fold, results in zip(work.folds, _in_processes(options.processes, work, _run_fold, work.folds), strict=True):
        rows += [{"seed": fold[0], "fold": fold[1], "candidate": name, **row} for name, row in results.items()]
        if options.json is not None:
            options.json.write_text(json.dumps(rows, indent=1))
        print(f"seed {fold[0]}, fold {fold[1]} done", flush=True)
    print("\n".join(table(rows, [name for name in CANDIDATES if name in names])))


class _Work:
    """What all processes share: pictures, and once they are gathered float heads and statistics of each split."""

    def __init__(self, images: Path, seeds: int, names: Sequence[str]) -> None:
        self.names = names
        self.graph, self.spec = _official_network()
        self.pictures = list(Pictures(find_pictures(images), self.spec.input_size, "stretch"))
        self.folds = [(seed, fold) for seed in range(seeds) for fold in range(FOLDS)]
        self.heads: dict[int, Heads] = {}
        self.statistics: dict[Fold, dict[str, Statistics]] = {}

    def gather(self, indices: Sequence[int]) -> Gathered:
        """Heads of some pictures, and what they give to every split that calibrates on them."""
        heads = {}
        statistics: dict[Fold, dict[str, Statistics]] = {}
        for index in indices:
            picture = self.pictures[index]
            (found,) = Observer(self.graph, self.graph.heads).run([picture])
            heads[index] = {name: values.copy() for name, values in found.items()}
            gathered = calibrate(self.graph, self.spec, [picture], seed=index)
            for fold in self.folds:
                if index in self.calibrating(fold):
                    self._add(statistics, fold, gathered)
        return heads, statistics

    def add(self, gathered: Gathered) -> None:
        heads, statistics = gathered
        self.heads |= heads
        for fold, found in statistics.items():
            self._add(self.statistics, fold, found)

    def _add(self, total: dict[Fold, dict[str, Statistics]], fold: Fold, found: Mapping[str, Statistics]) -> None:
        known = total.setdefault(fold, {})
        for name, statistics in found.items():
            known.setdefault(name, Statistics(self.graph.shapes[name][2])).update(statistics)

    def scored(self, fold: Fold) -> list[int]:
        shuffled = np.random.default_rng(fold[0]).permutation(len(self.pictures))
        return sorted(shuffled[fold[1] :: FOLDS].tolist())

    def calibrating(self, fold: Fold) -> list[int]:
        return sorted(set(range(len(self.pictures))) - set(self.scored(fold)))

    def run(self, fold: Fold) -> dict[str, dict[str, Any]]:
        split = Split(
            self.graph, self.spec, self.statistics[fold], [self.pictures[index] for index in self.calibrating(fold)]
        )
        scored = self.scored(fold)
        results = {}
        for name in self.names:
            start = time.perf_counter()
            graph, quantization = CANDIDATES[name](split)
            seconds = time.perf_counter() - start
            found = list(Observer(graph, graph.heads, quantization).run([self.pictures[index] for index in scored]))
            score = agreement(self.spec, [self.heads[index] for index in scored], found)
            results[name] = {**asdict(score), "seconds": seconds}
        return results


_work: _Work


def _in_processes(count: int, work: _Work, function: Callable[[Any], Any], arguments: Sequence[Any]) -> Iterator[Any]:
    """Results in the order of the arguments; each process gets one core and its own copy of `work`."""
    global _work
    _work = work
    with multiprocessing.get_context("fork").Pool(count, initializer=_take_one_core) as pool:
        yield from pool.imap(function, arguments)


def _gather(argument: tuple[int, int, str]) -> str:
    part, parts, folder = argument
    path = Path(folder) / f"{part}.pickle"
    path.write_bytes(pickle.dumps(_work.gather(range(part, len(_work.pictures), parts)), pickle.HIGHEST_PROTOCOL))
    return str(path)


def _run_fold(fold: Fold) -> dict[str, dict[str, Any]]:
    return _work.run(fold)


def _take_one_core() -> None:
    number = multiprocessing.current_process()._identity[0]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    """Markdown: mean and standard deviation over the splits, and the paired difference with its standard error."""
    values = {name: np.array([_numbers(row) for row in rows if row["candidate"] == name]) for name in names}
    titles = (
        "candidate",
        "AP50",
        "AP",
        "difference in AP50",
        "difference in AP",
        "error",
        "SNR 13x13",
        "26x26",
        "seconds",
    )
    yield f"| {' | '.join(titles)} |"
    yield "|" + " --- |" * len(titles)
    for name in names:
        mean, spread = values[name].mean(axis=0), values[name].std(axis=0, ddof=1)
        difference = values[name] - values[BASELINE]
        change = difference.mean(axis=0)
        doubt = difference.std(axis=0, ddof=1) / len(difference) ** 0.5
        cells = [f"{mean[i]:.2f} +- {spread[i]:.2f}" for i in (0, 1)]
        cells += [f"{change[i]:+.2f} +- {doubt[i]:.2f}" for i in (0, 1)]
        cells += [f"{mean[2]:.3f}"] + [f"{mean[i]:.1f}" for i in (3, 4)] + [f"{mean[5]:.0f}"]
        yield f"| {name} | {' | '.join(cells)} |"


def _numbers(row: Mapping[str, Any]) -> list[float]:
    return [row["ap50"], row["ap"], row["error"], *row["snr"], row["seconds"]]


def _official_network() -> tuple[Graph, ModelSpec]:
    description = read_cfg(OFFICIAL_CFG)
    numbers, _ = read_weights(fetch_weights(), supported_layers(description))
    return build_graph(description, numbers), spec_from_cfg(description, COCO_NAMES)


if __name__ == "__main__":
    main()
