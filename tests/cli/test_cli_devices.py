"""`detect` never names a device that did not run, whatever its delegate does."""

from __future__ import annotations

import json
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
        ("holes", "48 on the device in 11 parts, 12 on the CPU ("),
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


def test_npu_and_auto_on_a_machine_without_one(hopper_path: Path) -> None:
    run = fastyolo("detect", hopper_path, "--device", "npu")
    assert run.returncode == 1
    assert "no NPU: this is" in one_line(run.stderr)
    run = fastyolo("detect", hopper_path, "--device", "auto")
    assert run.returncode == 0
    assert one_line(run.stderr).startswith("auto chose cpu: no NPU: this is")


def test_info_says_who_takes_which_operators(device_library: Path) -> None:
    record = json.loads(fastyolo("info", "--device", f"{device_library},do=half", "--format", "json").stdout)
    assert record["device"]["ran"]["device"] == record["device"]["ran"]["cpu"] == 30
    assert "30 on the device in 1 part" in fastyolo("info", "--device", f"{device_library},do=half").stdout


def test_a_slow_first_inference_is_told(hopper_path: Path, device_library: Path) -> None:
    run = fastyolo("detect", hopper_path, "--device", f"{device_library},slow=2500")
    assert "first inference on" in one_line(run.stderr)


def test_the_doctor_leaves_with_1_when_a_device_is_unwell(hopper_path: Path, device_library: Path) -> None:
    run = fastyolo("doctor", "--device", f"{device_library},do=dies", "--images", hopper_path)
    assert run.returncode == 1
    assert "ended by SIGSEGV" in run.stdout
    run = fastyolo("doctor", "--device", "cpu", "--images", hopper_path, "--format", "json")
    assert (run.returncode, json.loads(run.stdout)["healthy"]) == (0, True)
