"""Pixels -> tensor, against a plain float64 bilinear resize and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fastyolo.errors import ImageError, ModelError, OptionError
from fastyolo.letterbox import place
from fastyolo.preprocess import Preprocessor

SIZES = [(1, 1), (1, 7), (3, 2), (13, 1000), (416, 416), (427, 640), (720, 1280), (1000, 37)]


def picture(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def bilinear(image: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float64]:
    """Half-pixel centres, edges repeated, no antialias; unrounded."""

    def along(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
        source = (np.arange(count) + 0.5) * (len(values) / count) - 0.5
        first = np.floor(source).astype(int)
        fraction = (source - first).reshape(-1, 1, 1)
        upper = values[np.clip(first, 0, len(values) - 1)]
        lower = values[np.clip(first + 1, 0, len(values) - 1)]
        return upper * (1 - fraction) + lower * fraction

    rows = along(image.astype(np.float64), height)
    return along(rows.transpose(1, 0, 2), width).transpose(1, 0, 2)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("input_size", [(416, 416), (256, 416), (64, 32)])
def test_stretch_matches_a_plain_bilinear_resize(height: int, width: int, input_size: tuple[int, int]) -> None:
    image = picture(height, width)
    tensor = Preprocessor(input_size, dtype=np.uint8)(image)
    assert tensor.shape == (1, *input_size, 3)
    # Rounding apart, only the 1/2048 grid of the weights separates the two.
    assert np.abs(tensor[0] - bilinear(image, *input_size)).max() <= 0.5 + 255 * 2 / 2048 / 2


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_stretch_is_within_one_step_of_opencv(height: int, width: int) -> None:
    image = picture(height, width)
    ours = Preprocessor((416, 416), dtype=np.uint8)(image)[0].astype(int)
    assert np.abs(ours - cv2.resize(image, (416, 416), interpolation=cv2.INTER_LINEAR)).max() <= 1


def test_int8_is_the_pixel_less_128() -> None:
    image = picture(416, 416)
    tensor = Preprocessor((416, 416), dtype=np.int8, quantization=(np.float32(1 / 255).item(), -128))(image)
    assert tensor.dtype == np.int8
    np.testing.assert_array_equal(tensor[0], image.astype(int) - 128)


def test_float32_is_the_pixel_over_255() -> None:
    image = picture(416, 416)
    np.testing.assert_allclose(Preprocessor((416, 416), dtype=np.float32)(image)[0], image / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [(np.int8, 0.0078, 0), (np.uint8, 0.01, 3), (np.int8, 0.002, -128)]
)
def test_any_quantisation_rounds_and_saturates(dtype: type, scale: float, zero_point: int) -> None:
    image = picture(416, 416)
    tensor = Preprocessor((416, 416), dtype=dtype, quantization=(scale, zero_point), input_range=(0, 1))(image)
    limits = np.iinfo(dtype)
    exact = np.clip(image / 255 / scale + zero_point, limits.min, limits.max)
    assert np.abs(tensor[0] - exact).max() <= 0.5 + 1e-4


def test_bgr_is_turned_into_rgb() -> None:
    image = picture(50, 70)
    prepare = Preprocessor((416, 416))
    np.testing.assert_array_equal(prepare(image[..., ::-1].copy(), color="bgr"), prepare(image, color="rgb"))


def test_any_strides_work_without_a_copy() -> None:
    image = picture(200, 300)
    prepare = Preprocessor((64, 64))
    expected = prepare(np.ascontiguousarray(image[150:20:-2, 30:280:3]))
    np.testing.assert_array_equal(prepare(image[150:20:-2, 30:280:3]), expected)
    read_only = image.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(prepare(read_only), prepare(image))


@pytest.mark.parametrize(("height", "width"), [(100, 400), (400, 100), (427, 640), (1, 1), (1, 5000), (5000, 1)])
def test_letterbox_is_the_resized_picture_on_grey(height: int, width: int) -> None:
    image = picture(height, width)
    tensor = Preprocessor((416, 416), dtype=np.uint8, resize="letterbox")(image)[0]
    x, y, placed_width, placed_height = place((height, width), (416, 416), resize="letterbox")
    inside = np.zeros((416, 416), bool)
    inside[y : y + placed_height, x : x + placed_width] = True
    assert (tensor[~inside] == 128).all()
    expected = Preprocessor((placed_height, placed_width), dtype=np.uint8)(image)[0]
    np.testing.assert_array_equal(tensor[inside].reshape(expected.shape), expected)


def test_letterbox_grey_is_quantised_too() -> None:
    image = picture(10, 100)
    assert Preprocessor((64, 64), dtype=np.int8, resize="letterbox")(image)[0, 0, 0, 0] == 0
    assert Preprocessor((64, 64), dtype=np.float32, resize="letterbox")(image)[0, 0, 0, 0] == pytest.approx(128 / 255)


def test_writes_into_the_tensor_it_is_given() -> None:
    image = picture(30, 40)
    prepare = Preprocessor((32, 32))
    tensor = np.empty((1, 32, 32, 3), np.int8)
    assert prepare(image, tensor) is tensor
    np.testing.assert_array_equal(tensor, prepare(image))


def test_one_preprocessor_takes_images_of_changing_size() -> None:
    prepare = Preprocessor((32, 32))
    for height, width in [(10, 20), (20, 10), (10, 20), (32, 32)]:
        np.testing.assert_array_equal(prepare(picture(height, width)), Preprocessor((32, 32))(picture(height, width)))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4), np.uint8), "(4, 4)"),
        (np.zeros((3, 5, 7), np.uint8), "transpose"),
        (np.zeros((0, 4, 3), np.uint8), "(0, 4, 3)"),
        (np.zeros((4, 4, 4), np.uint8), "alpha"),
    ],
)
def test_other_arrays_are_refused_with_a_cure(image: npt.NDArray[np.uint8], said: str) -> None:
    with pytest.raises(ImageError, match="uint8") as caught:
        Preprocessor((32, 32))(image)
    assert said in str(caught.value)


def test_a_tensor_that_does_not_fit_is_refused() -> None:
    prepare = Preprocessor((32, 32))
    image = picture(8, 8)
    with pytest.raises(ModelError, match=r"\(1, 32, 32, 3\)"):
        prepare(image, np.empty((1, 32, 31, 3), np.int8))
    with pytest.raises(ModelError, match="must be int8, got float32"):
        prepare(image, np.empty((1, 32, 32, 3), np.float32))
    with pytest.raises(OptionError, match="'rgb', 'bgr', 'rgba'"):
        prepare(image, color="grb")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'stretch' or 'letterbox'"):
        Preprocessor((32, 32), resize="crop")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="int8, uint8 or float32"):
        Preprocessor((32, 32), dtype=np.int16)
    with pytest.raises(ModelError, match="scale > 0"):
        Preprocessor((32, 32), quantization=(0.0, 0))
