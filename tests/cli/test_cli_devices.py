"""Devices on the command line: what is printed is what ran."""

from __future__ import annotations

import json
from pathlib import Path

from command import fastyolo, one_line


def test_npu_and_auto_on_a_machine_without_one(hopper_path: Path) -> None:
    run = fastyolo("detect", hopper_path, "--device", "npu")
    assert run.returncode == 1
    assert "no NPU: this is" in one_line(run.stderr)
    run = fastyolo("detect", hopper_path, "--device", "auto")
    assert run.returncode == 0
    assert one_line(run.stderr).startswith("auto chose cpu: no NPU: this is")


def test_a_device_that_took_nothing_is_not_printed(hopper_path: Path, device_library: Path) -> None:
    device = f"{device_library},do=nothing"
    run = fastyolo("detect", hopper_path, "--device", device)
    assert (run.returncode, run.stdout) == (1, "")
    assert "took none of the model's 60 operators" in one_line(run.stderr)
    run = fastyolo("detect", hopper_path, "--device", device, "--allow-cpu", "--timing")
    assert run.returncode == 0
    assert ", cpu, " in one_line(run.stderr)


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
