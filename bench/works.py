"""The kinds of work: who takes part, on which frames, and what is compared before the clock starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from clock import interleave
from contenders import preprocessing
from contenders.edgefirst_decoder import EdgeFirst
from contenders.floor import Floor
from contenders.numpy_opencv import NumpyOpenCV
from contenders.ours import OurFunction, Ours
from contenders.recipe import Recipe
from contenders.task import Contender, DecodeContender, DecodeTask
from contenders.whole import STAGES, OurDetector, RecipeDetector
from differences import Differences
from fastyolo.frames.picture import load_image
from heads import Frames, Heads, Network
from report import OURS, Row, rows_of

Builds = dict[str, dict[str, ModuleType]]
IN_GROUPS = (OURS, NumpyOpenCV.name, EdgeFirst.name, Floor.name)
CAP = 300
"""Candidates that edgefirst-decoder's own default keeps for NMS."""


def decode(
    work: str, frames: Frames, builds: Builds, seconds: float, *, groups: bool = False, **options: Any
) -> list[Row]:
    """Decoding and NMS; with `groups` also apart for frames with few, some and many detections."""
    buffers = tuple(np.empty_like(head) for head in frames.heads[0])
    task = DecodeTask(frames.spec, buffers, frames.quantization, **options)
    contenders: list[DecodeContender] = [
        *(Ours(task, modules, name) for name, modules in builds.items()),
        OurFunction(task),
        NumpyOpenCV(task),
        EdgeFirst(task),
    ]
    if task.multi_label:
        contenders.append(EdgeFirst(task, best_candidates=CAP))
        if not frames.all_pass:  # where it takes minutes a frame
            contenders.append(NumpyOpenCV(task, all_at_once=True))
    else:
        contenders += [EdgeFirst(task, with_copy=True), Recipe(task)]

    def load(heads: Heads) -> None:
        for buffer, head in zip(buffers, heads, strict=True):
            np.copyto(buffer, head)

    differences = [Differences() for _ in contenders]
    counts = []
    for heads in frames.heads:
        load(heads)
        ours = contenders[0].found()
        counts.append(len(ours.scores))
        for contender, difference in zip(contenders, differences, strict=True):
            contender.prepare()
            difference.add(ours, contender.found())
    everyone: list[Contender] = [*contenders, Floor(task)]
    names = [contender.name for contender in everyone]
    texts = [*map(str, differences), ""]
    _announce(work, names, texts)
    times = interleave(everyone, frames.heads, load, seconds)
    rows = rows_of(work, names, times, texts)
    for label, chosen in _groups(counts).items() if groups else ():
        fewest, most = min(counts[index] for index in chosen), max(counts[index] for index in chosen)
        title = f"{work}, {label} frames ({fewest} to {most} detections)"
        rows += [row for row in rows_of(title, names, times[:, chosen]) if row.contender in IN_GROUPS]
    return rows


def after_invoke(work: str, images: Sequence[npt.NDArray[np.uint8]], builds: Builds, seconds: float) -> list[Row]:
    """Decoding right after a real invoke(), whose code and tensors are what the caches hold then."""
    network = Network()
    task = DecodeTask(network.spec, network.buffers, network.quantization)
    contenders: list[DecodeContender] = [
        *(Ours(task, modules, name) for name, modules in builds.items()),
        NumpyOpenCV(task),
        EdgeFirst(task, with_copy=True),
        Recipe(task),
    ]
    tensors = [network.tensor(image) for image in images[:32]]
    differences = [Differences() for _ in contenders]
    for tensor in tensors:
        network.invoke(tensor)
        for contender, difference in zip(contenders, differences, strict=True):
            difference.add(contenders[0].found(), contender.found())
    everyone: list[Contender] = [*contenders, Floor(task)]
    names = [contender.name for contender in everyone]
    texts = [*map(str, differences), ""]
    _announce(work, names, texts)
    return rows_of(work, names, interleave(everyone, tensors, network.invoke, seconds), texts)


def _announce(work: str, names: Sequence[str], differences: Sequence[str]) -> None:
    """Say what each contender's result is worth before it is timed."""
    print(f"\n{work}: what differs from fastyolo's results")
    for name, difference in zip(names[1:], differences[1:], strict=True):
        if difference:
            print(f"  {name}: {difference}", flush=True)


def _groups(counts: Sequence[int]) -> dict[str, npt.NDArray[np.intp]]:
    """The quarter of the frames with the fewest detections, the half between, the quarter with the most."""
    order = np.argsort(counts, kind="stable")
    quarter = len(order) // 4
    return {"sparse": order[:quarter], "typical": order[quarter:-quarter], "crowded": order[-quarter:]}


def preprocess(
    work: str, images: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int], builds: Builds, seconds: float, *,
    nv12: bool = False,
) -> list[Row]:  # fmt: skip
    """Resizing and quantising pictures that were brought to (height, width) `size` before."""
    frames = [cv2.resize(image, size[::-1]) for image in images[:32]]
    if nv12:
        frames = [preprocessing.nv12_of(frame) for frame in frames]
    buffer = np.empty_like(frames[0])
    contenders = (preprocessing.of_nv12 if nv12 else preprocessing.of_rgb)(buffer, builds)
    largest, total = np.zeros(len(contenders)), np.zeros(len(contenders))
    for frame in frames:
        np.copyto(buffer, frame)
        ours = contenders[0]().astype(np.int16)
        for index, contender in enumerate(contenders):
            steps = np.abs(contender().astype(np.int16) - ours)
            largest[index] = max(largest[index], steps.max())
            total[index] += steps.mean() / len(frames)
    differences = [f"within {most:.0f} steps, {mean:.3f} on average" for most, mean in zip(largest, total, strict=True)]
    names = [contender.name for contender in contenders]
    _announce(work, names, differences)
    times = interleave(contenders, frames, lambda frame: np.copyto(buffer, frame), seconds)
    return rows_of(work, names, times, differences)


def whole(work: str, paths: Sequence[Path], seconds: float, *, pixels: bool) -> list[Row]:
    """Everything around invoke(), from JPEG files or from their pixels; then each stage by itself."""
    sources: list[Any] = [load_image(path) for path in paths] if pixels else list(paths)
    contenders = [OurDetector(), RecipeDetector()]

    def load(source: Any) -> None:
        for contender in contenders:
            contender.source = source

    times = interleave(contenders, sources, load, seconds)
    rows = rows_of(work, [OURS if isinstance(one, OurDetector) else one.name for one in contenders], times)
    for stage in STAGES:
        for contender in contenders:
            stage_times = np.array(contender.stages[stage])[:, None, None] * 1e3
            name = OURS if isinstance(contender, OurDetector) else contender.name
            rows += rows_of(f"{work}: {stage}", [name], stage_times)
    return rows
