"""What `info` says of a model's weights, and of the devices that take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import fastyolo
from darknet_networks import tiny, write_network
from fastyolo.flatfile import read_flatfile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, noise: Path) -> Path:
    """A small network with weights of either kind, and in float."""
    folder = tmp_path_factory.mktemp("weights")
    cfg, weights = write_network(folder, tiny())
    for form in ("per-tensor", "per-channel"):
        done = fastyolo("export", cfg, weights, "--calibration", noise, "--weights", form, "--output", folder / form)
        assert done.returncode == 0, done.stderr
    return folder


def model(folder: Path, form: str, kind: str = "int8") -> Path:
    (path,) = (folder / form).glob(f"*_{kind}.tflite")
    return path


def test_info_says_how_many_scales_weights_have(folder: Path) -> None:
    record = json.loads(fastyolo("info", "--format", "json", "--model", model(folder, "per-tensor")).stdout)
    weights = record["model"]["weights"]
    assert weights == {"convolutions": weights["convolutions"], "per_tensor": weights["convolutions"], "per_channel": 0,
                       "float": 0}  # fmt: skip
    assert record["model"]["metadata"]["resize"] == "stretch"
    assert "one scale in each of" in fastyolo("info", "--model", model(folder, "per-tensor")).stdout
    said = fastyolo("info", "--model", model(folder, "per-channel")).stdout
    assert "a scale per filter" in said
    assert "--target imx8mp" in said
    assert "no int8 NPU runs it" in fastyolo("info", "--model", model(folder, "per-tensor", "float32")).stdout


def test_the_target_asks_for_the_weights_it_runs(folder: Path, noise: Path, tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    done = fastyolo(
        "export", cfg, weights, "--calibration", noise, "--target", "imx8mp", "--format", "int8", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*_int8.tflite")
    assert set(read_flatfile(path).weight_scales) == {1}
    assert path.read_bytes() == model(folder, "per-tensor").read_bytes()
    done = fastyolo(
        "export", cfg, weights, "--calibration", noise, "--target", "imx8mp", "--weights", "per-channel", "-o", tmp_path
    )
    assert done.returncode == 2
    assert "--target imx8mp needs" in done.stderr
