"""How the command line ends when its streams are closed, it is interrupted, or a model is hostile."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from command import COMMAND, fastyolo, one_line
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import append_metadata, read_metadata

HOSTILE = "\x1b[2J\x9bcat\u202e"


def shell(words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command with redirections as a shell makes them."""
    command = f"{shlex.join(COMMAND)} {words}"
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def bare_model() -> bytes:
    """The bundled model without its metadata."""
    content = BUNDLED_MODEL.read_bytes()
    return content[: content.rindex(b"PK\x03\x04")]


def test_a_closed_stdout_is_one_line() -> None:
    run = shell("--version >&-")
    assert run.returncode == 1
    assert "Bad file descriptor" in one_line(run.stderr)


def test_a_closed_stderr_says_nothing_and_changes_nothing(tmp_path: Path) -> None:
    assert shell("--version 2>&-").stdout.startswith("fastyolo 0.")
    run = shell("detect gone.jpg 2>&-", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (1, "gone.jpg: failed\n")
    assert shell("detect gone.jpg 2>/dev/full", cwd=tmp_path).returncode == 1
    assert shell("detect --conf 2 gone.jpg <&- >&- 2>&-", cwd=tmp_path).returncode == 2


def test_readers_that_are_gone_are_quiet(tmp_path: Path) -> None:
    run = shell("info | true; echo ${PIPESTATUS[0]}")
    assert (run.stdout, run.stderr) == ("141\n", "")
    # One whose messages nobody reads still says by its code what happened.
    run = shell("detect gone.jpg 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}", cwd=tmp_path)
    assert (run.stdout, run.stderr) == ("1\n", "")


@pytest.mark.parametrize("module", ["typer", "numpy", "PIL"])
def test_an_interrupt_while_importing_is_one_quiet_line(tmp_path: Path, module: str) -> None:
    """A module of that name in front interrupts just as the real one would be imported."""
    (tmp_path / f"{module}.py").write_text(f"import os, signal\nos.kill(os.getpid(), {int(signal.SIGINT)})\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([*COMMAND, "info"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, one_line(run.stderr)) == (130, "", "interrupted")


def test_an_import_that_fails_because_it_was_interrupted_is_an_interrupt(tmp_path: Path) -> None:
    """Native modules report an interrupt as whatever they were doing."""
    lines = ["import os, signal", "try:", f"    os.kill(os.getpid(), {int(signal.SIGINT)})"]
    lines += ["except KeyboardInterrupt:", "    raise ImportError('multiarray failed to import')"]
    (tmp_path / "numpy.py").write_text("\n".join(lines))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([*COMMAND, "info"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, one_line(run.stderr)) == (130, "interrupted")


def test_names_from_metadata_reach_no_terminal_unescaped(tmp_path: Path, bare_model: bytes, hopper_path: Path) -> None:
    metadata = read_metadata(BUNDLED_MODEL)
    model = tmp_path / f"{HOSTILE}.tflite"
    model.write_bytes(append_metadata(bare_model, {**metadata, "names": [HOSTILE] * 80}))
    for arguments in (
        ["detect", hopper_path, "-m", model],
        ["detect", hopper_path, "-m", model, "-f", "csv"],
        ["detect", hopper_path, "-m", model, "--classes", "nothing"],
        ["detect", tmp_path / f"{HOSTILE}.jpg", "-m", model],
        ["info", "-m", model],
        ["detect", hopper_path, "--cfg", model],
    ):
        run = fastyolo(*arguments)
        assert all(line.isprintable() for line in (run.stdout + run.stderr).split("\n")), arguments
        assert r"\x1b[2J" in run.stdout + run.stderr, arguments
    assert json.loads(fastyolo("detect", hopper_path, "-m", model, "-f", "json").stdout)[0]["detections"][0]["name"]


@pytest.mark.parametrize(
    "damage",
    [
        {"input_size": [1e308, 416]},
        {"heads": [{"stride": 10**400, "anchors": [[1, 1]]}]},
        {"heads": {"a": 1}},
        {"heads": [[]]},
        {"names": {"a": 1}},
        {"resize": []},
        {"heads": [{"stride": 32, "anchors": [[1, 10**400]]}]},
        {"heads": [{"stride": 32, "anchors": [[1, 1]], "scale_x_y": "wide"}]},
    ],
)
def test_metadata_that_describes_nothing_is_one_line(tmp_path: Path, bare_model: bytes, damage: Any) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(append_metadata(bare_model, {**read_metadata(BUNDLED_MODEL), **damage}))
    for command in (["detect", "x.jpg"], ["info"]):
        (tmp_path / "x.jpg").touch()
        run = fastyolo(*command, "-m", model, cwd=tmp_path)
        assert run.returncode == 1
        assert "unexpected" not in one_line(run.stderr)


def test_a_packed_entry_that_is_damaged_is_one_line(tmp_path: Path, bare_model: bytes) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(bare_model)
    with zipfile.ZipFile(model, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"heads": ["x" * 1000]}))
    content = bytearray(model.read_bytes())
    content[content.index(b"metadata.json", len(bare_model)) + 15] ^= 0xFF
    model.write_bytes(content)
    assert "damaged metadata" in one_line(fastyolo("info", "-m", model).stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_of_native_code_ends_the_run_behind_it(number: signal.Signals) -> None:
    """PyAV prints what is raised while it writes, and goes on."""
    script = f"""
import os
from fastyolo.callbacks import called_by_native_code
from fastyolo.cli.signals import handle_signals, raise_received
@called_by_native_code
def write():
    os.kill(os.getpid(), {int(number)})
    for _ in range(1000): pass
    return "whole"
handle_signals()
print(write(), flush=True)
try:
    raise_received()
except BaseException as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["whole", "KeyboardInterrupt" if number == signal.SIGINT else "SystemExit"]
