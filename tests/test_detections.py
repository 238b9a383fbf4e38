"""Detections: a frozen struct of arrays."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from fastyolo.detections import Detection, Detections
from fastyolo.errors import OptionError

NAMES = ("cat", "dog", "owl")


@pytest.fixture
def three() -> Detections:
    return Detections(
        np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]], np.float32),
        np.array([0.75, 0.5, 0.25], np.float32),
        np.array([2, 0, 7], np.int32),
        NAMES,
        (480, 640),
        {"inference": 1.5},
        "street.jpg",
    )


def test_iterating_gives_plain_python_values_best_first(three: Detections) -> None:
    first, *_ = three
    assert first == Detection((0.0, 1.0, 2.0, 3.0), 0.75, 2, "owl")
    assert [type(value) for value in (*first.xyxy, first.confidence, first.class_id)] == [float] * 5 + [int]
    assert [detection.name for detection in three] == ["owl", "cat", "class 7"]


def test_none_is_empty_and_has_the_right_types() -> None:
    none = Detections.empty(NAMES, (480, 640))
    assert (len(none), list(none), none.names, none.orig_shape) == (0, [], NAMES, (480, 640))
    assert (none.xyxy.shape, none.xyxy.dtype, none.class_id.dtype) == ((0, 4), np.float32, np.int32)
    assert len(none[none.confidence > 0.5]) == 0
    assert len(none[:5]) == 0


@pytest.mark.parametrize(
    ("index", "kept"),
    [
        (0, [2]),
        (-1, [7]),
        (np.int64(1), [0]),
        (np.array(1), [0]),
        (slice(1, None), [0, 7]),
        (slice(None, None, -1), [7, 0, 2]),
        ([2, 0], [7, 2]),
        ([], []),
        (np.array([], np.int64), []),
        (np.array([1, 1]), [0, 0]),
        ([True, False, True], [2, 7]),
        (np.array([False, False, True]), [7]),
        (np.array([False] * 3), []),
    ],
)
def test_selecting_gives_detections_and_keeps_the_rest(three: Detections, index: Any, kept: list[int]) -> None:
    selected = three[index]
    assert isinstance(selected, Detections)
    assert selected.class_id.tolist() == kept
    assert selected.xyxy.shape == (len(kept), 4)
    assert (selected.names, selected.orig_shape, selected.speed, selected.source) == (
        three.names,
        three.orig_shape,
        three.speed,
        three.source,
    )


@pytest.mark.parametrize("index", [3, -4, np.int64(10)])
def test_a_row_beyond_the_end_is_an_index_error(three: Detections, index: Any) -> None:
    with pytest.raises(IndexError, match=f"detection {index} of 3"):
        three[index]


@pytest.mark.parametrize("index", ["name", 1.0, None, (0, 1, 2, 3)])
def test_other_indices_are_refused(three: Detections, index: Any) -> None:
    with pytest.raises((TypeError, IndexError)):
        three[index]


def test_filtering_reads_like_numpy(three: Detections) -> None:
    assert [detection.name for detection in three[three.confidence >= 0.5]] == ["owl", "cat"]
    assert [detection.name for detection in three[three.class_id == 0]] == ["cat"]


def test_names_the_network_does_not_know(three: Detections) -> None:
    assert three.name_of(-1) == "class -1"
    assert three.name_of(3) == "class 3"


def test_it_is_frozen(three: Detections) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        three.names = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("xyxy", "confidence", "class_id"),
    [((2, 4), (3,), (3,)), ((3, 5), (3,), (3,)), ((3, 4), (3,), (2,)), ((4,), (1,), (1,)), ((1, 4), (1, 1), (1,))],
)
def test_arrays_that_do_not_fit_together_are_refused(
    xyxy: tuple[int, ...], confidence: tuple[int, ...], class_id: tuple[int, ...]
) -> None:
    with pytest.raises(OptionError, match="detections need xyxy"):
        Detections(np.zeros(xyxy, np.float32), np.zeros(confidence, np.float32), np.zeros(class_id, np.int32))


def test_the_repr_does_not_print_the_picture(three: Detections) -> None:
    assert "b'source'" not in repr(three)


def test_looking_at_numbers_loads_no_drawing(monkeypatch: pytest.MonkeyPatch, three: Detections) -> None:
    monkeypatch.delitem(sys.modules, "PIL.ImageDraw", raising=False)
    monkeypatch.delitem(sys.modules, "fastyolo.results.render", raising=False)
    three.summary()
    three.to_json()
    three.to_coco(1)
    assert "fastyolo.results.render" not in sys.modules
    assert "PIL.ImageDraw" not in sys.modules


def test_printing_says_the_summary_and_the_boxes(three: Detections) -> None:
    assert str(three).splitlines() == [
        "1 owl, 1 cat, 1 class 7",
        "  owl      0.75       0.0      1.0      2.0      3.0",
        "  cat      0.50       4.0      5.0      6.0      7.0",
        "  class 7  0.25       8.0      9.0     10.0     11.0",
    ]
    assert str(three[:0]) == "nothing found"
    assert str(three[[0] * 12]).splitlines()[-1] == "  ... and 2 more"


def test_they_pickle_as_what_they_are(three: Detections) -> None:
    again = pickle.loads(pickle.dumps(three))
    assert str(again) == str(three)
    assert (again.orig_shape, again.speed, again.source) == (three.orig_shape, three.speed, three.source)
