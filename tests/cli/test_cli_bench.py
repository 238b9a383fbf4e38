"""``fastyolo bench``: tables, a chart, and a comparison with an older record."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from command import fastyolo, one_line


def test_tables_a_chart_and_a_comparison(hopper_path: Path, tmp_path: Path) -> None:
    chart, old = tmp_path / "stages.svg", tmp_path / "old.json"
    quick = ("bench", hopper_path, "--runs", "5", "--threads", "1")
    run = fastyolo(*quick, "--format", "json")
    old.write_text(run.stdout)
    record = json.loads(run.stdout)
    record["rows"][0]["stages"]["read"]["median"] += 1000
    old.write_text(json.dumps(record))
    run = fastyolo(*quick, "--chart", chart, "--compare", old)
    assert run.returncode == 0
    assert "read: faster" in run.stderr
    assert [line.split("|")[2].strip() for line in run.stdout.splitlines()[-4:]] == list(record["rows"][0]["stages"])
    bars = ElementTree.parse(chart).getroot().iter("{http://www.w3.org/2000/svg}title")
    assert [bar.text.partition(":")[0] for bar in bars if bar.text] == list(record["rows"][0]["stages"])


def test_what_cannot_be_is_said_before_anything_is_timed(hopper_path: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    for arguments, said in (
        ((hopper_path, "--chart", "stages.bmp"), "chart must end in .svg"),
        ((hopper_path, "--compare", tmp_path / "gone.json"), "cannot read"),
        ((hopper_path, "--compare", tmp_path / "other.json", "--runs", "5"), "is no record of fastyolo bench"),
        ((tmp_path / "gone.jpg",), "gone.jpg"),
        ((hopper_path, "--device", "npu"), "no NPU: this is"),
    ):
        run = fastyolo("bench", *arguments)
        assert run.returncode in (1, 2)
        assert said in one_line(run.stderr)
