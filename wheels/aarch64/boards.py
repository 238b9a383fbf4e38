"""The emulated boards: which processor, which Debian's Python; and a venv that runs on each."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sysroot import unpacked
from tools import REPOSITORY

BUILD = REPOSITORY / "build/aarch64"


@dataclass(frozen=True)
class Board:
    """One processor with one Python. `runtime` is what pip must choose by the wheel's dependency markers."""

    name: str
    cpu: str
    suite: str
    python: str
    runtime: str
    numpy_major: int
    kind: str = "whole"  # of plugins/selection.py

    @property
    def sysroot(self) -> Path:
        # Wheels of NumPy and TFLite need the C++ library, which every BSP's image has.
        return unpacked(BUILD / self.suite, self.suite, "arm64", [f"python{self.python}", "libstdc++6"])


A53 = Board("A53", "cortex-a53", "bookworm", "3.11", "tflite-runtime", 1, kind="slow inference")
A55 = Board("A55", "cortex-a55", "trixie", "3.13", "ai-edge-litert", 2)
BOARDS = (A53, A55)


def qemu() -> Path:
    """QEMU 10: the older one knows no Cortex-A55."""
    program = "usr/bin/qemu-aarch64"
    return unpacked(BUILD / "qemu", "trixie", "amd64", ["qemu-user"], only=program) / program


def python_command(board: Board) -> list[str]:
    """Runs the board's bare Python."""
    root = board.sysroot
    return [str(qemu()), "-cpu", board.cpu, "-L", str(root), str(root / f"usr/bin/python{board.python}")]


def new_venv(board: Board, folder: Path) -> Path:
    """An empty venv whose python is emulated, also when a program starts `sys.executable`; returns that python."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bin").mkdir(parents=True)
    home = board.sysroot / "usr/bin"
    (folder / "pyvenv.cfg").write_text(f"home = {home}\ninclude-system-site-packages = false\n")
    python = folder / "bin/python"
    *emulator, program = python_command(board)
    # A script, not a link: the kernel cannot start a program of another machine. -0 keeps Python in the venv.
    python.write_text(f'#!/bin/sh\nexec {shlex.join(emulator)} -0 "$0" {shlex.quote(program)} "$@"\n')
    python.chmod(0o755)
    return python


def install(python: Path, requirements: list[str], log: Path) -> None:
    """With pip running in the emulated Python, which is what evaluates the markers."""
    pip = BUILD / "pip"
    if not pip.is_dir():
        _host_pip(["download", "--no-deps", "--dest", str(pip), "pip"])
    (wheel,) = pip.glob("pip-*.whl")
    command = [str(python), f"{wheel}/pip", "install", "--disable-pip-version-check", "--no-compile", *requirements]
    with open(log, "a") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=True)


def _host_pip(arguments: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)
