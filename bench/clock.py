"""Times contenders in turns on the same frames."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from contenders.task import Contender

Frame = TypeVar("Frame")
MIN_ROUNDS = 3


def interleave(
    contenders: Sequence[Contender], frames: Sequence[Frame], load: Callable[[Frame], None], seconds: float
) -> npt.NDArray[np.int64]:
    """Nanoseconds, (rounds, frames, contenders).

    In a round each contender goes through all frames, one contender after the other, and each round begins with another
    one: what the machine does to one it does to all, and none runs in the caches and branch predictors that the one
    listed before it left. Before each call `load` writes the frame where the contenders read it, outside the timer.
    Rounds repeat until `seconds` are over, at least three of them. Garbage collection is off, as `timeit` has it.
    """
    for contender in contenders:  # tables, caches and branch predictors: two frames to warm up
        for frame in frames[:2]:
            load(frame)
            contender.prepare()
            contender.timed()
    rounds = []
    gc.collect()
    gc.disable()
    try:
        deadline = perf_counter() + seconds
        while len(rounds) < MIN_ROUNDS or perf_counter() < deadline:
            times = np.zeros((len(frames), len(contenders)), np.int64)
            for turn in range(len(contenders)):
                which = (turn + len(rounds)) % len(contenders)
                for index, frame in enumerate(frames):
                    load(frame)
                    contenders[which].prepare()
                    times[index, which] = contenders[which].timed()
            rounds.append(times)
    finally:
        gc.enable()
    return np.stack(rounds)
