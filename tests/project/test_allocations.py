"""A reused `Decoder` allocates nothing for a frame but the frame's result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastyolo import Decoder, DecodeResult, ModelSpec
from golden import FRAMES, QUANTIZATION
from places import DATA, TESTS

NUM_FRAMES = 50


@pytest.fixture(scope="module")
def malloc_counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("malloc") / "libcounter.so"
    source = DATA / "malloc_counter.c"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Werror", "-fno-builtin", "-shared", "-fPIC", "-o", library, source], check=True
    )
    return library


@pytest.fixture(scope="module")
def counts(malloc_counter: Path) -> Callable[[str], dict[str, float]]:
    """Allocations per frame with Python's objects in "pymalloc", its own memory, or taken from "malloc" too."""

    def run(python_objects: str) -> dict[str, float]:
        environment = {**os.environ, "LD_PRELOAD": str(malloc_counter), "PYTHONMALLOC": python_objects}
        command = [sys.executable, TESTS / "support" / "count_allocations.py"]
        found: dict[str, float] = json.loads(subprocess.check_output(command, env=environment, text=True, timeout=120))
        return found

    return run


def test_memory_is_asked_for_only_to_hold_the_three_arrays_of_the_result(
    counts: Callable[[str], dict[str, float]],
) -> None:
    found = counts("pymalloc")
    assert found["no frame"] == 0
    assert found["one array"] == 1, "the counter must count"
    assert found["rows of a real frame"] == 300
    assert found["detect, int8"] <= 3
    assert found["evaluate, int8"] <= 3
    assert found["evaluate, float32"] <= 3
    assert found["every box of every class"] <= 3
    assert found["a new image size each time"] <= 2 * 3


def test_how_much_there_is_to_decode_does_not_change_the_number_of_allocations(
    counts: Callable[[str], dict[str, float]],
) -> None:
    """Python's own objects counted: 202,800 candidates cost as many as the few thousand of a real frame."""
    found = counts("malloc")
    assert found["one array"] == 2, "the array and its data"
    assert found["every box of every class"] == found["evaluate, float32"] == found["evaluate, int8"]
    # The result and what leads to it: shapes, numbers, what NumPy tells C of an array; not a pile of objects.
    assert found["evaluate, float32"] < 20


@pytest.fixture
def hopper_heads() -> list[np.ndarray]:
    with np.load(FRAMES) as frames:
        return [frames["hopper_13"], frames["hopper_26"]]


def test_memory_grows_by_the_results_that_are_kept_and_by_nothing_else(hopper_heads: list[np.ndarray]) -> None:
    decoder = Decoder(ModelSpec.yolov4_tiny(), quantization=[QUANTIZATION] * 2, score_threshold=0.001, multi_label=True)
    model = decoder(hopper_heads, (600, 512))
    decoded, _ = _memory_of(lambda: decoder(hopper_heads, (600, 512)))
    copied, _ = _memory_of(lambda: DecodeResult(*(array.copy() for array in model)))
    assert sum(array.nbytes for array in model) < copied / NUM_FRAMES < 10_000
    # NumPy keeps with an array how it was once described to C: 40 bytes for each of the three.
    assert decoded < copied + NUM_FRAMES * (3 * 40 + 16)


def test_dropped_results_leave_nothing_behind(hopper_heads: list[np.ndarray]) -> None:
    decoder = Decoder(ModelSpec.yolov4_tiny(), quantization=[QUANTIZATION] * 2, score_threshold=0.001, multi_label=True)
    result_bytes = sum(array.nbytes for array in decoder(hopper_heads, (600, 512)))

    def drop() -> None:
        decoder(hopper_heads, (600, 512))

    grown, peak = _memory_of(drop)
    assert grown < 500
    assert result_bytes < peak < result_bytes + 2000


def _memory_of(per_frame: Callable[[], DecodeResult | None]) -> tuple[int, int]:
    """Bytes that NUM_FRAMES calls leave allocated while their results are kept, and the peak on the way."""
    kept = [per_frame() for _ in range(NUM_FRAMES)]
    kept = [None] * NUM_FRAMES
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for index in range(NUM_FRAMES):
            kept[index] = per_frame()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before, peak - before
