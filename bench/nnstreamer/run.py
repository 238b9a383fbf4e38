"""Times the filter for NNStreamer without NNStreamer, beside a plain NumPy filter, in one run.

    python bench/nnstreamer/run.py [--images FOLDER] [--seconds 20]

Microseconds a frame, medians over all calls. Contenders take turns; before each call the frame's heads are copied to
the same buffers, outside the timer, as a network would leave them. Needs only the installed package and its runtime.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, perf_counter_ns

import numpy as np

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1] / "tests/support")]

from numpy_filter import NumpyFilter, dequantised  # noqa: E402

from fastyolo import Decoder, Detector  # noqa: E402
from fastyolo.runtime.machine import machine_record  # noqa: E402
from pipeline import Element  # noqa: E402

THRESHOLD = 0.25
LIMIT = 12
Frame = dict[str, list]
Call = Callable[[Frame], object]


def frames_of(detector: Detector, folder: Path | None) -> list[Frame]:
    """The heads of up to 128 pictures, stride 32 first, int8 and dequantised."""
    tensors = sorted(detector.session.outputs, key=lambda tensor: tensor.shape)
    pairs = [tensor.quantization for tensor in tensors]
    frames = []
    for image in sorted(folder.glob("*.jpg"))[:128] if folder else _windows():
        detector(image)
        integer = [detector.session.output_view(tensor).copy() for tensor in tensors]
        frames.append({"int8": integer, "float32": dequantised(integer, pairs)})
    return frames


def _windows() -> list[np.ndarray]:
    """Without a folder: windows on a public-domain photograph that matplotlib brings."""
    import matplotlib
    from PIL import Image

    pixels = np.asarray(Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"))
    return [pixels[20 * index : 460 + 20 * index, 8 * index : 420 + 8 * index] for index in range(8)]


def contenders(detector: Detector, frame: Frame) -> dict[str, Call]:
    pairs = [tensor.quantization for tensor in sorted(detector.session.outputs, key=lambda tensor: tensor.shape)]
    calls: dict[str, Call] = {}
    for dtype in ("int8", "float32"):
        decoder = Decoder(detector.spec, quantization=pairs if dtype == "int8" else None, max_detections=100, clip=True)
        calls[f"kernel alone, {dtype}"] = _decoding(decoder, dtype)
        for output in ("ssd", "yolov5", "json"):
            element = Element(f"model:{detector.model} output:{output}", frame[dtype])
            calls[f"{output}, {dtype}"] = _filtering(element.filter.invoke, f"flat {dtype}")
    plain = NumpyFilter(THRESHOLD)
    calls["plain NumPy, float32"] = _filtering(plain.invoke, "flat float32")
    calls["plain NumPy, int8 dequantised first"] = lambda frame: plain.invoke(dequantised(frame["flat int8"], pairs))
    return calls


def _decoding(decoder: Decoder, dtype: str) -> Call:
    return lambda frame: decoder(frame[dtype])


def _filtering(invoke: Callable[[list], object], key: str) -> Call:
    return lambda frame: invoke(frame[key])


def timed(calls: dict[str, Call], frames: list[Frame], seconds: float) -> dict[str, float]:
    """The median microseconds of each."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    names = list(calls)
    buffers = {dtype: [head.copy() for head in frames[0][dtype]] for dtype in ("int8", "float32")}
    shown: Frame = {**buffers, **{f"flat {dtype}": [head.reshape(-1) for head in buffers[dtype]] for dtype in buffers}}
    end, turn = perf_counter() + seconds, 0
    gc.disable()
    while perf_counter() < end or turn < 2:
        for place in range(len(names)):
            name = names[(place + turn) % len(names)]
            for frame in frames:
                for dtype, heads in buffers.items():
                    for buffer, head in zip(heads, frame[dtype], strict=True):
                        buffer[...] = head
                start = perf_counter_ns()
                calls[name](shown)
                times[name].append(perf_counter_ns() - start)
        turn += 1
    return {name: float(np.median(values)) / 1e3 for name, values in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of JPEG pictures; default: one photograph's windows")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    detector = Detector(max_detections=100)
    frames = frames_of(detector, arguments.images)
    medians = timed(contenders(detector, frames[0]), frames, arguments.seconds)
    machine = machine_record()
    print(f"{machine['cpu']}, {machine['python']}, NumPy {np.__version__}, {len(frames)} frames, score {THRESHOLD}\n")
    print(f"| {'filter':<36} | {'us':>6} | {'kernels':>7} |\n| {'-' * 36} | -----: | ------: |")
    for name, value in medians.items():
        kernel = medians["kernel alone, int8" if "int8" in name else "kernel alone, float32"]
        print(f"| {name:<36} | {value:>6.1f} | {value / kernel:>7.1f} |")
    ratio = medians["ssd, int8"] / medians["kernel alone, int8"]
    print(f"\nssd, int8: {ratio:.1f} times the kernel alone, at most {LIMIT}: {'met' if ratio <= LIMIT else 'missed'}")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
