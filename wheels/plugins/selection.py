"""A pytest plugin: which tests run on an emulated board, and for every other one the reason why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# Where tests of a folder run is said here, for one test by the markers of pyproject.toml.
KERNELS = "kernels"
"""The folder that needs neither a TFLite runtime nor OpenCV."""

PC = {
    "cli": "command line beyond the tests marked `board`: each process takes ten emulated seconds",
    "runtime": "compiles a delegate for the machine it runs on, edits models with ai-edge-litert's schema",
    "export": "exporting is work for a PC",
    "evaluate": "evaluating is work for a PC",
    "fuzz": "drawn by Hypothesis, where the sanitized build can be made",
    "project": "about the project's own tools on the machine that builds it (wheel, README, counts, benchmarks)",
}
"""Folders whose tests are for a PC, and why."""

NO_RUNTIME = "no TFLite runtime and no OpenCV are to be had for this Python"
SLOW_INFERENCE = "inferences, of up to 12 emulated seconds each with tflite-runtime; the other board runs them"

# What an installation can do: everything, everything but run the network often, decode alone.
KINDS = ("whole", "slow inference", "kernels")


def reason_left_out(item: pytest.Item, kind: str) -> str | None:
    """None for a test that runs on an installation of this kind."""
    pc = item.get_closest_marker("pc")
    folder = _folder(item.path)
    if pc is not None:
        return str(pc.args[0])
    if kind == "kernels":
        return None if folder == KERNELS else NO_RUNTIME
    if kind == "slow inference" and item.get_closest_marker("inference") is not None:
        return SLOW_INFERENCE
    return None if item.get_closest_marker("board") is not None else PC.get(folder)


def _folder(path: Path) -> str:
    """The folder of tests/ that a test file is in, "" for tests/ itself."""
    return path.parent.name if path.parent.name != "tests" else ""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # Where only the boards' tests run, the others' imports need not be there, nor those of a folder's conftest.
    if not _selects():
        return None
    if collection_path.is_dir():
        folder = collection_path.name if collection_path.parent.name == "tests" else ""
    elif collection_path.stem.startswith("test_"):
        folder = _folder(collection_path)
        if not folder and os.environ["FASTYOLO_KIND"] == "kernels":
            return True
    else:
        return None
    left_out = set(PC) - {"cli"}
    if os.environ["FASTYOLO_KIND"] == "kernels":
        return folder not in ("", KERNELS) or None
    return folder in left_out or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {item.nodeid: {kind: reason_left_out(item, kind) for kind in KINDS} for item in items}
    if "FASTYOLO_SELECTION" in os.environ:
        Path(os.environ["FASTYOLO_SELECTION"]).write_text(json.dumps(reasons))
    if _selects():
        kind = os.environ["FASTYOLO_KIND"]
        config.hook.pytest_deselected(items=[item for item in items if reasons[item.nodeid][kind]])
        items[:] = [item for item in items if reasons[item.nodeid][kind] is None]


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    if _selects():
        Path(os.environ["FASTYOLO_OUTCOMES"]).write_text(json.dumps(_outcomes))


def _selects() -> bool:
    return "FASTYOLO_OUTCOMES" in os.environ
