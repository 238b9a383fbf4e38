"""`stream`: what is lost and what is not, how old results are, and that every end is an end."""

from __future__ import annotations

import dataclasses
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import fastyolo
from fake_source import FakeCamera, FakeFile
from fastyolo.detections import Detections
from fastyolo.detector import Detector
from fastyolo.errors import OptionError, SourceError
from fastyolo.frames.frame import Frame
from fastyolo.sources.lending import Lender, Loan
from fastyolo.sources.source import Pending

pytestmark = pytest.mark.pc("is about seconds and threads, of which an emulated board has others")


class QuickDetector(Detector):
    """A detector whose network only waits: an accelerator that takes `seconds`."""

    seconds = 0.0

    def run(self, frame: Frame, *, fill: Callable[[Any], object] | None = None, **_: Any) -> Detections:
        if fill is not None:
            fill(self.session.input_view())
        time.sleep(self.seconds)
        return Detections.empty(self.names, frame.size)


@pytest.fixture(scope="module")
def bundled() -> QuickDetector:
    return QuickDetector(threads=1)


@pytest.fixture
def detector(bundled: QuickDetector) -> Iterator[QuickDetector]:
    yield bundled
    bundled.seconds = 0.0


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastyolo")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert own_threads() == []


def test_a_file_loses_no_frame_however_slow_the_consumer(detector: QuickDetector) -> None:
    source = FakeFile(30)
    with fastyolo.stream(source, detector=detector) as stream:
        assert stream.total == 30
        for number, _ in enumerate(stream):
            assert stream.frame is not None
            assert int(stream.frame.planes[0][0, 0, 0]) == number
            time.sleep(0.005)
            assert len(source.loaded) <= number + 8, "memory grows with a slow consumer"
    assert stream.delivered == 30
    assert stream.dropped == 0
    assert source.closed


def test_a_camera_gives_the_newest_frame_and_counts_the_others(detector: QuickDetector) -> None:
    source = FakeCamera(40, 200.0)
    seen = []
    stream = fastyolo.stream(source, detector=detector)
    with suppress(SourceError):
        for found in stream:
            assert stream.frame is not None
            seen.append(stream.frame.index)
            assert found.age is not None
            assert found.age < 0.1
            time.sleep(0.02)
    assert seen == sorted(set(seen))
    assert 5 <= len(seen) < 20
    assert seen[-1] == 39
    assert len(seen) + stream.dropped == 40


def test_what_a_camera_drops_is_never_loaded(detector: QuickDetector) -> None:
    detector.seconds = 0.03
    source = FakeCamera(40, 200.0)
    with pytest.raises(SourceError), fastyolo.stream(source, detector=detector) as stream:
        list(stream)
    assert len(source.loaded) < 15


@pytest.mark.slow
def test_results_are_no_older_than_a_frame_and_a_run(detector: QuickDetector) -> None:
    detector.seconds = 0.01
    ages = []
    with fastyolo.stream(FakeCamera(100), detector=detector, max_frames=40) as stream:
        ages = sorted(found.age or 0.0 for found in stream)
    # One interval, the run, and 5 ms; the machine that tests may be busy for a few of them.
    assert ages[int(0.9 * len(ages))] <= 1 / 30 + 0.010 + 0.005


def test_the_last_frame_outlives_what_lent_it(detector: QuickDetector) -> None:
    source = FakeCamera(10, 100.0)
    source.lends = True
    with fastyolo.stream(source, detector=detector, max_frames=2) as stream:
        next(stream)
        assert stream.frame is not None
        lent = stream.frame.planes[0]
    assert not np.shares_memory(stream.frame.planes[0], lent)
    assert np.array_equal(stream.frame.planes[0], lent)


def test_corrupt_frames_are_counted(detector: QuickDetector) -> None:
    with fastyolo.stream(FakeFile(6, corrupt=(2, 3)), detector=detector) as stream:
        assert len(list(stream)) == 4
    assert stream.corrupt == 2


def test_which_frames(detector: QuickDetector) -> None:
    def numbers(**how: Any) -> list[int]:
        with fastyolo.stream(FakeFile(30), detector=detector, **how) as stream:
            return [stream.frame.index for _ in stream if stream.frame is not None and stream.frame.index is not None]

    assert numbers(every=10) == [0, 10, 20]
    assert numbers(max_frames=2) == [0, 1]
    assert numbers(start=0.5, duration=0.1) == [15, 16, 17]
    assert numbers(start=0.5, every=6, max_frames=2) == [18, 24]
    assert numbers(start=10.0) == []


def test_realtime_plays_a_file_like_a_camera(detector: QuickDetector) -> None:
    began = time.monotonic()
    with fastyolo.stream(FakeFile(8), detector=detector, realtime=True) as stream:
        assert len(list(stream)) + stream.dropped == 8
    assert 7 / 30 <= time.monotonic() - began < 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"max_frames": 0},
        {"start": -1.0},
        {"start": float("nan")},
        {"duration": 0.0},
        {"retry": -1},
    ],
)
def test_options_outside_their_domain(detector: QuickDetector, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        fastyolo.stream(FakeFile(1), detector=detector, **wrong)


def test_an_error_in_any_stage_ends_all(detector: QuickDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking(FakeFile):
        def __iter__(self) -> Iterator[Pending]:
            yield from list(super().__iter__())[:2]
            raise RuntimeError("reading")

    with pytest.raises(RuntimeError, match="reading"):
        list(fastyolo.stream(Breaking(5), detector=detector))

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("detecting")

    monkeypatch.setattr(detector, "run", refuse)
    with pytest.raises(RuntimeError, match="detecting"):
        list(fastyolo.stream(FakeFile(50), detector=detector))
    monkeypatch.undo()
    monkeypatch.setattr(FakeFile, "_load", refuse)
    with pytest.raises(RuntimeError, match="detecting"):
        list(fastyolo.stream(FakeFile(50), detector=detector))


@pytest.mark.parametrize("live", [False, True])
def test_closing_early_ends_all_threads(detector: QuickDetector, live: bool) -> None:
    source = FakeCamera(1000, 100.0) if live else FakeFile(1000)
    stream = fastyolo.stream(source, detector=detector)
    next(stream)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 0.5
    assert own_threads() == []
    assert source.closed
    assert list(stream) == []
    stream.close()


def test_a_slow_network_does_not_keep_a_closed_camera(detector: QuickDetector) -> None:
    detector.seconds = 1.3
    source = FakeCamera(1000, 100.0)
    stream = fastyolo.stream(source, detector=detector)
    time.sleep(0.1)
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 1
    assert not source.closed, "it may still be reading from it"
    for thread in threading.enumerate():
        if thread.name.startswith("fastyolo"):
            thread.join(2)
    assert source.closed


def test_forgetting_it_ends_all_threads(detector: QuickDetector) -> None:
    for _ in fastyolo.stream(FakeFile(1000), detector=detector):
        break
    gc.collect()
    assert own_threads() == []


def test_a_camera_that_broke_is_opened_again(detector: QuickDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastyolo.streaming import Stream, retrying
    from fastyolo.streaming.selection import Selection

    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)
    said: list[str] = []
    answers: list[Any] = [SourceError("not yet"), FakeCamera(3, 50.0), *[SourceError("gone")] * 3]

    def reopen() -> FakeCamera:
        answer = answers.pop(0)
        if isinstance(answer, SourceError):
            raise answer
        return answer

    stream = Stream(FakeCamera(3, 50.0), reopen, detector, Selection(), 3, said.append)
    seen = []
    for _ in range(6):
        next(stream)
        assert stream.frame is not None
        seen.append((stream.frame.index, stream.frame.timestamp))
    with pytest.raises(SourceError, match="gone"):
        next(stream)
    assert [index for index, _ in seen] == list(range(6))
    assert all(later > earlier for (_, earlier), (_, later) in pairwise(seen))
    assert said == [
        "fake camera was lost; trying again in 0.01 s (1 of 3)",
        "not yet; trying again in 0.02 s (2 of 3)",
        "fake camera was lost; trying again in 0.01 s (1 of 3)",
        "gone; trying again in 0.02 s (2 of 3)",
        "gone; trying again in 0.04 s (3 of 3)",
    ]


class LendingCamera(FakeCamera):
    """Its frames lie in memory that must not be there any more when it is opened again."""

    lends = True

    def __init__(self, count: int, rate: float = 50.0) -> None:
        super().__init__(count, rate)
        self._lender = Lender(super().close)

    def close(self) -> None:
        self._lender.close()

    def __iter__(self) -> Iterator[Pending]:
        for pending in super().__iter__():
            loan = self._lender.lend()
            yield dataclasses.replace(pending, load=partial(self._load_lent, pending.load, loan))
            del pending, loan

    def _load_lent(self, load: Callable[[], Frame], loan: Loan) -> Frame:
        frame = load()
        return dataclasses.replace(frame, planes=tuple(map(loan.view, frame.planes)))


def test_a_broken_camera_is_closed_before_it_is_opened_again(
    detector: QuickDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastyolo.streaming import Stream, retrying
    from fastyolo.streaming.selection import Selection

    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)
    cameras = [LendingCamera(5) for _ in range(3)]
    waiting = cameras[1:]

    def reopen() -> LendingCamera:
        assert cameras[2 - len(waiting)].closed, "a frame of it is still held"
        return waiting.pop(0)

    stream = Stream(cameras[0], reopen, detector, Selection(max_frames=13), 3, lambda line: None)
    for found in stream:
        assert stream.frame is not None
        assert stream.frame.planes[0].size == 64 * 64
        assert len(found) == 0
    assert stream.delivered == 13
    assert all(camera.closed for camera in cameras)


def test_an_error_that_is_kept_keeps_no_camera(detector: QuickDetector) -> None:
    camera = LendingCamera(3)
    stream = fastyolo.stream(camera, detector=detector)
    with pytest.raises(SourceError) as error:
        list(stream)
    assert camera.closed
    assert "was lost" in str(error.value)


@pytest.mark.slow
def test_ten_thousand_frames_take_no_more_than_a_hundred(detector: QuickDetector) -> None:
    def held() -> tuple[int, int, int]:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        return pages * 4096, threading.active_count(), len(os.listdir("/proc/self/fd"))

    with fastyolo.stream(FakeFile(10_000), detector=detector) as stream:
        before = after = held()
        for number, _ in enumerate(stream):
            if number == 500:
                before = held()
            if number == 9_900:
                after = held()
    assert after[0] - before[0] < 4 << 20
    # Threads of the test before may have been on their way out.
    assert after[1] <= before[1]
    assert after[2] <= before[2]
    assert stream.delivered == 10_000
