"""make test-native: installs the built wheels on every CPython that this machine has, and runs the tests there."""

from __future__ import annotations

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import suite
from tools import REPOSITORY, Python, pythons

BUILD = REPOSITORY / "build/native"
GIL = "import fastyolo.kernels.postprocess, fastyolo.kernels.preprocess, sys; sys.exit(sys._is_gil_enabled())"


def run_python(python: Python) -> tuple[str, suite.Outcome, float]:
    """A venv of its own with what pip would choose there; its name in the table, what the tests showed, seconds."""
    started = time.monotonic()
    name = f"{python.version[0]}.{python.version[1]}{'t' if python.free_threaded else ''}"
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    suite.output([python.executable, "-m", "venv", folder / "venv"], folder)
    installed = folder / "venv/bin/python"
    artefact = _artefact(python)
    pip: list[str | Path] = [installed, "-m", "pip", "install", "-q"]
    if python.free_threaded:
        # No TFLite runtime has a wheel for it, so that pip would not install the package with what it depends on.
        suite.output([*pip, "--only-binary=:all:", "numpy", "pillow", "typer", "pytest"], folder)
        suite.output([*pip, "--no-deps", artefact], folder)
        suite.output([installed, "-c", GIL], folder)
    else:
        suite.output([*pip, artefact, *suite.TEST_TOOLS], folder)
    outcome = suite.run(installed, folder, "kernels" if python.free_threaded else "whole")
    kind = "from source" if artefact.suffix == ".gz" else "-".join(artefact.name.split("-")[2:4])
    return f"Python {name}, {kind}", outcome, time.monotonic() - started


def _artefact(python: Python) -> Path:
    """Free-threaded Pythons have no stable ABI: for them the sdist is compiled."""
    if python.free_threaded:
        pattern = "*.tar.gz"
    else:
        pattern = "*-cp310-cp310-*x86_64.whl" if python.version == (3, 10) else "*-cp311-abi3-*x86_64.whl"
    (artefact,) = (REPOSITORY / "dist").glob(pattern)
    return artefact


def main() -> int:
    suite.prepare()
    with ThreadPoolExecutor(2) as executor:
        rows = list(executor.map(run_python, pythons()))
    print(f"{'target':<34} {'passed':>7} {'left out':>9} {'seconds':>8}")
    for name, outcome, seconds in rows:
        print(f"{name:<34} {outcome.passed:>7} {outcome.left_out.total():>9} {seconds:>8.0f}")
    if not any(python.free_threaded for python in pythons()):
        print("free-threaded: not tested, this machine has no such Python")
    suite.print_left_out("each that has the lock", rows[0][1])
    for python, (name, outcome, _) in zip(pythons(), rows, strict=True):
        if python.free_threaded:
            suite.print_left_out(name, outcome)
    for name, outcome, _ in rows:
        for problem in outcome.problems:
            print(f"\n{name}: {problem}")
    return int(any(outcome.problems for _, outcome, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
