"""The doctor's verdict on delegates that are right, and on those that lie."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from fastyolo.doctor import diagnose

pytestmark = [
    pytest.mark.pc("its devices are compiled on a PC"),
    pytest.mark.inference,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.mark.parametrize(
    ("do", "unwell", "says"),
    [
        ("right", (), ""),
        ("half,slow=300", (), ""),
        ("nothing", ("operators",), "by XNNPACK"),
        ("off", ("heads",), "one side +3.00"),
        ("layer", ("heads",), "mean difference"),
        ("other", ("repetition", "heads"), "another answer"),
        ("dies", ("device",), "SIGSEGV"),
        ("fails", ("device",), "the device does not answer"),
        ("right,refuse=no firmware", ("device",), "refused to start: no firmware"),
    ],
)
def test_verdicts(device_library: Path, hopper_path: Path, do: str, unwell: tuple[str, ...], says: str) -> None:
    record = diagnose(device=f"{device_library},do={do}", pictures=[str(hopper_path)])
    findings = {finding["what"]: finding for finding in record["findings"] if finding["state"] == "unwell"}
    assert set(unwell) <= set(findings)
    assert record["healthy"] is (not unwell)
    if unwell:
        assert says in findings[unwell[0]]["says"]
        assert findings[unwell[0]]["advice"]


def test_what_the_delegate_says_of_the_operators_it_leaves_is_shown(device_library: Path, hopper_path: Path) -> None:
    record = diagnose(device=f"{device_library},do=holes", pictures=[str(hopper_path)])
    findings = {finding["what"]: finding["says"] for finding in record["findings"]}
    assert findings["it says"].startswith("WARNING: the test device has no operator for node 4; WARNING:")
    assert "12 on the CPU" in findings["operators"]
    assert record["healthy"]
    assert record["boxes"]["found"] == record["boxes"]["sure"] > 0
    assert 0 <= record["boxes"]["score_mean"] <= record["boxes"]["score_largest"] < 0.3
    assert "apart, at most 0." in findings["boxes"]


def test_a_device_that_never_answers_is_not_waited_for(device_library: Path, hopper_path: Path) -> None:
    record = diagnose(device=f"{device_library},slow=60000", pictures=[str(hopper_path)], seconds=4)
    assert any("no answer within 4 s" in finding["says"] for finding in record["findings"])


def test_the_cpu_is_well(hopper_path: Path) -> None:
    record = diagnose(device="cpu", pictures=[str(hopper_path)])
    assert record["healthy"]
    assert record["ran"]["xnnpack"] > 50
    (operators,) = [finding for finding in record["findings"] if finding["what"] == "operators"]
    assert operators["says"].startswith(f"{record['runtime']}, 60 operators")


def test_where_int8_has_one_way_on_the_cpu_another_way_is_no_fault(
    tflite_runtime: dict[str, str], hopper_path: Path
) -> None:
    program = """
import json, sys
from fastyolo import doctor
from fastyolo.runtime import session

session.on_nxp_soc = lambda: True  # as on the boards: tflite-runtime comes first
if __name__ == "__main__":
    print(json.dumps(doctor.diagnose(device="cpu", pictures=[sys.argv[1]])))
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(hopper_path)],
        env=tflite_runtime, capture_output=True, text=True, check=True,
    )  # fmt: skip
    record = json.loads(run.stdout)
    assert record["runtime"].startswith("litert")
    assert record["heads"][0]["mean"] > 1  # LiteRT's XNNPACK against tflite-runtime's own kernels
    assert record["healthy"], record["findings"]


def test_the_cpu_is_compared_with_itself_under_another_runtime(
    tflite_runtime: dict[str, str], hopper_path: Path
) -> None:
    arguments = ("doctor", "--device", "cpu", "--images", str(hopper_path), "--format", "json")
    run = subprocess.run(
        [sys.executable, "-m", "fastyolo", *arguments], env=tflite_runtime, capture_output=True, text=True, check=False
    )
    record = json.loads(run.stdout)
    litert = metadata.version("ai-edge-litert")
    first, second = (found["says"].split(",")[0] for found in record["findings"] if found["what"] in "CPU operators")
    assert (first, second, record["runtime"]) == (f"litert {litert}", "tflite-runtime 2.14.0", "tflite-runtime 2.14.0")
    assert (run.returncode, record["healthy"]) == (0, True)
