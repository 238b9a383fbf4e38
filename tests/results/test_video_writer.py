"""Annotated videos: whole, cut short, and on a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clips import NEEDS_PYAV, decoded
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.results.video import VideoWriter
from small_disk import on_small_disk

pytestmark = pytest.mark.pc(NEEDS_PYAV)

# Writes a frame for every line it reads, and says how many there are.
WRITING = """
import sys
import numpy as np
from PIL import Image
from fastyolo.errors import FastYoloError
from fastyolo.results.video import VideoWriter

random = np.random.default_rng(1)
noise = [Image.fromarray(random.integers(0, 256, (120, 160, 3), np.uint8)) for _ in range(4)]
writer = VideoWriter(sys.argv[1])
try:
    for number in range(int(sys.argv[2])):
        writer.write(noise[number % 4], number / 30)
        print(number + 1, flush=True)
    writer.close()
except FastYoloError as error:
    sys.exit(str(error))
"""


def picture(shade: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (shade, 255 - shade, 128))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_and_their_times_are_kept(tmp_path: Path, suffix: str) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.501]
    with VideoWriter(tmp_path / f"x{suffix}", rate=25) as writer:
        for number, time in enumerate(times):
            writer.write(picture(50 * number), time)
    frames = decoded(tmp_path / f"x{suffix}")
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-3)
    for number, frame in enumerate(frames):
        expected = (50 * number, 255 - 50 * number, 128)
        assert frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) == pytest.approx(expected, abs=6)


def test_odd_sides_and_other_sizes(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "x.mp4") as writer:
        writer.write(picture(10, (63, 47)), None)
        writer.write(picture(20, (100, 100)), None)
    assert [(frame.width, frame.height) for frame in decoded(tmp_path / "x.mp4")] == [(64, 48)] * 2


def test_without_an_encoder_for_h264_it_is_mjpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    monkeypatch.setattr(av, "codecs_available", {"mjpeg"})
    with VideoWriter(tmp_path / "x.mkv") as writer:
        writer.write(picture(100), 0.0)
    with av.open(str(tmp_path / "x.mkv")) as container:
        assert container.streams.video[0].codec_context.name == "mjpeg"


def test_names_and_places_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.mp4 or \.mkv"):
        VideoWriter(tmp_path / "x.avi")
    with pytest.raises(FastYoloError, match="No such file or directory"):
        VideoWriter(tmp_path / "gone" / "x.mp4").write(picture(0), 0.0)
    (tmp_path / "x.mp4").mkdir()
    with pytest.raises(FastYoloError, match="not a regular file"):
        VideoWriter(tmp_path / "x.mp4").write(picture(0), 0.0)
    VideoWriter(tmp_path / "nothing.mp4").close()
    assert not (tmp_path / "nothing.mp4").exists()


@pytest.fixture(params=[".mp4", ".mkv"])
def writing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Any]]:
    path = tmp_path / f"x{request.param}"
    process = subprocess.Popen([sys.executable, "-c", WRITING, path, "1000"], stdout=subprocess.PIPE, text=True)
    with process:
        yield path, process
        process.kill()


def test_killed_it_leaves_whole_frames(writing: tuple[Path, Any]) -> None:
    path, process = writing
    for _ in range(20):
        written = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    written = max([written, *(int(line) for line in process.stdout)])
    frames = decoded(path)
    # The last one may have been on its way.
    assert written - 1 <= len(frames) <= written + 1
    assert all(frame.height == 120 for frame in frames)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_ends_it_at_the_last_whole_frame(tmp_path: Path, suffix: str) -> None:
    disk = tmp_path / "disk"
    keep = f'{sys.executable} -c "$1" disk/x{suffix} 1000; code=$?; cp disk/x{suffix} kept{suffix}; exit $code'
    run = on_small_disk(disk, 200_000, "sh", "-c", keep, "sh", WRITING)
    assert run.returncode == 1
    assert "No space left on device; it ends after" in run.stderr
    written = int(run.stderr.split("it ends after ")[1].split()[0])
    frames = decoded(tmp_path / f"kept{suffix}")
    assert written > 2
    assert len(frames) in (written - 1, written)
    assert np.ptp(frames[-1].to_ndarray(format="gray")) > 100


def test_what_was_there_is_replaced_only_with_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"before")
    with VideoWriter(path) as writer:
        assert path.read_bytes() == b"before"
        writer.write(picture(1), 0.0)
    assert len(decoded(path)) == 1
    assert os.listdir(tmp_path) == ["x.mp4"]
