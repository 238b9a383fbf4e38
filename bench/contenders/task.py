"""What is asked of a contender, and how one is timed."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy.typing as npt

from fastyolo import ModelSpec


@dataclass(frozen=True)
class DecodeTask:
    """Decode and suppress what lies in `buffers`, the network's outputs, in the order of the spec's heads."""

    spec: ModelSpec
    buffers: tuple[npt.NDArray[Any], ...]
    quantization: tuple[tuple[float, int], ...] | None
    score_threshold: float = 0.25
    multi_label: bool = False
    iou_threshold: float = 0.45
    max_detections: int = 300
    image_size: tuple[int, int] = (480, 640)


class Found(NamedTuple):
    """xyxy in image pixels (N, 4), scores (N,), class ids (N,)."""

    xyxy: npt.NDArray[Any]
    scores: npt.NDArray[Any]
    class_ids: npt.NDArray[Any]


class Contender:
    """One way of doing the work. `prepare` is not timed, `__call__` is."""

    name = ""

    def prepare(self) -> None:
        """Whatever must happen between the arrival of a frame and the timed call; nothing for most."""

    def __call__(self) -> Any:
        raise NotImplementedError

    def timed(self) -> int:
        """Nanoseconds of one call."""
        started = perf_counter_ns()
        self()
        return perf_counter_ns() - started


class DecodeContender(Contender):
    def found(self) -> Found:
        """One call's result, with boxes in image pixels."""
        raise NotImplementedError
