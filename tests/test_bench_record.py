"""The bench tells what it timed, and a change only beyond noise."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from fastyolo.bench import bench, compare

pytestmark = [pytest.mark.pc("times a PC"), pytest.mark.inference]


def test_a_record_and_its_comparison(hopper_path: Path) -> None:
    record = bench(pictures=[str(hopper_path)], threads=[1], runs=5)
    (row,) = record["rows"]
    assert (row["device"], row["threads"]) == ("cpu", 1)
    for times in row["stages"].values():
        assert 0 < times["median"] <= times["p90"] <= times["p99"]
    assert compare(record, record) == []
    slower = copy.deepcopy(record)
    slower["rows"][0]["stages"]["inference"]["median"] += 1000
    (line,) = compare(slower, record)
    assert "inference: slower" in line


def test_the_pipelined_rate_and_the_peak_are_each_rows_own(hopper_path: Path) -> None:
    ballast = bytearray(b"x") * (300 << 20)
    before = bench(pictures=[str(hopper_path)], threads=[1], runs=5)["rows"][0]
    del ballast
    after = bench(pictures=[str(hopper_path)], threads=[1], runs=5)["rows"][0]
    assert after["peak_mb"] < before["peak_mb"] - 250
    for row in (before, after):
        assert row["per_second_pipelined"] > 0.5 * row["per_second"]
