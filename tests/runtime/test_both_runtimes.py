"""What delegates do is the same under LiteRT and under tflite-runtime 2.14, for which NXP builds its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastyolo.detector import BUNDLED_MODEL

pytestmark = [pytest.mark.inference, pytest.mark.slow]

# Each line is (name, model, device, whether XNNPACK may take part): what ran, what is printed of it, and the heads.
PROGRAM = """
import hashlib, json, sys
from fastyolo.errors import FastYoloError
from fastyolo.runtime.session import open_session

def answer(model, device, xnnpack):
    try:
        session = open_session(model, runtime=sys.argv[1], device=device, xnnpack=xnnpack)
        session.input_view()[:] = 3
        session.invoke()
    except FastYoloError as error:
        return {"error": str(error)}
    heads = [hashlib.sha256(session.output_view(tensor).tobytes()).hexdigest() for tensor in session.outputs]
    return {"device": session.device, "ran": session.ran.to_dict(), "heads": heads}

print(json.dumps({name: answer(*how) for name, *how in json.loads(sys.argv[2])}))
"""


@pytest.fixture(scope="module", params=["litert", "tflite-runtime"])
def answers(request: pytest.FixtureRequest, device_library: Path, float_model: Path) -> dict[str, Any]:
    environment = request.getfixturevalue("tflite_runtime") if request.param == "tflite-runtime" else dict(os.environ)
    choices = ("right", "half", "holes", "off", "layer", "nothing", "fails", "right,refuse=no firmware")
    asked = [
        ("plain", str(BUNDLED_MODEL), "cpu", False),
        ("float", str(float_model), "cpu", True),
        ("float half", str(float_model), f"{device_library},do=half", True),
        *((choice, str(BUNDLED_MODEL), f"{device_library},do={choice}", True) for choice in choices),
    ]
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, request.param, json.dumps(asked)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def counts(answer: dict[str, Any]) -> tuple[int, ...]:
    return tuple(answer["ran"][key] for key in ("operators", "device", "cpu", "xnnpack", "partitions"))


def test_who_took_what(answers: dict[str, Any]) -> None:
    assert counts(answers["plain"]) == (60, 0, 60, 0, 0)
    assert counts(answers["right"]) == (60, 60, 0, 0, 1)
    assert counts(answers["half"]) == (60, 30, 30, 0, 1)
    assert counts(answers["holes"]) == (60, 48, 12, 0, 11)


def test_xnnpack_takes_nothing_beside_a_device(answers: dict[str, Any]) -> None:
    operators, _, _, xnnpack, _ = counts(answers["float"])
    assert xnnpack > 0.9 * operators  # both runtimes would: the next line is the proof
    _, device, cpu, xnnpack, _ = counts(answers["float half"])
    assert (device, device + cpu, xnnpack) == (operators // 2, operators, 0)


def test_right_ones_answer_as_the_cpu_and_wrong_ones_do_not(answers: dict[str, Any]) -> None:
    for choice in ("right", "half", "holes"):
        assert answers[choice]["heads"] == answers["plain"]["heads"], choice
    for choice in ("off", "layer"):
        assert answers[choice]["heads"] != answers["plain"]["heads"], choice


def test_those_that_do_not_run_are_errors_of_one_line(answers: dict[str, Any]) -> None:
    for choice, said in {
        "nothing": "took none of the model's 60 operators",
        "fails": "the device does not answer",
        "right,refuse=no firmware": "refused to start: no firmware",
    }.items():
        assert said in answers[choice]["error"]
        assert "\n" not in answers[choice]["error"]
