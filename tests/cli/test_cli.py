"""The command line, each time as a process of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import COMMAND, fastyolo, one_line
from fastyolo.detector import BUNDLED_MODEL


@pytest.fixture
def pictures(tmp_path: Path, hopper_path: Path) -> Path:
    """a/hopper.jpg, b/hopper.jpg, b/c/hopper.png and a text file."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "a").mkdir()
    shutil.copy(hopper_path, tmp_path / "a" / "hopper.jpg")
    Image.open(hopper_path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "b" / "hopper.jpg")
    Image.open(hopper_path).reduce(2).save(tmp_path / "b" / "c" / "hopper.png")
    (tmp_path / "b" / "notes.txt").write_text("no picture")
    return tmp_path


def found(record: dict[str, list[dict[str, str]]]) -> list[str]:
    return [detection["name"] for detection in record["detections"]]


@pytest.mark.board
def test_the_table(hopper_path: Path) -> None:
    run = fastyolo("detect", hopper_path)
    assert run.returncode == 0
    assert run.stderr == ""
    heading, person, tie = run.stdout.splitlines()
    assert heading == f"{hopper_path}: 512 x 600, 1 person, 1 tie"
    assert person.split()[0] == "person"
    assert len(tie.split()) == 6


@pytest.mark.board
@pytest.mark.inference
def test_json_is_one_array(pictures: Path) -> None:
    run = fastyolo("detect", "a", "gone.jpg", "b", "--recursive", "--format", "json", cwd=pictures)
    records = json.loads(run.stdout)
    assert [record["source"] for record in records] == ["a/hopper.jpg", "gone.jpg", "b/hopper.jpg", "b/c/hopper.png"]
    assert found(records[0]) == ["person", "tie"]
    assert records[1] == {"source": "gone.jpg", "error": "gone.jpg: no such file or folder"}
    assert run.returncode == 1
    assert one_line(run.stderr) == "gone.jpg: no such file or folder"


def test_jsonl_and_csv_say_the_same(pictures: Path) -> None:
    lines = fastyolo("detect", "a/hopper.jpg", "b/hopper.jpg", "--format", "jsonl", cwd=pictures).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    table = csv.DictReader(io.StringIO(fastyolo("detect", "?/*.jpg", "-f", "csv", cwd=pictures).stdout))
    rows = [(row["source"], row["name"], float(row["x1"])) for row in table]
    assert rows == [
        (record["source"], detection["name"], detection["xyxy"][0])
        for record in records
        for detection in record["detections"]
    ]


@pytest.mark.board
@pytest.mark.inference
def test_saved_pictures_do_not_collide_and_spare_the_inputs(pictures: Path) -> None:
    run = fastyolo("detect", "-r", "a", "b", "--save", cwd=pictures)
    assert run.returncode == 0
    assert sorted(os.listdir(pictures / "fastyolo-out")) == ["hopper-2.jpg", "hopper.jpg", "hopper.png"]
    assert one_line(run.stderr) == "saved 3 pictures in fastyolo-out/"
    before = (pictures / "a" / "hopper.jpg").read_bytes()
    assert fastyolo("detect", "a/hopper.jpg", "--output", "a", cwd=pictures).returncode == 0
    assert (pictures / "a" / "hopper.jpg").read_bytes() == before
    assert sorted(os.listdir(pictures / "a")) == ["hopper-2.jpg", "hopper.jpg"]
    with Image.open(pictures / "a" / "hopper-2.jpg") as annotated:
        assert annotated.size == (512, 600)


def test_options_reach_the_detector(hopper_path: Path) -> None:
    def names(*options: str) -> list[str]:
        return found(json.loads(fastyolo("detect", hopper_path, "-f", "json", *options).stdout)[0])

    assert names("--classes", "tie,dog") == ["tie"]
    assert names("--classes", "0") == ["person"]
    assert names("--conf", "0.01", "--max-det", "3")[:2] == ["person", "tie"]
    assert len(names("--conf", "0", "--iou", "1", "--max-det", "50")) == 50
    assert names("--conf", "1") == []
    assert "person" in names("--resize", "letterbox", "--nms", "diou", "--threads", "1", "--runtime", "litert")


def test_timing_goes_to_stderr(hopper_path: Path) -> None:
    run = fastyolo("detect", hopper_path, hopper_path.with_name("logo2.png"), "--timing", "-f", "jsonl")
    assert [json.loads(line)["source"] for line in run.stdout.splitlines()]
    message = one_line(run.stderr)
    assert "median of 2 pictures" in message
    assert all(stage in message for stage in ("read", "preprocess", "inference", "postprocess"))


def test_a_model_is_described_by_flags(tmp_path: Path, hopper_path: Path) -> None:
    bare = tmp_path / "bare.tflite"
    content = BUNDLED_MODEL.read_bytes()
    bare.write_bytes(content[: content.rindex(b"PK\x03\x04")])
    run = fastyolo("detect", hopper_path, "--model", bare)
    assert run.returncode == 1
    assert "--cfg and --names" in one_line(run.stderr)
    assert "1 person, 1 tie" in fastyolo("detect", hopper_path, "--model", bare, "--cfg", "yolov4-tiny").stdout
    names = tmp_path / "my.names"
    names.write_text("\n".join(f"thing{index}" for index in range(80)))
    run = fastyolo("detect", hopper_path, "--names", names)
    assert "1 thing0, 1 thing27" in run.stdout
    assert "warning: the given names differ" in one_line(run.stderr)
    names.write_text("one\ntwo\n")
    assert "80 class names for this model, got 2" in one_line(fastyolo("detect", hopper_path, "--names", names).stderr)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory, hopper_path: Path) -> Path:
    """A folder with a good picture and with bad ones."""
    folder = tmp_path_factory.mktemp("spoiled")
    shutil.copy(hopper_path, folder / "x.jpg")
    (folder / "cut.jpg").write_bytes(hopper_path.read_bytes()[:20000])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty").mkdir()
    Image.new("1", (20000, 20000)).save(folder / "bomb.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Missing argument"),
        (("x.jpg", "--conf", "1.5"), 2, "--conf"),
        (("x.jpg", "--conf", "nan"), 2, ""),
        (("x.jpg", "--iou", "-1"), 2, "--iou"),
        (("x.jpg", "--max-det", "0"), 2, "--max-det"),
        (("x.jpg", "--nms", "soft"), 2, "--nms"),
        (("x.jpg", "--format", "xml"), 2, "--format"),
        (("x.jpg", "--nonsense"), 2, "--nonsense"),
        (("x.jpg", "--classes", "prson"), 2, "did you mean 'person'?"),
        (("x.jpg", "--device", "npu"), 1, "or run on --device cpu"),
        (("x.jpg", "--runtime", "onnx"), 2, "runtime must be"),
        (("x.jpg", "--model", "gone.tflite"), 1, "gone.tflite: No such file"),
        (("x.jpg", "--device", "./gone.so"), 1, "cannot open shared object file"),
        (("x.jpg", "--cfg", "gone.cfg"), 1, "gone.cfg"),
        (("x.jpg", "--names", "gone.names"), 1, "gone.names"),
        (("gone.jpg",), 1, "gone.jpg: no such file or folder"),
        (("empty",), 1, "empty has no pictures in it"),
        (("*.gif",), 1, "matches no picture"),
        (("text.jpg",), 1, "is not a picture"),
        (("cut.jpg",), 1, "truncated"),
        (("bomb.png",), 1, "--max-pixels"),
        (("x.jpg", "--output", "x.jpg"), 1, "output folder"),
    ],
)
def test_every_error_is_one_line(spoiled: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    run = fastyolo("detect", *arguments, cwd=spoiled)
    assert run.returncode == code
    assert said in one_line(run.stderr)


def test_a_larger_limit_lets_the_large_picture_through(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "x.png")
    run = fastyolo("detect", tmp_path / "x.png", "--max-pixels", "59999")
    assert "300 x 200 = 60000 pixels, more than the limit of 59999" in one_line(run.stderr)
    assert fastyolo("detect", tmp_path / "x.png", "--max-pixels", "60000").returncode == 0


@pytest.mark.board
def test_debug_shows_the_traceback() -> None:
    run = fastyolo("detect", "x.jpg", "--model", "gone.tflite", "--debug")
    assert run.returncode == 1
    assert "Traceback" in run.stderr


@pytest.mark.board
def test_a_full_disk_behind_stdout_is_one_line(hopper_path: Path) -> None:
    # Buffered, as users have it: what was not written is tried again at interpreter exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [*COMMAND, "detect", hopper_path],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 1
    assert "No space left on device" in one_line(run.stderr)


def test_a_closed_pipe_is_no_error(hopper_path: Path) -> None:
    pipeline = f"{' '.join(COMMAND)} detect {hopper_path} {hopper_path.parent} -f jsonl | head -c 10"
    run = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, timeout=120, check=False)
    assert run.stdout == '{"source":'
    assert "Error" not in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_no_half_picture(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Large pictures make writing slow enough to be hit; whatever stands in the folder afterwards must be whole."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (2500, 2500, 3), np.uint8)).save(tmp_path / "0.png", compress_level=1)
    for index in range(1, 40):
        os.link(tmp_path / "0.png", tmp_path / f"{index}.png")
    output = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "detect", tmp_path, "--output", output], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (output.is_dir() and any(name.endswith(".tmp") for name in os.listdir(output))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    for name in os.listdir(output):
        assert name.endswith(".png")
        with Image.open(output / name) as picture:
            picture.load()


def test_info_tells_what_works() -> None:
    text = fastyolo("info").stdout
    assert "litert: " in text
    assert "works, preferred" in text
    assert "tensorflow: not installed" in text
    record = json.loads(fastyolo("info", "--format", "json").stdout)
    assert record["model"]["classes"] == 80
    assert record["model"]["input"]["shape"] == [1, 416, 416, 3]
    assert record["machine"]["cores"] >= 1
    assert f"video        av {record['video']['av']}" in text
    assert one_line(fastyolo("info", "--model", "gone.tflite").stderr).endswith(
        "gone.tflite: No such file or directory"
    )


@pytest.mark.board
def test_help_and_version_name_every_command() -> None:
    text = fastyolo("--help").stdout
    assert all(command in text for command in ("detect", "evaluate", "export", "compile", "info"))
    assert fastyolo("--version").stdout.startswith("fastyolo 0.")
    assert fastyolo().returncode == 2 or "Usage" in fastyolo().stdout


@pytest.mark.slow
def test_export_writes_a_model_that_detect_takes(
    official_export: subprocess.CompletedProcess[str], official_files: dict[str, Path], hopper_path: Path
) -> None:
    *names, compiled = [line.removeprefix("models/") for line in official_export.stdout.splitlines()]
    assert names == [f"yolov4-tiny_416_{kind}.tflite" for kind in ("float32", "int8", "quant")]
    assert compiled == "model_imx93/yolov4-tiny_416_int8_vela.tflite"
    for path in official_files.values():
        assert "1 person, 1 tie" in fastyolo("detect", hopper_path, "--model", path).stdout
