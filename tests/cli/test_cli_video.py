"""``fastyolo detect`` on videos, cameras and streams."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clips import decoded, make_clip
from command import COMMAND, fastyolo, one_line
from mjpeg_server import serving


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, hopper_path: Path) -> Path:
    """A folder with x.mp4 and x.mkv, 10 frames each with a person, and hopper.jpg."""
    folder = tmp_path_factory.mktemp("clips")
    picture = Image.open(hopper_path)
    picture.load()
    pictures = [picture.resize((320, 240)).rotate(index) for index in range(10)]
    make_clip(folder / "x.mp4", pictures)
    make_clip(folder / "x.mkv", pictures, codec="mjpeg", pixels="yuvj420p")
    picture.save(folder / "hopper.jpg")
    Image.new("RGB", (320, 240), "grey").save(folder / "grey.png")
    make_clip(folder / "half.mp4", [*pictures[:3], *[Image.new("RGB", (320, 240), "grey")] * 3])
    return folder


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_jsonl_and_csv_say_the_same_of_every_frame(clips: Path) -> None:
    lines = records(fastyolo("detect", "x.mp4", "hopper.jpg", "-f", "jsonl", cwd=clips).stdout)
    assert [(line["source"], line.get("frame"), line.get("time")) for line in lines] == [
        *[("x.mp4", number, pytest.approx(number / 30, abs=1e-6)) for number in range(10)],
        ("hopper.jpg", None, None),
    ]
    assert all(line["detections"] for line in lines)
    table = csv.DictReader(io.StringIO(fastyolo("detect", "x.mp4", "hopper.jpg", "-f", "csv", cwd=clips).stdout))
    assert table.fieldnames is not None
    assert table.fieldnames[:5] == ["source", "frame", "time", "width", "height"]
    assert [(row["source"], row["frame"], row["name"], float(row["x1"])) for row in table] == [
        (line["source"], str(line.get("frame", "")), found["name"], found["xyxy"][0])
        for line in lines
        for found in line["detections"]
    ]


def test_which_frames_and_the_table(clips: Path) -> None:
    options = ("--start", "0.1", "--every", "3", "--max-frames", "2")
    run = fastyolo("detect", "x.mp4", *options, cwd=clips)
    headings = [line for line in run.stdout.splitlines() if not line.startswith("  ")]
    assert [heading.partition(": 320 x 240, ")[0] for heading in headings] == [
        "x.mp4 frame 3 at 0.100 s",
        "x.mp4 frame 6 at 0.200 s",
    ]
    assert run.stderr == ""


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_an_annotated_video(clips: Path, tmp_path: Path, name: str) -> None:
    run = fastyolo("detect", "x.mp4", "-o", tmp_path / name, "-f", "jsonl", cwd=clips)
    assert one_line(run.stderr) == f"saved {tmp_path / name}, 10 frames"
    frames = decoded(tmp_path / name)
    assert [frame.time for frame in frames] == pytest.approx([number / 30 for number in range(10)], abs=1e-3)
    difference = frames[0].to_ndarray(format="rgb24").astype(int) - decoded(clips / "x.mp4")[0].to_ndarray(
        format="rgb24"
    )
    assert abs(difference).max() > 100, "boxes are drawn on it"
    assert abs(difference).mean() < 20


def test_annotated_pictures_of_frames(clips: Path, tmp_path: Path) -> None:
    run = fastyolo("detect", "half.mp4", "-o", tmp_path / "all", "--every", "2", cwd=clips)
    assert one_line(run.stderr) == f"saved 3 pictures in {tmp_path / 'all'}/"
    assert sorted(os.listdir(tmp_path / "all")) == [f"half_00000{number}.jpg" for number in (0, 2, 4)]
    run = fastyolo("detect", clips / "half.mp4", "--save-frames", "-o", "x.mp4", cwd=tmp_path)
    assert sorted(os.listdir(tmp_path / "fastyolo-out")) == [f"half_00000{number}.jpg" for number in range(3)]
    assert len(decoded(tmp_path / "x.mp4")) == 6


def test_one_picture_by_its_name(clips: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    assert one_line(fastyolo("detect", clips / "hopper.jpg", "-o", path).stderr) == f"saved {path}"
    assert size_of(path) == (512, 600)
    run = fastyolo("detect", clips / "x.mp4", "--max-frames", "1", "-o", path)
    assert one_line(run.stderr) == f"saved {path}"
    assert size_of(path) == (320, 240)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("gone.mp4",), 1, "gone.mp4: no such file"),
        (("0",), 1, "/dev/video0: no such camera; no camera was found"),
        (("camera?size=large",), 2, "options of a camera are size=1280x720"),
        (("camera",), 1, "no camera was found"),
        (("/dev/video_x",), 1, "no such camera"),
        (("gst:videotestsrc ! appsink",), 1, "python3-gst-1.0"),
        (("rtsp://127.0.0.1:9/x",), 1, "Connection refused"),
        (("x.mp4", "-f", "yolo"), 2, "--format yolo is for pictures"),
        (("x.mp4", "-f", "coco"), 2, "--format coco is for pictures"),
        (("x.mp4", "-o", "x.mp4"), 1, "x.mp4 is what is read"),
        (("x.mp4", "x.mkv", "-o", "y.mp4"), 2, "for one source, got 2"),
        (("hopper.jpg", "-o", "y.mp4"), 2, "is a video, but hopper.jpg is a picture"),
        (("hopper.jpg", "grey.png", "-o", "y.jpg"), 2, "for one source, got 2"),
        (("x.mp4", "-o", "y.jpg"), 2, "--max-frames 1"),
        (("x.mp4", "--yuv-matrix", "bt2020"), 2, "yuv_matrix must be"),
        (("x.mp4", "--duration", "0"), 2, "duration must be"),
    ],
)
def test_every_error_is_one_line(clips: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    before = sorted(os.listdir(clips))
    run = fastyolo("detect", *arguments, cwd=clips)
    assert said in one_line(run.stderr)
    assert run.returncode == code
    assert sorted(os.listdir(clips)) == before


def test_stdin(clips: Path) -> None:
    def on(content: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*COMMAND, "detect", "-", *options], input=content, capture_output=True, check=False)

    run = on((clips / "x.mkv").read_bytes(), "-f", "jsonl", "--max-frames", "2")
    assert [(line["source"], line["frame"]) for line in records(run.stdout.decode())] == [("-", 0), ("-", 1)]
    assert b"1 person, 1 tie" in on((clips / "hopper.jpg").read_bytes()).stdout
    with open(clips / "x.mp4", "rb") as file:
        run = subprocess.run([*COMMAND, "detect", "-", "-f", "jsonl"], stdin=file, capture_output=True, check=False)
    assert len(records(run.stdout.decode())) == 10


def test_a_picture_and_a_camera_over_http(clips: Path, tmp_path: Path) -> None:
    with serving([(clips / "hopper.jpg").read_bytes()], most=5) as server:
        run = fastyolo("detect", f"{server.address}/one.jpg", "-o", tmp_path / "out.jpg")
        assert "1 person, 1 tie" in run.stdout
        assert size_of(tmp_path / "out.jpg") == (512, 600)
        run = fastyolo("detect", f"{server.address}/camera", "-f", "jsonl")
        *frames, fault = records(run.stdout)
        assert run.returncode == 1
        assert fault["error"].endswith("/camera has ended")
        assert all(frame["age"] > 0 for frame in frames)


def test_a_cut_video_is_an_error_after_its_frames(clips: Path, tmp_path: Path) -> None:
    with Image.open(clips / "hopper.jpg") as picture:
        pictures = [picture.rotate(20 * index) for index in range(4)]
    clip = make_clip(tmp_path / "x.mp4", pictures, container={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    run = fastyolo("detect", clip, "-f", "jsonl")
    *frames, fault = records(run.stdout)
    assert run.returncode == 1
    assert 1 <= len(frames) <= 3
    assert "of its 4 frames" in fault["error"]


def test_names_carry_no_escapes(clips: Path, tmp_path: Path) -> None:
    name = "a\x1b[2Jb.mp4"
    os.link(clips / "x.mp4", tmp_path / name)
    for options in ((), ("-f", "jsonl"), ("-o", "out"), ("--save-frames", "-o", "c\x1b.mkv")):
        run = fastyolo("detect", name, "--max-frames", "1", *options, cwd=tmp_path)
        assert run.returncode == 0
        assert "\x1b" not in run.stdout + run.stderr


def test_without_pyav_everything_else_works(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [*COMMAND, "detect", *arguments]
        return subprocess.run(command, cwd=clips, env=environment, capture_output=True, text=True, check=False)

    message = one_line(run("x.mp4").stderr)
    assert "needs PyAV, which is not installed: pip install av" in message.replace("need PyAV", "needs PyAV")
    picture = run("hopper.jpg")
    assert "1 person, 1 tie" in picture.stdout
    assert picture.returncode == 0


def test_pictures_do_not_import_pyav(clips: Path) -> None:
    program = (
        "import sys, fastyolo.cli.app as cli; cli.make_app()(args=['detect', 'hopper.jpg'], standalone_mode=False); "
        "assert not {'av', 'gi', 'rich.progress'} & set(sys.modules), 'imported for nothing'"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=clips, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_one_line_on_a_terminal(clips: Path) -> None:
    ours, theirs = pty.openpty()
    run = subprocess.Popen([*COMMAND, "detect", "x.mp4"], cwd=clips, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        pass  # the terminal ends with the process
    assert run.wait() == 0
    assert shown.count(b"\r\x1b[K") == 10
    assert shown.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_at_any_moment_outputs_are_whole(clips: Path, tmp_path: Path, number: signal.Signals) -> None:
    moments = random.Random(int(number))
    for turn in range(3):
        out = tmp_path / f"{turn}{'.mp4' if turn % 2 else '.mkv'}"
        command = [*COMMAND, "detect", "x.mp4", "--realtime", "-f", "jsonl", "-o", out]
        # A camera that never ends would do as well; ten frames a third of a second apart are enough to be hit.
        process = subprocess.Popen(command, cwd=clips, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(moments.uniform(0, 0.2))
        began = time.monotonic()
        process.send_signal(number)
        rest, stderr = process.communicate(timeout=20)
        assert time.monotonic() - began < 2
        assert "Traceback" not in stderr
        assert process.returncode in (0, {2: 130, 15: 143, 9: -9}[int(number)])
        lines = records(first + (rest if number != signal.SIGKILL else rest.rpartition("\n")[0]))
        # Killed before its first whole frame, it has no name yet.
        assert abs((len(decoded(out)) if out.exists() else 0) - len(lines)) <= 2
