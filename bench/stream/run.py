"""What `fastyolo.stream` costs beside the network itself: its rate over that of `invoke()` alone, processor time, age.

    python bench/stream/run.py [--frames 300] [--rounds 3]

One inference thread; needs the package av. Each measurement is made in turns with what it is compared with.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import matplotlib
import numpy as np
from PIL import Image

import fastyolo
from fastyolo.errors import SourceError
from fastyolo.frames.frame import view_frame
from fastyolo.sources.source import FrameSource, Pending

SIZE = (1280, 720)
WAIT = 0.010
"""Seconds that the stand-in for an NPU takes, without a processor."""


class FakeCamera(FrameSource):
    """One NV12 frame again and again: by the clock as a live source, or as fast as it is taken as a file."""

    def __init__(self, count: int, rate: float | None) -> None:
        self.name, self.live, self.rate, self._count = "fake", rate is not None, rate, count
        luma = np.random.default_rng(0).integers(16, 235, SIZE[::-1], np.uint8)
        self._frame = view_frame((luma, np.full((SIZE[1] // 2, SIZE[0] // 2, 2), 128, np.uint8)), "nv12")

    def __iter__(self) -> Iterator[Pending]:
        began = time.monotonic()
        for index in range(self._count):
            due = began + index / self.rate if self.rate else None
            if due is not None:
                time.sleep(max(0.0, due - time.monotonic()))
            yield Pending(index, index / 30, due, lambda: self._frame)
        if self.live:
            raise SourceError("it has ended")


def make_clip(path: Path, count: int) -> None:
    """A pan over a photograph as H.264, 1280x720."""
    photo = Image.open(Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg").resize((1280 + count, 1500))
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=Fraction(30), options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(count):
            window = photo.crop((index, index, index + SIZE[0], index + SIZE[1]))
            output.mux(stream.encode(av.VideoFrame.from_image(window)))
        output.mux(stream.encode(None))


def waiting() -> fastyolo.Detector:
    """A detector whose network runs elsewhere, in always the same time."""
    detector = fastyolo.Detector(threads=1)
    detector.session.invoke = lambda: time.sleep(WAIT)  # type: ignore[method-assign]
    return detector


def alone(detector: fastyolo.Detector, count: int) -> float:
    """Frames a second of the network alone."""
    began = time.perf_counter()
    for _ in range(count):
        detector.session.invoke()
    return count / (time.perf_counter() - began)


def streamed(source: Any, detector: fastyolo.Detector) -> tuple[float, float]:
    """Frames a second of a whole stream from its third frame on, and the share of one processor core it took."""
    began = cpu = 0.0
    count = 0
    with fastyolo.stream(source, detector=detector) as stream:
        for count, _ in enumerate(stream, -2):
            if count == 0:
                began, cpu = time.perf_counter(), time.process_time()
    seconds = time.perf_counter() - began
    return count / seconds, (time.process_time() - cpu) / seconds


def one_after_the_other(clip: Path, detector: fastyolo.Detector) -> float:
    """Frames a second of a loop that decodes, then detects."""
    from fastyolo.sources.opening import open_source

    began = time.perf_counter()
    count = 0
    with open_source(clip) as source:
        for pending in source:
            detector(pending.load())
            count += 1
    return count / (time.perf_counter() - began)


def compare(name: str, source: Any, detector: fastyolo.Detector, frames: int, rounds: int) -> None:
    ratios, shares, rates = [], [], []
    for _ in range(rounds):
        before = alone(detector, frames // 2)
        rate, share = streamed(source() if callable(source) else source, detector)
        bare = statistics.mean((before, alone(detector, frames // 2)))
        ratios.append(rate / bare)
        shares.append(share)
        rates.append(rate)
    print(
        f"{name}: {statistics.median(rates):.1f} frames/s, {statistics.median(ratios):.3f} of invoke() alone "
        f"({min(ratios):.3f} to {max(ratios):.3f}), {100 * statistics.median(shares):.0f} % of a core"
    )


def age(detector: fastyolo.Detector, frames: int) -> None:
    """How old results of a 30 fps camera are when their boxes are known."""
    invoke = 1 / alone(detector, 50)
    with fastyolo.stream(FakeCamera(frames + 30, 30.0), detector=detector, max_frames=frames) as stream:
        ages = sorted(found.age or 0.0 for found in stream)
    limit = 1e3 * (1 / 30 + invoke + 0.005)
    middle, high, most = (1e3 * ages[int(len(ages) * share)] for share in (0.5, 0.95, 0.999))
    print(f"age at 30 frames/s: median {middle:.1f} ms, p95 {high:.1f} ms, most {most:.1f} ms")
    print(f"one interval + invoke() + 5 ms: {limit:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    frames, rounds = arguments.frames, arguments.rounds
    detector, accelerated = fastyolo.Detector(threads=1), waiting()
    print(f"{detector}, Python {sys.version.split()[0]}, PyAV {av.__version__}, {SIZE[0]}x{SIZE[1]}")
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, frames)
        compare("H.264", clip, detector, frames, rounds)
        serial = one_after_the_other(clip, detector)
        print(
            f"H.264, one after the other: {serial:.1f} frames/s, {serial / alone(detector, 100):.3f} of invoke() alone"
        )
        compare(f"H.264, NPU stand-in of {1e3 * WAIT:g} ms", clip, accelerated, frames, rounds)
    compare(f"NV12, NPU stand-in of {1e3 * WAIT:g} ms", lambda: FakeCamera(frames, None), accelerated, frames, rounds)
    accelerated.session.invoke = lambda: None  # type: ignore[method-assign]
    rate, share = streamed(FakeCamera(10 * frames, None), accelerated)
    print(f"NV12, without decoding and invoke(): {1e6 * share / rate:.0f} us of processor time a frame")
    age(detector, 90)


if __name__ == "__main__":
    main()
