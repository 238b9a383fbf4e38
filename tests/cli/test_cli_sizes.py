"""``fastyolo export --sizes``: several input sizes in one command."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from command import COMMAND, fastyolo, one_line
from darknet_networks import tiny, write_network
from fastyolo import ModelSpec
from fastyolo.export import export, source
from fastyolo.export.sizes import export_sizes
from fastyolo.metadata import read_metadata


@pytest.fixture
def folder(tmp_path: Path, noise: Path) -> Path:
    """cats.cfg, cats.weights and pictures/ with eight pictures."""
    write_network(tmp_path, tiny(64, 96, 2), name="cats")
    shutil.copytree(noise, tmp_path / "pictures")
    return tmp_path


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.slow
def test_each_size_has_files_of_its_own_and_a_row_of_the_table(folder: Path) -> None:
    options = ["--format", "int8", "--calibration", "pictures", "-o", "out", "--report", "out/report.json"]
    run = fastyolo("export", "cats.cfg", "cats.weights", "--sizes", "32, 32x64", *options, cwd=folder)
    assert run.returncode == 0, run.stderr
    head, _, *rows = map(cells, run.stdout.splitlines())
    assert head == ["file", "weights", "size", "GMAC", "bytes", "head SNR, dB"]
    assert [row[:3] for row in rows] == [
        ["out/cats_32_int8.tflite", "per-channel", "32"],
        ["out/cats_32x64_int8.tflite", "per-channel", "32x64"],
    ]
    for row in rows:
        path = folder / row[0]
        assert int(row[4].replace(",", "")) == path.stat().st_size
        report = json.loads((folder / f"out/report_{row[2]}.json").read_text())
        heads = [tensor["snr_db"] for tensor in report["tensors"] if tensor["name"] in read_metadata(path)["outputs"]]
        assert len(heads) == 2
        assert row[5] == f"{min(heads):.1f}"
    alone = export(
        folder / "cats.cfg", folder / "cats.weights", output_dir=folder / "alone", calibration=folder / "pictures",
        formats=["int8"], input_size=(32, 64),
    )  # fmt: skip
    assert alone.paths["int8"].read_bytes() == (folder / "out/cats_32x64_int8.tflite").read_bytes()
    few, seconds = run.stderr.splitlines()
    assert few == "fastyolo: warning: 8 calibration pictures are few; about 100 make a better int8 file"
    assert seconds.startswith("fastyolo: seconds: read ")


@pytest.mark.slow
def test_weights_are_read_once_and_pictures_looked_up_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = source.read_weights
    monkeypatch.setattr(source, "read_weights", lambda *a: read.append(a) or original(*a))
    results = export_sizes(
        folder / "cats.cfg", folder / "cats.weights", sizes=[(32, 32), (32, 64)], output_dir=folder,
        calibration=folder / "pictures", formats=["int8"],
    )  # fmt: skip
    first = next(results)
    shutil.copy(folder / "pictures" / "3.png", folder / "pictures" / "more.png")
    (second,) = results
    assert first.pictures == second.pictures == 8
    assert len(read) == 1
    assert (first.multiply_adds * 2, first.weight_scales) == (second.multiply_adds, "per-channel")


def test_json_and_dry_run_name_the_operations_of_every_size(folder: Path) -> None:
    run = fastyolo("export", "cats.cfg", "cats.weights", "--sizes", "32,64x96", "--json", cwd=folder)
    small, large = json.loads(run.stdout)["files"]
    assert (small["path"], small["weights"], small["head_snr_db"]) == ("cats_32_float32.tflite", "float32", None)
    assert large["input_size"] == [64, 96] == list(ModelSpec.from_model(folder / large["path"]).input_size)
    assert large["multiply_adds"] == 6 * small["multiply_adds"]
    assert large["bytes"] == (folder / large["path"]).stat().st_size
    run = fastyolo("export", "--sizes", "320,416,352x608", "--dry-run", cwd=folder)
    assert [cells(row) for row in run.stdout.splitlines()[2:]] == [
        ["320", "2.044"], ["416", "3.454"], ["352x608", "4.271"],
    ]  # fmt: skip
    one = fastyolo("export", "cats.cfg", "cats.weights", "--input-size", "32", "--json", cwd=folder)
    assert json.loads(one.stdout) == {"files": [small], "reports": []}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--sizes", "32,40"], 2, "must be a multiple of 16 up to 16384 each way, got 40x40"),
        (["--sizes", "32,0"], 2, "up to 16384 each way, got 0x0"),
        (["--sizes", "32,32x64,32x32"], 2, "--sizes must differ, got 32 2 times"),
        (["--sizes", "32,large"], 2, "each of --sizes must be a size such as 320, or HEIGHTxWIDTH such as 256x416"),
        (["--sizes", "32,"], 2, "HEIGHTxWIDTH such as 256x416, got ''"),
        (["--sizes", "32", "--input-size", "64"], 2, "--sizes and --input-size both say how large the input is"),
        (["--sizes", "32", "-o", "cats_32.tflite"], 2, "--output must be a folder, for each size has files of its own"),
        (["--sizes", "32", "-o", "cats.cfg"], 1, "cannot create cats.cfg: cats.cfg is a file"),
        (["--sizes", "32", "--format", "int8"], 2, "format int8 needs calibration pictures, got none"),
        (["--sizes", "32", "--report", "r.md"], 2, "--report tells what quantisation chose"),
        (["--sizes", "32,48", "--calibration", "gone"], 1, "cannot calibrate: gone: no such file or folder"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(folder: Path, options: list[str], code: int, message: str) -> None:
    # It would be the first thing to be complained about.
    (folder / "cats.weights").write_bytes(b"")
    before = sorted(folder.rglob("*"))
    run = fastyolo("export", "cats.cfg", "cats.weights", *options, cwd=folder)
    assert run.returncode == code
    assert run.stdout == ""
    assert message in one_line(run.stderr)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files_and_says_which(folder: Path) -> None:
    sizes = ",".join(str(32 * factor) for factor in range(1, 20))
    command = [*COMMAND, "export", "cats.cfg", "cats.weights", "--sizes", sizes, "--calibration", "pictures"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "cats_64_quant.tflite").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert one_line(err) == "interrupted"
    listed = [cells(row)[0] for row in out.splitlines()[2:]]
    made = sorted(path.name for path in folder.glob("*.tflite"))
    # Between the last file's name and the next size there is a moment in which it is on the disk, yet not listed.
    assert 3 <= len(listed) < 3 * 19
    assert len(made) - len(listed) in (0, 3)
    assert {Path(name) for name in listed} <= {Path(name) for name in made}
    for name in made:
        assert read_metadata(folder / name)["outputs"]
    assert not list(folder.glob(".fastyolo-*"))
