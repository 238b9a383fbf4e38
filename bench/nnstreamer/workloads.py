"""Runs the filter on fixed heads under counter.c's plugin, each case once and then eleven times; counts.py starts it.

The argument is a file for the names of the cases, as that of bench/aarch64/workloads.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / path) for path in ("bench/nnstreamer", "tests/support")]

from numpy_filter import NumpyFilter, dequantised  # noqa: E402

import fastyolo  # noqa: E402
from fastyolo import Decoder, ModelSpec  # noqa: E402
from fastyolo.flatfile import read_flatfile  # noqa: E402
from pipeline import Element  # noqa: E402

MODEL = Path(fastyolo.__file__).with_name("models") / "yolov4-tiny_416_int8.tflite"
# counter.c knows these numbers.
MARK, NOTHING = 900000, 9999


def cases() -> dict[str, Callable[[], object]]:
    spec = ModelSpec.from_model(MODEL)
    tensors = sorted(read_flatfile(MODEL).outputs, key=lambda tensor: tensor.shape)
    pairs = [(tensor.scales[0], tensor.zero_points[0]) for tensor in tensors]
    with np.load(REPOSITORY / "tests/data/frames.npz") as frames:
        integer = [frames[f"hopper_{grid}"].reshape(1, grid, grid, 255) for grid in (13, 26)]
    heads = {"int8": integer, "float32": dequantised(integer, pairs)}
    result: dict[str, Callable[[], object]] = {}
    for dtype, arrays in heads.items():
        flat = [array.ravel() for array in arrays]
        decoder = Decoder(spec, quantization=pairs if dtype == "int8" else None, max_detections=100, clip=True)
        result[f"Decoder, {dtype}"] = lambda d=decoder, a=tuple(arrays): d(a)
        for output in ("ssd", "yolov5", "json"):
            element = Element(f"model:{MODEL} output:{output}", arrays)
            result[f"{output}, {dtype}"] = lambda e=element, a=flat: e.filter.invoke(a)
    plain, floats, flat = NumpyFilter(0.25), [a.ravel() for a in heads["float32"]], [a.ravel() for a in integer]
    result["plain NumPy, float32"] = lambda: plain.invoke(floats)
    result["plain NumPy, int8 dequantised first"] = lambda: plain.invoke(dequantised(flat, pairs))
    return result


def tell(number: int) -> None:
    """Close a file that is not open: the plugin listens."""
    with suppress(OSError):
        os.close(number)


def main() -> None:
    every = cases()
    Path(sys.argv[1]).write_text("\n".join(every))
    for index, run in enumerate(every.values()):
        for _ in range(3):  # memory is touched, and caches of the interpreter are filled
            run()
        for times in (1, 11):
            tell(MARK + NOTHING)
            for _ in range(times):
                run()
            tell(MARK + index * 100 + times)


if __name__ == "__main__":
    main()
