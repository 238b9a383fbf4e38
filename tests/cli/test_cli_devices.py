"""`detect` never names a device that did not run, whatever its delegate does."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import fastyolo, one_line

pytestmark = pytest.mark.slow


def detect(picture: Path, folder: Path, *options: str) -> tuple[int, str]:
    run = fastyolo("detect", picture, "--output", folder, "--threads", "1", "--timing", *options)
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("right", "60 operators: 60 on the device in 1 part"),
        ("half", "30 on the device in 1 part, 30 on the CPU ("),
        ("holes", "45 on the device in 12 parts, 11 on the CPU ("),
        ("right,slow=200", "60 on the device"),
        # These did run; that they answer wrongly, doctor finds out.
        ("off", "60 on the device"),
        ("layer", "60 on the device"),
        ("other", "60 on the device"),
    ],
)
def test_one_that_runs_is_named(device_library: Path, hopper_path: Path, tmp_path: Path, do: str, said: str) -> None:
    asked = f"{device_library},do={do}"
    code, says = detect(hopper_path, tmp_path, "--device", asked)
    assert code == 0
    assert f", {asked}, 1 threads)" in says
    assert said in says


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("nothing", "took none of the model's 60 operators"),
        ("fails", "the device does not answer"),
        ("right,refuse=no firmware", "refused to start: no firmware"),
    ],
)
def test_one_that_does_not_run_is_an_error(
    device_library: Path, hopper_path: Path, tmp_path: Path, do: str, said: str
) -> None:
    code, says = detect(hopper_path, tmp_path, "--device", f"{device_library},do={do}")
    assert code == 1
    assert said in one_line(says)
    assert list(tmp_path.iterdir()) == []


def test_one_that_crashes_prints_nothing(device_library: Path, hopper_path: Path, tmp_path: Path) -> None:
    code, says = detect(hopper_path, tmp_path, "--device", f"{device_library},do=dies")
    assert code < 0
    assert "milliseconds" not in says


def test_the_cpu_in_its_place_is_called_the_cpu(device_library: Path, hopper_path: Path, tmp_path: Path) -> None:
    code, says = detect(hopper_path, tmp_path, "--device", f"{device_library},do=nothing", "--allow-cpu")
    assert code == 0
    assert ", cpu, 1 threads)" in says
    assert "on the device" not in says
