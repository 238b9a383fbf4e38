"""Runs fixed inputs under callgrind, each once and then eleven times; counts.py starts it and reads the dumps."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fastyolo import Decoder, ModelSpec
from fastyolo.preprocess import Preprocessor

FRAMES = Path(__file__).resolve().parents[2] / "tests" / "data" / "frames.npz"
"""int8 heads of a YOLOv4-tiny on Grace Hopper and on a cup of coffee; scale 12/255, zero point -1."""
QUANTIZATION = (12 / 255, -1)
REPETITIONS = (1, 11)

Case = tuple[str, Callable[[], object]]


def decode_cases() -> Iterator[Case]:
    spec = ModelSpec.yolov4_tiny()
    settings = {"0.25": {}, "0.001 multi-label": {"score_threshold": 0.001, "multi_label": True}}
    for picture, heads in _heads(spec).items():
        real = [np.float32(QUANTIZATION[0]) * (head.astype(np.float32) - QUANTIZATION[1]) for head in heads]
        for setting, options in settings.items():
            for dtype, arrays, quantization in (("float32", real, None), ("int8", heads, [QUANTIZATION] * 2)):
                decoder = Decoder(spec, quantization=quantization, **options)
                yield f"decode {picture}, {setting}, {dtype}", lambda d=decoder, a=arrays: d(a, (600, 512))
    everything = [np.full(shape, 4, np.float32) for shape in spec.head_shapes]
    decoder = Decoder(spec, score_threshold=0.001, multi_label=True)
    yield "decode every box of every class, float32", lambda: decoder(everything, (600, 512))


def _heads(spec: ModelSpec) -> dict[str, list[np.ndarray]]:
    with np.load(FRAMES) as frames:
        heads = {picture: [frames[f"{picture}_{grid}"] for grid in (13, 26)] for picture in ("hopper", "coffee")}
    # RandomState's streams are frozen for good.
    random = np.random.RandomState(4)
    crowd = []
    for shape in spec.head_shapes:
        head = random.randint(-77, 78, (3, *shape[:2], 3, shape[2] // 3)).sum(axis=0) - 40
        head[..., :4] //= 3
        crowd.append(np.clip(head, -128, 127).reshape(shape).astype(np.int8))
    return {**heads, "crowd": crowd}


def preprocess_cases() -> Iterator[Case]:
    random = np.random.RandomState(5)
    for height, width in ((720, 1280), (427, 640), (200, 300)):
        image = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
        for dtype in (np.int8, np.float32):
            preprocess = Preprocessor((416, 416), dtype=dtype)
            out = np.empty((1, 416, 416, 3), dtype)
            name = f"preprocess {width}x{height} rgb, {out.dtype}"
            yield name, lambda p=preprocess, i=image, o=out: p(i, o)
    preprocess = Preprocessor((416, 416))
    out = np.empty((1, 416, 416, 3), np.int8)
    for name, color, shape in (
        ("1280x720", "bgr", (720, 1280, 3)),
        ("1280x720", "rgba", (720, 1280, 4)),
        ("1280x720", "grey", (720, 1280)),
        ("1280x720", "yuyv", (720, 1280, 2)),
        ("1280x720", "uyvy", (720, 1280, 2)),
        ("1280x720", "xrgb", (720, 1280, 4)),
        ("1280x720", "i422", (1440, 1280)),
        ("1920x1080", "nv12", (1620, 1920)),
        ("1920x1080", "i420", (1620, 1920)),
    ):
        image = random.randint(0, 256, shape).astype(np.uint8)
        yield f"preprocess {name} {color}, int8", lambda i=image, c=color: preprocess(i, out, color=c)
    to_grey = Preprocessor((416, 416), channels=1)
    grey = np.empty((1, 416, 416, 1), np.int8)
    for name, color, shape in (
        ("1280x720", "rgb", (720, 1280, 3)),
        ("1280x720", "grey", (720, 1280)),
        ("1280x720", "yuyv", (720, 1280, 2)),
        ("1920x1080", "nv12", (1620, 1920)),
    ):
        image = random.randint(0, 256, shape).astype(np.uint8)
        yield f"preprocess {name} {color}, int8 grey", lambda i=image, c=color: to_grey(i, grey, color=c)


def main(requests: str, only: str) -> None:
    """Run the cases whose name begins with `only`; `requests` is callgrind_requests.c, compiled."""
    callgrind = ctypes.CDLL(requests)
    if not callgrind.valgrind_is_listening():
        raise SystemExit("frames.py counts nothing by itself: run counts.py")
    # Tables are built and memory is touched before anything counts.
    cases = [case for case in (*decode_cases(), *preprocess_cases()) if case[0].startswith(only)]
    for _, run in cases:
        run()
    callgrind.start_counting()
    for name, run in cases:
        for times in REPETITIONS:
            for _ in range(times):
                run()
            callgrind.dump_counts(json.dumps([name, times]).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
