"""Pixels -> input tensor, in one pass.

The resize is bilinear with half-pixel centres and no antialias: ``source = (target + 0.5) * source_size / target_size
- 0.5``, edges repeated; the geometry of OpenCV's INTER_LINEAR. The network sees ``pixel / 255``; an integer tensor
stores ``round(pixel / 255 / scale) + zero_point``.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fastyolo import _preprocess
from fastyolo.errors import ModelError, OptionError
from fastyolo.images import load_image
from fastyolo.letterbox import LETTERBOX_GREY, ResizeMode, check_resize, place

ColorOrder = Literal["rgb", "bgr"]
Tensor = npt.NDArray[Any]

_WEIGHT_ONE = 32768
_BYTE_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


class Preprocessor:
    """Turns uint8 images of any size into one network's input tensor.

    Args:
        input_size: (height, width) of the network input.
        dtype: int8, uint8 or float32.
        quantization: (scale, zero_point) of an integer tensor; default (1/255, -128) for int8, (1/255, 0) for uint8.
        resize: "stretch" to the input size, or "letterbox": keep the aspect ratio, centred on grey 128.

    The tables of the last image size are kept, so frames of one size cost nothing extra. Not for two threads at once.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        *,
        dtype: npt.DTypeLike = np.int8,
        quantization: tuple[float, int] | None = None,
        resize: ResizeMode = "stretch",
    ) -> None:
        self.input_size = input_size
        self.dtype = np.dtype(dtype)
        self.resize = check_resize(resize)
        self._multiplier, self._offset, self._limits = _transfer(self.dtype, quantization)
        self._image_size: tuple[int, int] | None = None
        self._resizer: _preprocess.Resizer

    def __call__(self, image: npt.NDArray[np.uint8], out: Tensor | None = None, *, color: ColorOrder = "rgb") -> Tensor:
        """Resize and quantise one image.

        Args:
            image: uint8 (H, W, 3), any strides.
            out: tensor (height, width, 3) or (1, height, width, 3) to write into; by default a new one.
            color: channel order of `image`; the network gets RGB.

        Returns:
            `out`, or a new array (1, height, width, 3).
        """
        check_color(color)
        image = load_image(image)
        if out is None:
            out = np.empty((1, *self.input_size, 3), self.dtype)
        if out.shape[-3:] != (*self.input_size, 3) or out.size != self.input_size[0] * self.input_size[1] * 3:
            raise ModelError(f"input tensor must have shape {(1, *self.input_size, 3)}, got {out.shape}")
        if out.dtype != self.dtype:
            raise ModelError(f"input tensor must be {self.dtype}, got {out.dtype}")
        target = out.reshape(out.shape[-3:])
        if color == "bgr":
            image = image[..., ::-1]
        if image.shape[:2] != self._image_size:
            self._resizer = self._plan(image.shape[0], image.shape[1])
            self._image_size = (image.shape[0], image.shape[1])
        if self.dtype == np.int8:
            self._resizer.to_int8(image, target)
        elif self.dtype == np.uint8:
            self._resizer.to_uint8(image, target)
        else:
            self._resizer.to_float32(image, target)
        return out

    def _plan(self, height: int, width: int) -> _preprocess.Resizer:
        x, y, place_width, place_height = place((height, width), self.input_size, letterbox=self.resize == "letterbox")
        columns, column_weights = _taps(width, place_width)
        rows, row_weights = _taps(height, place_height)
        return _preprocess.Resizer(
            height,
            width,
            x,
            y,
            columns,
            np.repeat(column_weights.astype(np.int16), 3),
            np.concatenate([rows, row_weights[np.newaxis]]),
            np.empty((2, place_width * 3), np.int16),
            np.empty((2, place_width * 3 + 1), np.uint8),
            np.empty(width * 3, np.uint8),
            self._multiplier,
            self._offset,
            *self._limits,
            LETTERBOX_GREY,
        )


def check_color(color: str) -> None:
    """Raise `OptionError` for an unknown channel order."""
    if color not in ("rgb", "bgr"):
        raise OptionError(f"color must be 'rgb' or 'bgr', got {color!r}")


def _transfer(dtype: np.dtype[Any], quantization: tuple[float, int] | None) -> tuple[float, float, tuple[int, int]]:
    """tensor = pixel * multiplier + offset, and the limits of an integer tensor."""
    if dtype == np.float32:
        return 1 / 255, 0.0, (0, 0)
    if dtype.name not in _BYTE_RANGES:
        raise ModelError(f"input tensor must be int8, uint8 or float32, got {dtype}")
    limits = _BYTE_RANGES[dtype.name]
    scale, zero_point = quantization or (1 / 255, limits[0])
    if not 0 < scale < np.inf or not limits[0] <= zero_point <= limits[1]:
        raise ModelError(f"input quantisation must have scale > 0 and zero_point in {limits}, got {quantization}")
    multiplier = 1 / (255 * scale)
    # 1/255 stored as float32 must still count as "one step a pixel value".
    return (1.0 if abs(multiplier - 1) < 1e-5 else multiplier), float(zero_point), limits


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(2, target): the two source pixels of every target pixel; (target,): the weight of the second, of 32768."""
    centre = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(centre)
    # 1 does not fit in 15 bits, and is never needed: the second pixel would then be the first.
    weights = np.minimum(np.rint((centre - first) * _WEIGHT_ONE), _WEIGHT_ONE - 1)
    pixels = np.stack([np.clip(first, 0, source - 1), np.clip(first + 1, 0, source - 1)])
    return np.ascontiguousarray(pixels, np.int32), weights.astype(np.int32)
