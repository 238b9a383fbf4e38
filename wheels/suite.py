"""The tests of kernels and API against an installed wheel, run by another Python away from the source tree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tools import REPOSITORY

PLUGINS = Path(__file__).resolve().parent / "plugins"
BUILD = REPOSITORY / "build/suite"
CASES, SELECTION = BUILD / "oracle-cases.pickle", BUILD / "selection.json"
# What the tests import besides the package and its dependencies.
TEST_TOOLS = ["pytest", "matplotlib", "opencv-python-headless<5"]


@dataclass
class Outcome:
    """What a run showed; any problem fails it."""

    passed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def prepare() -> None:
    """Draw the oracle's cases on this machine, and list every test with the reason for which it is left out."""
    sources = [*(REPOSITORY / "tests").rglob("*.py"), *PLUGINS.glob("*.py")]
    if SELECTION.exists() and SELECTION.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    environment = {"FASTYOLO_ORACLE_CASES": str(CASES), "PYTHONPATH": str(PLUGINS)}
    pytest: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    output([*pytest, "-p", "oracle_cases", "tests/kernels/test_decode_oracle.py"], REPOSITORY, environment)
    environment = {"FASTYOLO_SELECTION": str(SELECTION), "PYTHONPATH": str(PLUGINS)}
    output([*pytest, "-p", "selection", "--collect-only"], REPOSITORY, environment)


def run(python: Path, folder: Path, kind: str = "whole") -> Outcome:
    """The selected tests, copied into `folder`; `python` has the wheel and the test tools installed.

    `kind`, of the installation, is one of plugins/selection.py's.
    """
    shutil.copytree(REPOSITORY / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    log, outcomes = folder / "tests.log", folder / "outcomes.json"
    environment = {
        "FASTYOLO_ORACLE_CASES": str(CASES),
        "FASTYOLO_OUTCOMES": str(outcomes),
        "PYTHONPATH": str(PLUGINS),
        "FASTYOLO_KIND": kind,
    }
    plugins = ["-p", "no:cacheprovider", "-p", "selection", "-p", "oracle_cases"]
    with open(log, "w") as file:
        done = subprocess.run(
            [python, "-m", "pytest", *plugins, "--durations=20"],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    result = Outcome()
    ran: dict[str, str] = json.loads(outcomes.read_text()) if outcomes.exists() else {}
    if done.returncode:
        result.problems.append(f"tests failed, see {log}:\n" + "\n".join(log.read_text().splitlines()[-40:]))
    if f"from {folder / 'venv'}" not in log.read_text():
        result.problems.append(f"the tests did not run on what is installed in {folder / 'venv'}")
    reasons: dict[str, dict[str, str | None]] = json.loads(SELECTION.read_text())
    every = {nodeid: reason[kind] for nodeid, reason in reasons.items()}
    # By file: names of tests differ between versions of NumPy, which calls one type bool or bool_.
    expected = Counter(nodeid.partition("::")[0] for nodeid, reason in every.items() if not reason)
    missing = expected - Counter(nodeid.partition("::")[0] for nodeid in ran)
    result.problems += [f"{count} tests of {file} did not run" for file, count in missing.items()]
    result.passed = sum(outcome == "passed" for outcome in ran.values())
    result.left_out = Counter(reason for reason in every.values() if reason)
    return result


def print_left_out(where: str, outcome: Outcome) -> None:
    print(f"\nleft out on {where}, and why:")
    for reason, count in outcome.left_out.most_common():
        print(f"{count:>5}  {reason}")


def output(command: list[str | Path], cwd: Path, environment: dict[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    run = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")
    return run.stdout
