"""What a network of one channel sees: every pixel format as the plain oracle has it, to the last bit, and OpenCV."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fastyolo.errors import ModelError, OptionError
from fastyolo.frames.colors import Color, YuvRange
from fastyolo.frames.frame import Frame, view_frame
from fastyolo.letterbox import place
from fastyolo.preprocess import Preprocessor
from grey_oracle import grey_of_colors, grey_of_luma, levels

UInt8 = npt.NDArray[np.uint8]
FORMATS: tuple[Color, ...] = get_args(Color)
PACKED = tuple(color for color in FORMATS if "rgb" in color or "bgr" in color)
YUV = tuple(color for color in FORMATS if color not in PACKED and color != "grey")
SIZES = [(2, 2), (2, 8), (38, 2), (46, 34), (90, 160), (428, 640)]
INPUTS = [(64, 96), (33, 44)]


def frame_of(color: Color, height: int, width: int) -> Frame:
    """Noise, every byte possible beside every other."""
    random = np.random.default_rng(height * width)
    if color in PACKED:
        return view_frame(random.integers(0, 256, (height, width, len(color)), np.uint8), color)
    if color in ("yuyv", "uyvy", "yvyu"):
        return view_frame(random.integers(0, 256, (height, width, 2), np.uint8), color)
    rows = {"grey": height, "i422": 2 * height}.get(color, height * 3 // 2)
    return view_frame(random.integers(0, 256, (rows, width), np.uint8), color)


def rgb_of(frame: Frame) -> UInt8:
    first = "x" in frame.color and frame.color.startswith("x")
    pixels = frame.planes[0][..., 1:] if first else frame.planes[0][..., :3]
    return pixels[..., ::-1] if "bgr" in frame.color else pixels


def luma_of(frame: Frame) -> UInt8:
    return frame.planes[0][..., 1 if frame.color == "uyvy" else 0]


def expected_of(frame: Frame, size: tuple[int, int], value_range: YuvRange = "limited") -> npt.NDArray[np.int64]:
    """Grey in 1/128 of a level, by the oracle."""
    if frame.color in PACKED:
        return grey_of_colors(rgb_of(frame), size)
    limited = None if frame.color == "grey" else value_range == "limited"
    return grey_of_luma(luma_of(frame), size, limited=limited)


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize("size", SIZES)
def test_is_the_oracles_grey(color: Color, size: tuple[int, int]) -> None:
    frame = frame_of(color, *size)
    for input_size in INPUTS:
        tensor = Preprocessor(input_size, channels=1, dtype=np.uint8).fill(frame)
        assert tensor.shape == (1, *input_size, 1)
        np.testing.assert_array_equal(tensor[0, ..., 0], levels(expected_of(frame, input_size)))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 700), (700, 1)])
@pytest.mark.parametrize("color", [*PACKED, "grey"])
def test_the_smallest_pictures(color: Color, size: tuple[int, int]) -> None:
    frame = frame_of(color, *size)
    tensor = Preprocessor((32, 44), channels=1, dtype=np.uint8).fill(frame)
    np.testing.assert_array_equal(tensor[0, ..., 0], levels(expected_of(frame, (32, 44))))


@pytest.mark.parametrize("color", FORMATS)
def test_the_other_dtypes_hold_the_same(color: Color) -> None:
    frame = frame_of(color, 90, 160)
    grey = expected_of(frame, (64, 76))
    tensor = Preprocessor((64, 76), channels=1, dtype=np.int8).fill(frame)
    np.testing.assert_array_equal(tensor[0, ..., 0], levels(grey) - 128)
    real = Preprocessor((64, 76), channels=1, dtype=np.float32).fill(frame)
    np.testing.assert_allclose(real[0, ..., 0], grey / 128 / 255, rtol=1e-6, atol=1e-7)
    wide = Preprocessor((64, 76), channels=1, dtype=np.float32, input_range=(-1, 1)).fill(frame)
    np.testing.assert_allclose(wide[0, ..., 0], grey / 128 / 255 * 2 - 1, rtol=1e-6, atol=1e-6)
    steps = Preprocessor((64, 76), channels=1, quantization=(0.0078, 3), input_range=(0, 1)).fill(frame)
    np.testing.assert_allclose(steps[0, ..., 0], np.clip(grey / 128 / 255 / 0.0078 + 3, -128, 127), atol=0.501)


@pytest.mark.parametrize("value_range", get_args(YuvRange))
@pytest.mark.parametrize("color", YUV)
def test_luma_is_spread_as_its_range_says_and_nothing_else_counts(color: Color, value_range: YuvRange) -> None:
    frame = replace(frame_of(color, 90, 160), yuv_range=value_range)
    expected = levels(expected_of(frame, (64, 96), value_range))
    for matrix in ("bt601", "bt709"):
        tensor = Preprocessor((64, 96), channels=1, dtype=np.uint8).fill(replace(frame, yuv_matrix=matrix))
        np.testing.assert_array_equal(tensor[0, ..., 0], expected)
    chosen = Preprocessor((64, 96), channels=1, dtype=np.uint8, yuv_range=value_range)
    np.testing.assert_array_equal(chosen.fill(frame_of(color, 90, 160))[0, ..., 0], expected)


@pytest.mark.parametrize("color", [*PACKED, "grey"])
def test_a_picture_of_the_networks_size_is_opencvs_grey(color: Color) -> None:
    frame = frame_of(color, 64, 100)
    expected = luma_of(frame) if color == "grey" else cv2.cvtColor(rgb_of(frame).copy(), cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(Preprocessor((64, 100), channels=1, dtype=np.uint8).fill(frame)[0, ..., 0], expected)


def test_black_white_and_grey_are_themselves_in_every_format() -> None:
    prepare = Preprocessor((32, 32), channels=1, dtype=np.uint8)
    for level in (0, 1, 77, 128, 254, 255):
        for color in (*PACKED, "grey"):
            frame = frame_of(color, 20, 30)
            flat = replace(frame, planes=tuple(np.full_like(plane, level) for plane in frame.planes))
            assert (prepare.fill(flat) == level).all(), (level, color)
    for luma, level in ((0, 0), (16, 0), (17, 1), (126, 128), (235, 255), (255, 255)):
        for color in YUV:
            frame = frame_of(color, 20, 30)
            flat = replace(frame, planes=tuple(np.full_like(plane, luma) for plane in frame.planes))
            assert (prepare.fill(flat) == level).all(), (luma, color)


@pytest.mark.parametrize("value_range", get_args(YuvRange))
def test_a_scene_has_one_grey_whatever_it_comes_as(value_range: YuvRange) -> None:
    """RGB, its Y'CbCr of BT.601 and its grey differ by rounding alone."""
    rgb = cv2.resize(np.random.default_rng(8).integers(0, 256, (12, 16, 3), np.uint8), (320, 240))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    luma = np.rint(grey * (219 / 255) + 16).astype(np.uint8) if value_range == "limited" else grey
    prepare = Preprocessor((96, 96), channels=1, dtype=np.uint8, yuv_range=value_range)
    expected = prepare(rgb).astype(int)
    chroma = np.random.default_rng(9).integers(0, 256, (120, 160, 2), np.uint8)
    for image, color in ((grey, "grey"), ((luma, chroma), "nv12")):
        assert np.abs(prepare(image, color=color).astype(int) - expected).max() <= 1  # type: ignore[arg-type]


@pytest.mark.parametrize("color", ["rgb", "bgrx", "grey", "nv12", "uyvy"])
@pytest.mark.parametrize("size", [(100, 400), (400, 100), (90, 160)])
def test_letterbox_is_the_resized_picture_on_grey(color: Color, size: tuple[int, int]) -> None:
    frame = frame_of(color, *size)
    tensor = Preprocessor((64, 96), channels=1, dtype=np.uint8, resize="letterbox").fill(frame)[0, ..., 0]
    x, y, width, height = place(size, (64, 96), resize="letterbox")
    inside = np.zeros((64, 96), bool)
    inside[y : y + height, x : x + width] = True
    assert (tensor[~inside] == 128).all()
    np.testing.assert_array_equal(tensor[inside].reshape(height, width), levels(expected_of(frame, (height, width))))
    real = Preprocessor((64, 96), channels=1, dtype=np.float32, resize="letterbox").fill(frame)[0, ..., 0]
    np.testing.assert_allclose(real[~inside], 128 / 255, rtol=1e-6)


@pytest.mark.parametrize("color", FORMATS)
def test_memory_of_any_strides_is_taken_as_it_is(color: Color) -> None:
    frame = frame_of(color, 50, 70)
    prepare = Preprocessor((64, 64), channels=1)
    expected = prepare.fill(frame)
    planes = []
    for plane in frame.planes:
        room = np.full((plane.shape[0] * 2, plane.shape[1] * 3, plane.shape[2]), 77, np.uint8)
        room[::2, ::3] = plane
        planes.append(room[::2, ::3])
    np.testing.assert_array_equal(prepare.fill(replace(frame, planes=tuple(planes))), expected)
    mirrored = tuple(np.ascontiguousarray(plane[::-1, ::-1])[::-1, ::-1] for plane in frame.planes)
    np.testing.assert_array_equal(prepare.fill(replace(frame, planes=mirrored)), expected)


def test_one_preprocessor_takes_changing_formats() -> None:
    prepare = Preprocessor((32, 32), channels=1)
    for color in (*FORMATS, *reversed(FORMATS)):
        frame = frame_of(color, 20, 30)
        np.testing.assert_array_equal(prepare.fill(frame), Preprocessor((32, 32), channels=1).fill(frame))


def test_a_tensor_of_other_channels_is_refused() -> None:
    frame = frame_of("rgb", 8, 8)
    with pytest.raises(ModelError, match=r"must have shape \(1, 32, 32, 1\), got \(1, 32, 32, 3\)"):
        Preprocessor((32, 32), channels=1).fill(frame, np.empty((1, 32, 32, 3), np.int8))
    with pytest.raises(ModelError, match=r"must have shape \(1, 32, 32, 3\), got \(32, 32, 1\)"):
        Preprocessor((32, 32)).fill(frame, np.empty((32, 32, 1), np.int8))
    tensor = np.empty((32, 32, 1), np.int8)
    assert Preprocessor((32, 32), channels=1).fill(frame, tensor) is tensor


@pytest.mark.parametrize("channels", [0, 2, 4, True, None, "3", 3.0, np.ones(3), 10**9])
def test_other_channels_are_refused(channels: Any) -> None:
    with pytest.raises(OptionError, match=r"channels must be 3 \(RGB\) or 1 \(grey\), got"):
        Preprocessor((32, 32), channels=channels)
