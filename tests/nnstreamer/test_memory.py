"""What a frame leaves behind: nothing, and nothing of a frame that somebody still holds is overwritten."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest

from fastyolo.detector import BUNDLED_MODEL
from fastyolo.nnstreamer.slots import MAX_SLOTS
from pipeline import Element

MODEL = f"model:{BUNDLED_MODEL}"
# A million takes half a minute; FASTYOLO_FRAMES says how many.
FRAMES = int(os.environ.get("FASTYOLO_FRAMES", "6000"))


@pytest.mark.parametrize("output", ["ssd", "yolov5", "json"])
def test_a_frame_that_is_held_stays_as_it_was(frames: list, output: str) -> None:
    element = Element(f"{MODEL},output:{output}", frames[0])
    held = [element(heads) for heads in frames * 3]  # more than there are slots
    assert len(held) > MAX_SLOTS
    for tensors, heads in zip(held, frames * 3, strict=True):
        for ours, theirs in zip(tensors, Element(f"{MODEL},output:{output}", heads)(heads), strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("output", ["ssd", "yolov5", "json"])
def test_a_frame_that_is_gone_leaves_its_memory_to_the_next(frames: list, output: str) -> None:
    element = Element(f"{MODEL},output:{output}", frames[0])
    flat = [[head.ravel() for head in heads] for heads in frames]
    first = element.filter.invoke(flat[3])
    addresses = [array.ctypes.data for array in first]
    # The list alone is enough to hold a frame, and so is a single array.
    assert [array.ctypes.data for array in element.filter.invoke(flat[1])] != addresses
    kept = first[0]
    del first
    assert element.filter.invoke(flat[1])[0].ctypes.data != addresses[0]
    del kept
    again = element.filter.invoke(flat[1])
    assert [array.ctypes.data for array in again] == addresses
    # What the fuller frame left is gone.
    for ours, theirs in zip(again, Element(f"{MODEL},output:{output}", frames[1]).filter.invoke(flat[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.pc("counts this process's memory")
@pytest.mark.parametrize("output", ["ssd", "yolov5", "json"])
def test_many_frames_take_no_more_memory(frames: list, output: str) -> None:
    element = Element(f"{MODEL},output:{output}", frames[0])
    flat = [[head.ravel() for head in heads] for heads in frames]
    invoke = element.filter.invoke
    for index in range(500):
        invoke(flat[index % len(flat)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for index in range(FRAMES):
        invoke(flat[index % len(flat)])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before <= 512  # kB
