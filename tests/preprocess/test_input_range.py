"""What an integer input expects is told by what it can represent, or refused; nobody guesses in silence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fastyolo.errors import ModelError, OptionError
from fastyolo.preprocess import Preprocessor

GREY_200 = np.full((32, 32, 3), 200, np.uint8)
RAMP: npt.NDArray[np.uint8] = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)


def stored(image: npt.NDArray[np.uint8], dtype: type, quantization: tuple[float, int] | None, **options: object) -> int:
    tensor = Preprocessor(image.shape[:2], dtype=dtype, quantization=quantization, **options)(image)  # type: ignore[arg-type]
    return tensor[0, 3, 4, 1].item()


@pytest.mark.parametrize(
    ("dtype", "quantization", "expected"),
    [
        (np.uint8, (1 / 255, 0), 200),
        (np.int8, (1 / 255, -128), 72),
        (np.uint8, (1.0, 0), 200),
        (np.int8, (1.0, -128), 72),
        (np.uint8, (2 / 255, 128), 200),
        (np.uint8, (1 / 127.5, 127), 200),
        (np.int8, (2 / 255, 0), 73),
        (np.int8, (0.0078125, -1), 72),
    ],
)
def test_the_three_usual_ranges_are_recognised(dtype: type, quantization: tuple[float, int], expected: int) -> None:
    assert abs(stored(GREY_200, dtype, quantization) - expected) <= 1


@pytest.mark.parametrize(
    ("dtype", "quantization"), [(np.uint8, (1.0, 0)), (np.int8, (1.0, -128)), (np.uint8, (2 / 255, 128))]
)
def test_what_is_stored_means_what_the_range_says(dtype: type, quantization: tuple[float, int]) -> None:
    prepare = Preprocessor((16, 16), dtype=dtype, quantization=quantization)
    low, high = prepare.input_range
    scale, zero_point = quantization
    real = (prepare(RAMP).astype(np.float64) - zero_point) * scale
    assert np.abs(real - (low + RAMP / 255 * (high - low))).max() <= scale * 0.51


@pytest.mark.parametrize(
    ("dtype", "quantization", "shown"),
    [
        (np.uint8, (0.0187, 114), "-2.132..2.637"),  # the mean and deviation of ImageNet
        (np.int8, (1.0, 0), "-128..127"),
        (np.uint8, (0.01, 0), "0..2.55"),
        (np.int8, (0.002, -128), "0..0.51"),
    ],
)
def test_other_ranges_are_refused_with_the_option_that_says_it(
    dtype: type, quantization: tuple[float, int], shown: str
) -> None:
    with pytest.raises(ModelError, match=r"0\.\.1, 0\.\.255, -1\.\.1; .*input_range=\(low, high\)") as caught:
        Preprocessor((32, 32), dtype=dtype, quantization=quantization)
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)
    low, high = (float(end) for end in shown.split(".."))
    assert Preprocessor((32, 32), dtype=dtype, quantization=quantization, input_range=(low, high))


def test_a_float_input_is_0_to_1_unless_said_otherwise() -> None:
    for wanted, expected in ((None, RAMP / 255), ((0, 255), RAMP), ((-1, 1), RAMP / 127.5 - 1)):
        tensor = Preprocessor((16, 16), dtype=np.float32, input_range=wanted)(RAMP)
        np.testing.assert_allclose(tensor[0], expected, atol=1e-4)


def test_a_range_of_which_the_tensor_holds_a_few_steps_is_refused() -> None:
    with pytest.raises(ModelError, match=r"input_range 0\.\.1 leaves 1 steps of the model's uint8 input, .* 0\.\.255"):
        Preprocessor((32, 32), dtype=np.uint8, quantization=(1.0, 0), input_range=(0, 1))


@pytest.mark.parametrize("wanted", [(0, 255), (5, 9), (-20, 1)])
def test_a_range_of_which_the_tensor_holds_a_small_part_is_refused(wanted: tuple[float, float]) -> None:
    with pytest.raises(ModelError, match=r"beyond what the model's uint8 input represents, 0\.\.1: nearly every"):
        Preprocessor((32, 32), dtype=np.uint8, quantization=(1 / 255, 0), input_range=wanted)


@pytest.mark.parametrize("wrong", [(1, 0), (0, 0), (0,), (0, 1, 2), "01", ("a", "b"), 5, (0, float("nan")), (0, 1e999)])
def test_what_is_no_range_is_refused(wrong: object) -> None:
    with pytest.raises(OptionError, match="input_range must be two numbers"):
        Preprocessor((8, 8), dtype=np.float32, input_range=wrong)  # type: ignore[arg-type]


def test_padding_is_grey_128_whatever_the_range() -> None:
    tensor = Preprocessor((32, 32), dtype=np.uint8, quantization=(1.0, 0), resize="letterbox")(GREY_200[:16])
    assert tensor[0, 0, 0, 0] == 128
    assert tensor[0, 16, 16, 0] == 200
