"""Heads against the CPU's where it has one way of rounding, as under tflite-runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.runtime.agreement import Agreement, Heads, agreement
from fastyolo.runtime.session import Session, open_session

Case = tuple[Session, list[int], Heads, list[Heads], list[Heads]]


@pytest.fixture(scope="module")
def case(hopper_path: Path) -> Case:
    """The plain kernels' session, the order of heads, the input, what they answer, and what XNNPACK does."""
    detector, plain = Detector(), open_session(BUNDLED_MODEL, xnnpack=False)
    detector(str(hopper_path))
    pixels = detector.session.input_view().copy()
    plain.input_view()[:] = pixels
    plain.invoke()
    answers = [[session.output_view(head).copy() for head in detector._heads] for session in (plain, detector.session)]
    return plain, [head.index for head in detector._heads], [pixels], answers[:1], answers[1:]


def against_one_way(case: Case, device: Any) -> Agreement:
    plain, order, inputs, ours, _ = case
    found = agreement(plain, order, inputs, ours, [device])
    assert found.ways == 1
    assert "pixels one step off change the CPU's by up to" in str(found)
    return found


def test_another_way_of_rounding_is_no_fault(case: Case) -> None:
    _, _, _, (plain,), (xnnpack,) = case
    found = against_one_way(case, xnnpack)
    assert found.worst.mean > 1
    assert found.well
    assert against_one_way(case, plain).well


def test_an_offset_and_another_picture_are(case: Case) -> None:
    _, _, _, (plain,), _ = case
    offset = [np.clip(head.astype(np.int16) + 3, -128, 127).astype(np.int8) for head in plain]
    assert not against_one_way(case, offset).well
    assert not against_one_way(case, [head[:, ::-1] for head in plain]).well


def test_where_there_are_two_ways_they_are_the_measure(case: Case) -> None:
    plain, order, inputs, (ours,), (xnnpack,) = case
    for device in (ours, xnnpack):
        found = agreement(plain, order, inputs, [xnnpack], [device])
        assert (found.ways, found.well, found.worst.mean) == (2, True, 0)
