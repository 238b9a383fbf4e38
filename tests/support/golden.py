"""Recorded results of the kernels: what an optimisation must not change.

`python tests/support/golden.py` records them anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastyolo import ModelSpec
from fastyolo.postprocess import DecodeResult, decode_nms
from fastyolo.preprocess import Preprocessor
from places import DATA

FILE = DATA / "golden.npz"
FRAMES = DATA / "frames.npz"
"""int8 heads of a YOLOv4-tiny on Grace Hopper and on a cup of coffee; scale 12/255, zero point -1."""
QUANTIZATION = (12 / 255, -1)

COCO = ModelSpec.yolov4_tiny()
ONE_CLASS = ModelSpec.yolov4_tiny(names=["thing"])
MANY_CLASSES = ModelSpec.yolov4_tiny(names=[f"class {index}" for index in range(365)], input_size=(192, 256))


class DecodeCase(NamedTuple):
    name: str
    heads: list[Any]
    options: dict[str, Any]

    def run(self) -> DecodeResult:
        return decode_nms(self.heads, **self.options)


class PreprocessCase(NamedTuple):
    name: str
    image: npt.NDArray[np.uint8]
    options: dict[str, Any]

    def run(self) -> npt.NDArray[Any]:
        return Preprocessor((48, 64), **self.options)(self.image)


def decode_cases() -> Iterator[DecodeCase]:
    """Real frames and synthetic heads, for each dtype, at detection and at evaluation settings."""
    settings: dict[str, dict[str, Any]] = {
        "detect": {"image_size": (600, 512), "clip": True},
        "evaluate": {"image_size": (600, 512), "score_threshold": 0.001, "multi_label": True},
        "diou": {"score_threshold": 0.05, "nms": "diou", "iou_threshold": 0.6, "image_size": (300, 400)},
        "agnostic letterbox": {"class_agnostic": True, "resize": "letterbox", "image_size": (333, 777)},
    }
    for (source, spec, heads), (setting, options) in itertools.product(_sources(), settings.items()):
        real = [np.float32(QUANTIZATION[0]) * (head.astype(np.float32) - QUANTIZATION[1]) for head in heads]
        shifted = [(head.astype(np.int16) + 128).astype(np.uint8) for head in heads]
        for dtype, arrays, zero_point in (("float32", real, 0), ("int8", heads, -1), ("uint8", shifted, 127)):
            quantization = None if dtype == "float32" else [(QUANTIZATION[0], zero_point)] * 2
            yield DecodeCase(
                f"{source}/{setting}/{dtype}", arrays, {"spec": spec, "quantization": quantization, **options}
            )


def _sources() -> Iterator[tuple[str, ModelSpec, list[npt.NDArray[np.int8]]]]:
    with np.load(FRAMES) as frames:
        for picture in ("hopper", "coffee"):
            yield picture, COCO, [frames[f"{picture}_{grid}"] for grid in (13, 26)]
    # RandomState's streams are frozen for good; those of Generator may change between NumPy versions.
    random = np.random.RandomState(4)
    for name, spec, objectness in (
        ("crowded", COCO, 20),
        ("one class", ONE_CLASS, 0),
        ("365 classes", MANY_CLASSES, 0),
    ):
        heads = []
        for shape in spec.head_shapes:
            # Sums of integers rather than normal numbers, whose last bits differ between machines.
            head = random.randint(-77, 78, (3, *shape[:2], 3, shape[2] // 3)).sum(axis=0) - 40
            head[..., :4] //= 3
            head[..., 4] += objectness
            heads.append(np.clip(head, -128, 127).reshape(shape).astype(np.int8))
        yield name, spec, heads


def preprocess_cases() -> Iterator[PreprocessCase]:
    """Shrinking, growing, odd sizes; each geometry and dtype."""
    random = np.random.RandomState(5)
    images = {
        f"{height}x{width}": random.randint(0, 256, (height, width, 3)).astype(np.uint8)
        for height, width in ((1, 1), (7, 5), (48, 64), (61, 83), (240, 320), (500, 37))
    }
    kinds: dict[str, dict[str, Any]] = {
        "int8": {"dtype": np.int8},
        "uint8": {"dtype": np.uint8},
        "float32": {"dtype": np.float32},
        "int8 coarse": {"dtype": np.int8, "quantization": (0.011, -20), "input_range": (0, 1)},
    }
    for (size, image), (kind, options), resize in itertools.product(
        images.items(), kinds.items(), ("stretch", "letterbox")
    ):
        yield PreprocessCase(f"{size}/{kind}/{resize}", image, {**options, "resize": resize})


def record() -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {}
    for case in decode_cases():
        for field, array in case.run()._asdict().items():
            arrays[f"{case.name}/{field}"] = array
    for tensor in preprocess_cases():
        arrays[tensor.name] = tensor.run()
    return arrays


if __name__ == "__main__":
    np.savez_compressed(FILE, **record())  # type: ignore[arg-type]
