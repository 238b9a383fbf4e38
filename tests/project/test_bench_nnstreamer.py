"""The filter's benchmark: it runs, its NumPy filter finds what ours finds, and its limit is met."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

from fastyolo import ModelSpec, decode_nms
from places import REPOSITORY

FOLDER = REPOSITORY / "bench" / "nnstreamer"


@pytest.mark.slow
def test_it_runs_and_meets_its_limit() -> None:
    command = [sys.executable, FOLDER / "run.py", "--seconds", "0.5"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(re.findall(r"^\| (?!filter)[\w, ]+\| +[\d.]+ \| +[\d.]+ \|$", run.stdout, re.MULTILINE)) == 10
    assert "times the kernel alone, at most 12: met" in run.stdout


def test_the_plain_filter_decodes_the_same_boxes() -> None:
    description = importlib.util.spec_from_file_location("numpy_filter", FOLDER / "numpy_filter.py")
    assert description is not None
    assert description.loader is not None
    module = importlib.util.module_from_spec(description)
    description.loader.exec_module(module)
    heads = [np.full(shape, -9, np.float32) for shape in ModelSpec.yolov4_tiny().head_shapes]
    heads[0][3, 4, 85 : 85 + 6] = 0.3, -0.2, 0.1, 0.4, 3, 4
    heads[1][20, 11, 170 : 170 + 6] = -0.5, 0.7, -0.1, 0.2, 2, 4
    (flat,) = module.NumpyFilter(0.25).invoke([head.ravel() for head in heads])
    table = flat.reshape(10647, 85)
    rows = np.flatnonzero(table[:, 4])
    rows = rows[np.argsort(-table[rows, 4])]
    centres, sizes = table[rows, :2] * 416, table[rows, 2:4] * 416
    expected = decode_nms(heads)
    np.testing.assert_allclose(np.hstack([centres - sizes / 2, centres + sizes / 2]), expected.xyxy, atol=0.01)
    np.testing.assert_allclose(table[rows, 4] * table[rows, 5:].max(1), expected.confidence, atol=1e-4)
