"""Frames of any format, size and layout: the tensor that tidy copies give, or one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from fastyolo.frames.colors import LAYOUTS
from fastyolo.preprocess import Preprocessor
from fuzzing import attempt, values

Array = npt.NDArray[np.uint8]


@st.composite
def planes(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """A plane, whose rows, columns and bytes may lie in any order and distance."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.integers(0, 9)) == 0:
        shape = draw(st.sampled_from([shape[::-1], shape[:-1], (*shape, 2), (0, *shape[1:])]))
    steps = tuple(draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape)
    order = draw(st.permutations(range(len(shape))))
    memory = random.integers(0, 256, [shape[axis] * abs(steps[axis]) for axis in order], np.uint8)
    array = memory.transpose(np.argsort(order))[tuple(slice(None, None, step) for step in steps)]
    return array[tuple(slice(0, side) for side in shape)]


@given(data=st.data())
def test_a_frame_is_its_tidy_copy_or_one_line(data: st.DataObject) -> None:
    color = data.draw(st.sampled_from(sorted(LAYOUTS)))
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 70))
    if data.draw(st.integers(0, 3)):
        height, width = height + height % 2, width + width % 2
    given_planes = tuple(
        data.draw(planes((-(-height // plane.down), -(-width // plane.across), plane.bytes)))
        for plane in LAYOUTS[color].planes
    )
    image: Any = given_planes[0] if len(given_planes) == 1 else given_planes
    size = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 80))
    channels = data.draw(st.sampled_from([3, 1]))
    preprocess = Preprocessor(
        size,
        channels=channels,
        dtype=data.draw(st.sampled_from([np.int8, np.uint8, np.float32])),
        resize=data.draw(st.sampled_from(["stretch", "letterbox"])),
    )
    out = attempt(lambda: preprocess(image, color=color))
    if out is not None:
        assert out.shape == (1, *size, channels)
        tidy = tuple(np.ascontiguousarray(plane) for plane in given_planes)
        np.testing.assert_array_equal(out, preprocess(tidy[0] if len(tidy) == 1 else tidy, color=color))


@given(image=values, color=st.sampled_from(sorted(LAYOUTS)) | values)
def test_anything_else_is_one_line(image: Any, color: Any) -> None:
    preprocess = Preprocessor((32, 32))
    attempt(lambda: preprocess(image))
    attempt(lambda: preprocess(np.zeros((4, 4, 3), np.uint8), color=color))


@given(input_size=st.tuples(st.integers(1, 99), st.integers(1, 99)), quantization=st.tuples(st.floats(), st.floats()))
def test_quantisations_are_checked(input_size: tuple[int, int], quantization: Any) -> None:
    for dtype in (np.int8, np.uint8):
        preprocess = attempt(lambda dtype=dtype: Preprocessor(input_size, dtype=dtype, quantization=quantization))  # type: ignore[misc]
        if preprocess is not None:
            preprocess(np.full((3, 5, 3), 200, np.uint8))
