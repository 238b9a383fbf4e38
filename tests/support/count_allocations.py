"""Counts the allocations of some frames; test_allocations.py runs it with malloc_counter.c preloaded."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable

import numpy as np

from fastyolo import Decoder, ModelSpec
from golden import FRAMES, QUANTIZATION

NUM_FRAMES = 50


def counted(per_frame: Callable[[], object]) -> float:
    """Allocations per frame: what twice as many frames add, so that whatever else is going on cancels out."""
    count = ctypes.CDLL(None).allocation_count

    def frames(number: int) -> int:
        before: int = count()
        for _ in range(number):
            per_frame()
        after: int = count()
        return after - before

    frames(NUM_FRAMES)
    once, twice = frames(NUM_FRAMES), frames(2 * NUM_FRAMES)
    return (twice - once) / NUM_FRAMES


def counts() -> dict[str, float]:
    spec = ModelSpec.yolov4_tiny()
    with np.load(FRAMES) as frames:
        hopper = [frames["hopper_13"], frames["hopper_26"]]
    real = [np.float32(QUANTIZATION[0]) * (head.astype(np.float32) - QUANTIZATION[1]) for head in hopper]
    everything = [np.full(shape, 4, np.float32) for shape in spec.head_shapes]

    detect = Decoder(spec, quantization=[QUANTIZATION] * 2)
    # Results of 300 rows: NumPy keeps blocks below 1 KiB for itself, so only larger ones show.
    evaluate = Decoder(spec, quantization=[QUANTIZATION] * 2, score_threshold=0.001, multi_label=True)
    fullest = Decoder(spec, score_threshold=0.001, multi_label=True)
    size = (600, 512)
    return {
        "no frame": counted(lambda: None),
        "one array": counted(lambda: np.empty(1000)),
        "rows of a real frame": len(evaluate(hopper, size).xyxy),
        "detect, int8": counted(lambda: detect(hopper, size)),
        "evaluate, int8": counted(lambda: evaluate(hopper, size)),
        "evaluate, float32": counted(lambda: evaluate(real, size)),
        "every box of every class": counted(lambda: fullest(everything, size)),
        "a new image size each time": counted(lambda: [evaluate(hopper, (600, width)) for width in (512, 511)]),
    }


if __name__ == "__main__":
    print(json.dumps(counts()))
