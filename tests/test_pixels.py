"""Every pixel format against OpenCV's conversion, and against the textbook's in float64."""

from __future__ import annotations

from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import Detector
from fastyolo.errors import ImageError, OptionError
from fastyolo.frames.colors import PixelFormat, YuvMatrix, YuvRange
from fastyolo.preprocess import Preprocessor, to_rgb
from matching import iou_table

UInt8 = npt.NDArray[np.uint8]
FORMATS: tuple[PixelFormat, ...] = get_args(PixelFormat)
TO_RGB = {
    "rgb": lambda image: image,
    "bgr": lambda image: image[..., ::-1],
    "rgba": lambda image: image[..., :3],
    "bgra": lambda image: image[..., 2::-1],
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_GRAY2RGB),
    "nv12": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_NV12),
    "yuyv": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YUYV),
}


def shape_of(color: PixelFormat, height: int, width: int) -> tuple[int, ...]:
    if color == "grey":
        return (height, width)
    if color == "nv12":
        return (height * 3 // 2, width)
    return (height, width, {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "yuyv": 2}[color])


def noise(color: PixelFormat, height: int, width: int) -> UInt8:
    """Every byte possible beside every other, colours far outside of RGB among them."""
    return np.random.default_rng(height * width).integers(0, 256, shape_of(color, height, width), np.uint8)


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize("size", [(2, 2), (2, 8), (38, 2), (46, 34), (240, 320), (416, 416), (1080, 1920)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_is_what_opencv_converts_and_resizes(color: PixelFormat, size: tuple[int, int], resize: Any) -> None:
    image = noise(color, *size)
    rgb = np.ascontiguousarray(TO_RGB[color](image))
    tensor = Preprocessor((416, 416), dtype=np.uint8, resize=resize)(image, color=color)[0].astype(int)
    allowed = 2 if color in ("nv12", "yuyv") else 1
    if resize == "stretch":
        expected = cv2.resize(rgb, (416, 416), interpolation=cv2.INTER_LINEAR)
        assert np.abs(tensor - expected).max() <= allowed
    from_rgb = Preprocessor((416, 416), dtype=np.uint8, resize=resize)(rgb)[0]
    assert np.abs(tensor - from_rgb).max() <= allowed


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 700), (700, 1)])
@pytest.mark.parametrize("color", ["rgb", "bgr", "rgba", "bgra", "grey"])
def test_the_smallest_pictures(color: PixelFormat, size: tuple[int, int]) -> None:
    image = noise(color, *size)
    tensor = Preprocessor((32, 48), dtype=np.uint8)(image, color=color)[0].astype(int)
    expected = cv2.resize(np.ascontiguousarray(TO_RGB[color](image)), (48, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(tensor - expected).max() <= 1


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_the_other_dtypes_hold_the_same(color: PixelFormat, dtype: type) -> None:
    image = noise(color, 90, 160)
    steps = Preprocessor((64, 64), dtype=np.uint8)(image, color=color).astype(int)
    tensor = Preprocessor((64, 64), dtype=dtype)(image, color=color)
    if dtype == np.int8:
        np.testing.assert_array_equal(tensor, steps - 128)
    else:
        assert np.abs(tensor * 255 - steps).max() <= 0.55


@pytest.mark.parametrize("color", FORMATS)
def test_any_quantisation(color: PixelFormat) -> None:
    image = noise(color, 90, 160)
    real = Preprocessor((64, 64), dtype=np.float32)(image, color=color)
    tensor = Preprocessor((64, 64), dtype=np.int8, quantization=(0.0078, 3))(image, color=color)
    np.testing.assert_allclose(tensor, np.clip(real / 0.0078 + 3, -128, 127), atol=0.51)


@pytest.mark.parametrize("color", ["rgb", "bgr", "rgba", "bgra", "grey"])
def test_a_picture_of_the_networks_size_is_not_changed(color: PixelFormat) -> None:
    image = noise(color, 64, 96)
    expected = TO_RGB[color](image)
    np.testing.assert_array_equal(Preprocessor((64, 96), dtype=np.uint8)(image, color=color)[0], expected)
    np.testing.assert_allclose(
        Preprocessor((64, 96), dtype=np.float32)(image, color=color)[0], expected / 255, rtol=1e-6
    )


@pytest.mark.parametrize("matrix", get_args(YuvMatrix))
@pytest.mark.parametrize("value_range", get_args(YuvRange))
@pytest.mark.parametrize("color", ["nv12", "yuyv"])
def test_colours_are_the_textbooks(color: PixelFormat, matrix: YuvMatrix, value_range: YuvRange) -> None:
    image = noise(color, 60, 80)
    if color == "nv12":
        luma, chroma = image[:60], image[60:].reshape(30, 40, 2).repeat(2, axis=0).repeat(2, axis=1)
    else:
        luma, chroma = image[..., 0], image[..., 1].reshape(60, 40, 2).repeat(2, axis=1)
    red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    if value_range == "limited":
        y, cb, cr = (np.maximum(luma, 16) - 16.0) / 219, (chroma[..., 0] - 128.0) / 224, (chroma[..., 1] - 128.0) / 224
    else:
        y, cb, cr = luma / 255.0, (chroma[..., 0] - 128.0) / 255, (chroma[..., 1] - 128.0) / 255
    red, blue = y + 2 * (1 - red_weight) * cr, y + 2 * (1 - blue_weight) * cb
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    expected = np.clip(np.stack([red, green, blue], axis=-1), 0, 1) * 255
    ours = to_rgb(image, color, matrix, value_range)
    assert np.abs(ours - expected).max() <= 0.65


def test_grey_stays_grey_and_the_ends_of_the_range_are_reached() -> None:
    luma = np.array([[0, 16, 17, 126, 235, 255]], np.uint8).repeat(2, axis=0)
    image = np.concatenate([luma, np.full((1, 6), 128, np.uint8)])
    rgb = to_rgb(image, "nv12")
    assert (rgb == rgb[..., :1]).all()
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]
    assert to_rgb(image, "nv12", yuv_range="full")[0, :, 0].tolist() == [0, 16, 17, 126, 235, 255]


@pytest.mark.parametrize("color", FORMATS)
def test_padded_rows_and_read_only_memory_are_taken_as_they_are(color: PixelFormat) -> None:
    image = noise(color, 50, 70)
    padded = np.zeros((image.shape[0], image.shape[1] + 10, *image.shape[2:]), np.uint8)
    padded[:, :70] = image
    padded.flags.writeable = False
    prepare = Preprocessor((64, 64))
    np.testing.assert_array_equal(prepare(padded[:, :70], color=color), prepare(image, color=color))
    # Neither rows nor pixels side by side.
    spread = np.zeros((image.shape[0] * 2, image.shape[1] * 3, *image.shape[2:]), np.uint8)
    spread[::2, ::3] = image
    np.testing.assert_array_equal(prepare(spread[::2, ::3], color=color), prepare(image, color=color))


def test_a_channel_axis_of_one_is_grey_too() -> None:
    image = noise("grey", 20, 30)
    prepare = Preprocessor((64, 64))
    np.testing.assert_array_equal(prepare(image[..., np.newaxis], color="grey"), prepare(image, color="grey"))


def test_one_preprocessor_takes_changing_formats() -> None:
    prepare = Preprocessor((32, 32))
    for color in (*FORMATS, *reversed(FORMATS)):
        image = noise(color, 20, 30)
        np.testing.assert_array_equal(prepare(image, color=color), Preprocessor((32, 32))(image, color=color))


@pytest.mark.parametrize(
    ("color", "shape", "said"),
    [
        ("grey", (4, 4, 3), r"\(height, width\) array, got uint8 \(4, 4, 3\)"),
        ("rgba", (4, 4, 3), r"\(height, width, 4\)"),
        ("bgra", (4, 4), r"\(height, width, 4\)"),
        ("nv12", (5, 4), "even"),
        ("nv12", (6, 5), "even"),
        ("nv12", (6, 4, 3), "even"),
        ("yuyv", (6, 5, 2), "width even"),
        ("yuyv", (6, 4), "width even"),
        ("grey", (0, 4), r"\(0, 4\)"),
    ],
)
def test_another_shape_is_refused_by_name(color: PixelFormat, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        Preprocessor((32, 32))(np.zeros(shape, np.uint8), color=color)
    with pytest.raises(ImageError, match="uint8"):
        Preprocessor((32, 32))(np.zeros(shape_of(color, 4, 4), np.float32), color=color)


def test_unknown_options_name_those_there_are() -> None:
    with pytest.raises(OptionError, match="'nv12', 'yuyv', got 'nv21'"):
        Preprocessor((32, 32))(np.zeros((6, 4), np.uint8), color="nv21")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'bt601' or 'bt709', got 'bt2020'"):
        Preprocessor((32, 32), yuv_matrix="bt2020")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'limited' or 'full', got 'jpeg'"):
        Detector(yuv_range="jpeg")  # type: ignore[arg-type]


def test_the_detector_finds_the_same_in_every_format(hopper: UInt8) -> None:
    even = np.ascontiguousarray(hopper[:600, :512])
    height, width = even.shape[:2]
    i420 = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    full = i420[:height].repeat(2).reshape(height, width, 2)
    full[:, ::2, 1] = chroma[0].repeat(2, axis=0)
    full[:, 1::2, 1] = chroma[1].repeat(2, axis=0)
    images: dict[PixelFormat, UInt8] = {
        "rgb": even,
        "bgr": np.ascontiguousarray(even[..., ::-1]),
        "rgba": cv2.cvtColor(even, cv2.COLOR_RGB2RGBA),
        "bgra": cv2.cvtColor(even, cv2.COLOR_RGB2BGRA),
        "nv12": np.concatenate([i420[:height], chroma.transpose(1, 2, 0).reshape(height // 2, width)]),
        "yuyv": full,
    }
    detector = Detector()
    expected = detector(even)
    for color, image in images.items():
        found = detector(image, color=color)
        assert found.orig_shape == (height, width)
        assert found.class_id.tolist() == expected.class_id.tolist(), color
        overlap = iou_table(found.xyxy, expected.xyxy).diagonal()
        assert overlap.min() > (0.9 if color in ("nv12", "yuyv") else 0.9999)  # chroma of half the resolution
        # What is drawn on is the picture, not its bytes.
        assert np.abs(np.asarray(found[:0].plot()).astype(int) - even).mean() < 3
    assert len(detector(cv2.cvtColor(even, cv2.COLOR_RGB2GRAY), color="grey")) >= 1
