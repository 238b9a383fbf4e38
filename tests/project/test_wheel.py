"""What gets built: an sdist without generated files, and a wheel that runs on its own."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_sdist_holds_sources_and_nothing_generated(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "src/fastyolo/kernels/postprocess.pyx" in names
    assert "src/fastyolo/models/yolov4-tiny_416_int8.tflite" in names
    assert "tests/support/reference.py" in names
    assert not [name for name in names if name.endswith((".so", ".html", ".pyc"))]
    assert not [name for name in names if name.endswith(".c") and not name.startswith(("tests/", "bench/"))]


def test_the_wheel_holds_what_is_needed_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "fastyolo/py.typed",
        "fastyolo/kernels/postprocess.pyi",
        "fastyolo/kernels/preprocess.pyi",
        "fastyolo/export/yolov4-tiny.cfg",
        "fastyolo/models/yolov4-tiny_416_int8.tflite",
        "fastyolo/models/yolov4-tiny_416_int8.md",
    ):
        assert needed in names
    assert sum(name.endswith(".so") for name in names) == 2
    assert sum("licenses/" in name for name in names) == 2
    assert not [name for name in names if name.endswith((".c", ".pyx", ".pxi", ".html")) or name.startswith("tests/")]


@pytest.fixture
def offline() -> list[str]:
    """A command prefix that leaves a program no network but an unconnected loopback."""
    prefix = ["unshare", "--user", "--map-root-user", "--net"]
    code = "import socket; print(socket.if_nameindex())"
    run = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("needs user namespaces: this system forbids unshare")
    assert run.stdout.strip() == "[(1, 'lo')]"
    return prefix


def test_the_wheel_detects_in_an_empty_venv_without_the_clone_or_a_network(
    wheel: Path, tmp_path: Path, hopper_path: Path, offline: list[str]
) -> None:
    venv.create(tmp_path / "venv")
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "venv" / "bin" / "python"]
    subprocess.run([*pip, "install", "--quiet", "--no-compile", wheel], check=True, capture_output=True, timeout=600)
    (tmp_path / "some.jpg").write_bytes(hopper_path.read_bytes())
    run = subprocess.run(
        [*offline, tmp_path / "venv" / "bin" / "fastyolo", "detect", "some.jpg", "--save"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "1 person, 1 tie" in run.stdout
    assert (tmp_path / "fastyolo-out" / "some.jpg").exists()
