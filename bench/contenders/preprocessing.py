"""Pixels to an int8 tensor: fastyolo, OpenCV, Pillow, and the reference recipe. OpenCV has one thread."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from contenders.recipe import input_tensor
from contenders.task import Contender

Array = npt.NDArray[Any]
INPUT_SIZE = (416, 416)
QUANTIZATION = (1 / 255, -128)


class Tensor(Contender):
    """One way from `image`, which every frame is copied into, to the (416, 416, 3) int8 tensor."""

    def __init__(self, name: str, image: Array, function: Callable[[Array], Array]) -> None:
        self.name = name
        self._image = image
        self._function = function

    def __call__(self) -> Array:
        return self._function(self._image).reshape(*INPUT_SIZE, 3)


def of_rgb(image: Array, builds: dict[str, dict[str, ModuleType]]) -> list[Contender]:
    """Contenders for a uint8 (H, W, 3) RGB image; `builds` are fastyolo's, by name."""
    return [
        *(Tensor(name, image, _ours(modules, image)) for name, modules in builds.items()),
        Tensor("cv2.resize + xor", image, _opencv),
        Tensor("Pillow resize + xor", image, _pillow),
        Tensor("reference recipe", image, lambda pixels: input_tensor(pixels, INPUT_SIZE, QUANTIZATION)),
    ]


def of_nv12(image: Array, builds: dict[str, dict[str, ModuleType]]) -> list[Contender]:
    """Contenders for a uint8 (H * 3 / 2, W) NV12 image, BT.601 limited range."""
    return [
        *(Tensor(name, image, _ours(modules, image, color="nv12")) for name, modules in builds.items()),
        Tensor(
            "cv2.cvtColor + resize + xor", image, lambda pixels: _opencv(cv2.cvtColor(pixels, cv2.COLOR_YUV2RGB_NV12))
        ),
    ]


def nv12_of(rgb: Array) -> Array:
    """An NV12 image of an RGB one of even sides."""
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    chroma = planes[height:].reshape(2, height // 2 * width // 2)
    interleaved = chroma.T.reshape(height // 2, width)
    return np.concatenate([planes[:height], interleaved])


def _ours(modules: dict[str, ModuleType], image: Array, **options: Any) -> Callable[[Array], Array]:
    preprocess = modules["preprocess"].Preprocessor(INPUT_SIZE)
    out = np.empty((1, *INPUT_SIZE, 3), np.int8)
    # Like the interpreter's input, `out` is there before the frame is.
    return lambda pixels: preprocess(pixels, out, **options)


def _opencv(rgb: Array) -> Array:
    resized = cv2.resize(rgb, INPUT_SIZE[::-1])
    return np.bitwise_xor(resized, 0x80, out=resized).view(np.int8)


def _opencv_nv12(nv12: Array) -> Array:
    return _opencv(cv2.cvtColor(nv12, cv2.COLOR_YUV2RGB_NV12))


def _pillow(rgb: Array) -> Array:
    resized = Image.fromarray(rgb).resize(INPUT_SIZE[::-1], Image.Resampling.BILINEAR)
    return (np.asarray(resized) ^ 0x80).view(np.int8)
