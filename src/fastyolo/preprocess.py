"""Frame -> input tensor, in one pass.

The resize is bilinear with half-pixel centres and no antialias: ``source = (target + 0.5) * source_size / target_size
- 0.5``, edges repeated; the geometry of OpenCV's INTER_LINEAR. The network sees ``real = low + pixel / 255 * (high -
low)``, with (low, high) = (0, 1) for Darknet's; an integer tensor stores ``round(real / scale + zero_point)``. Grey
fills all three channels; Y'CbCr neighbours become RGB, limited to 0..255, before they are blended, with the chroma of
the block they lie in, as OpenCV's conversion has it.

A network of one channel sees grey. Of packed pixels that is ``0.299 R + 0.587 G + 0.114 B`` of what was blended (in
32768ths, the sum rounded down to 1/128 of a level, then to the tensor as above): OpenCV's grey for a picture of the
input's size. Of Y'CbCr it is Y' alone, spread over 0..255 where its range is limited. That is the same grey for BT.601;
BT.709 weighs colours otherwise (0.2126, 0.7152, 0.0722), so there saturated ones differ, pure green most, by 33 of 255.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ModelError, OptionError
from fastyolo.frames.colors import Color, YuvMatrix, YuvRange, check_yuv, yuv_to_rgb
from fastyolo.frames.frame import Frame, Pixels, UInt8Array, view_frame
from fastyolo.input_range import BYTE_LIMITS, InputRange, check_input_range, check_resolution, expected_range
from fastyolo.kernels import preprocess as kernel
from fastyolo.letterbox import LETTERBOX_GREY, ResizeMode, check_resize, place
from fastyolo.spec import PICTURE_CHANNELS
from fastyolo.texts import brief

Tensor = npt.NDArray[Any]

_WEIGHT_ONE = 32768


class Preprocessor:
    """Turns uint8 images of any size into one network's input tensor.

    Args:
        input_size: (height, width) of the network input.
        channels: 3 for RGB, or 1 for grey.
        dtype: int8, uint8 or float32.
        quantization: (scale, zero_point) of an integer tensor; default (1/255, -128) for int8, (1/255, 0) for uint8.
        input_range: the real numbers (low, high) that the network wants for pixel 0 and 255, such as (0, 255) or
            (-1, 1). None: (0, 1) for a float tensor; for an integer tensor what its quantisation represents, if that is
            0..1, 0..255 or -1..1.
        resize: "stretch" to the input size, or "letterbox": keep the aspect ratio, centred on grey 128.
        yuv_matrix: "bt601", or "bt709" for what most HD cameras give; None takes what the frame says, else "bt601".
            Only for Y'CbCr, as is the next.
        yuv_range: "limited" (luma 16 to 235), or "full"; None takes what the frame says, else "limited".

    Raises:
        ModelError: the tensor is of another type, or its quantisation represents none of these ranges.
        OptionError: an argument outside its domain.

    The tables of the last image size and format are kept, so frames of one kind cost nothing extra. Not for two threads
    at once.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        *,
        channels: int = 3,
        dtype: npt.DTypeLike = np.int8,
        quantization: tuple[float, int] | None = None,
        input_range: InputRange | None = None,
        resize: ResizeMode = "stretch",
        yuv_matrix: YuvMatrix | None = None,
        yuv_range: YuvRange | None = None,
    ) -> None:
        self.input_size = input_size
        self.channels = check_channels(channels)
        self._shape = *input_size, channels
        self.dtype = np.dtype(dtype)
        self.resize = check_resize(resize)
        self._limits = _check_tensor(self.dtype, quantization)
        self.input_range = _range_of(self.dtype, quantization, input_range)
        self._multiplier, self._offset = _transfer(self.dtype, quantization, self.input_range)
        check_yuv(yuv_matrix, yuv_range)
        self._yuv = yuv_matrix, yuv_range
        self._planned: tuple[object, ...] | None = None
        self._resizer: kernel.Resizer

    def __call__(self, image: Pixels, out: Tensor | None = None, *, color: Color = "rgb") -> Tensor:
        """Resize and quantise one image.

        Args:
            image: uint8 array, or tuple of planes, of the shapes that `color` has in `frames.Color`; any strides.
            out: tensor (height, width, channels) or (1, height, width, channels) to write into; by default a new one.
            color: the pixel format of `image`, "rgb" unless you say otherwise. The network gets RGB, or grey.

        Returns:
            `out`, or a new array (1, height, width, channels).

        Raises:
            ImageError: `image` is not of the format.
            OptionError: there is no such format.
            ModelError: `out` does not fit.
        """
        return self.fill(view_frame(image, color), out)

    def fill(self, frame: Frame, out: Tensor | None = None) -> Tensor:
        """The same for a frame."""
        if out is None:
            out = np.empty((1, *self._shape), self.dtype)
        if out.shape[-3:] != self._shape or out.size != math.prod(self._shape):
            raise ModelError(f"input tensor must have shape {(1, *self._shape)}, got {out.shape}")
        if out.dtype != self.dtype:
            raise ModelError(f"input tensor must be {self.dtype}, got {out.dtype}")
        target = out.reshape(out.shape[-3:])
        wanted = (frame.size, frame.color, frame.yuv_matrix, frame.yuv_range)
        if wanted != self._planned:
            self._planned = None
            self._resizer = self._plan(frame)
            self._planned = wanted
        if self.dtype == np.int8:
            self._resizer.to_int8(target, *frame.planes)
        elif self.dtype == np.uint8:
            self._resizer.to_uint8(target, *frame.planes)
        else:
            self._resizer.to_float32(target, *frame.planes)
        return out

    def _plan(self, frame: Frame) -> kernel.Resizer:
        layout = frame.layout
        matrix, value_range = self._yuv
        x, y, width, height = place(frame.size, self.input_size, resize=self.resize)
        return kernel.Resizer(
            layout.kind,
            layout.planes,
            layout.swapped,
            layout.first,
            *frame.size,
            x,
            y,
            *_taps(frame.size[1], width),
            *_taps(frame.size[0], height),
            yuv_to_rgb(matrix or frame.yuv_matrix or "bt601", value_range or frame.yuv_range or "limited"),
            self._multiplier,
            self._offset,
            *self._limits,
            LETTERBOX_GREY,
            self.channels,
        )


def to_rgb(frame: Frame) -> UInt8Array:
    """Return a frame's pixels as uint8 (H, W, 3) RGB, in full size: what the network would see if it were as large."""
    rgb: UInt8Array = Preprocessor(frame.size, dtype=np.uint8).fill(frame)[0]
    return rgb


def check_channels(channels: int) -> int:
    """Return `channels` if pictures can be made into so many, else raise `OptionError`."""
    if type(channels) is not int or channels not in PICTURE_CHANNELS:
        raise OptionError(f"channels must be 3 (RGB) or 1 (grey), got {brief(channels)}")
    return channels


def _check_tensor(dtype: np.dtype[Any], quantization: tuple[float, int] | None) -> tuple[int, int]:
    """The limits of an integer tensor, (0, 0) of a float one; `ModelError` if it is neither."""
    if dtype == np.float32:
        return 0, 0
    if dtype.name not in BYTE_LIMITS:
        raise ModelError(f"input tensor must be int8, uint8 or float32, got {dtype}")
    limits = BYTE_LIMITS[dtype.name]
    if quantization is not None:
        scale, zero_point = quantization
        if not 0 < scale < np.inf or not limits[0] <= zero_point <= limits[1]:
            raise ModelError(f"input quantisation must have scale > 0 and zero_point in {limits}, got {quantization}")
    return limits


def _range_of(
    dtype: np.dtype[Any], quantization: tuple[float, int] | None, input_range: InputRange | None
) -> InputRange:
    if input_range is None:
        return expected_range(dtype, quantization)
    checked = check_input_range(input_range)
    check_resolution(dtype, quantization, checked)
    return checked


def _transfer(
    dtype: np.dtype[Any], quantization: tuple[float, int] | None, input_range: InputRange
) -> tuple[float, float]:
    """tensor = pixel * multiplier + offset."""
    low, high = input_range
    if dtype == np.float32:
        return (high - low) / 255, low
    scale, zero_point = quantization or (1 / 255, BYTE_LIMITS[dtype.name][0])
    multiplier = (high - low) / (255 * scale)
    # 1/255 stored as float32 must still count as "one step a pixel value".
    return (1.0 if abs(multiplier - 1) < 1e-5 else multiplier), low / scale + zero_point


def _taps(source: int, target: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int16]]:
    """For every target pixel the first of its two source pixels, and the weight of the second, of 32768."""
    centre = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(centre)
    # 1 does not fit in 15 bits.
    weights = np.minimum(np.rint((centre - first) * _WEIGHT_ONE), _WEIGHT_ONE - 1)
    # Where one of the two would lie outside, all weight goes to the other.
    weights[(first < 0) | (first >= source - 1)] = 0
    return np.clip(first, 0, source - 1).astype(np.int32), weights.astype(np.int16)
