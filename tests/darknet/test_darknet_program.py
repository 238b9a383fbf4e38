"""What the official Darknet program finds in 40 pictures, found from the command line under its rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import fastyolo
from fastyolo import DecodeResult
from fastyolo.export.fetch import OFFICIAL_CFG
from matching import Agreement, unmatched

pytestmark = [
    pytest.mark.pc("runs the command line over many pictures"),
    pytest.mark.slow,
    pytest.mark.inference,
]

SAME_OBJECT = Agreement(min_iou=0.5, max_score_difference=1.0)
"""A class and a place; scores are those of other arithmetic."""

Record = dict[str, Any]


@pytest.fixture
def seen_by_darknet(coco_dir: Path) -> Callable[[str], dict[str, Record]]:
    """Name of a results file -> by picture, what ``darknet detector test`` printed, threshold 0.25."""

    def read(name: str) -> dict[str, Record]:
        path = coco_dir.parent / "darknet" / name
        if not path.exists():
            pytest.skip("needs what Darknet found, beside the COCO pictures")
        return {entry["file"]: entry for entry in json.loads(path.read_text())}

    return read


def detect(coco_dir: Path, pictures: Iterable[str], *options: str | Path) -> dict[str, Record]:
    paths = [coco_dir / "val2017" / name for name in pictures]
    run = fastyolo("detect", *options, "--every-class", "--conf", "0.25", "--format", "json", *paths)
    assert run.returncode == 0, run.stderr
    return {Path(record["source"]).name: record for record in json.loads(run.stdout)}


def found(wanted: dict[str, Record], ours: dict[str, Record]) -> tuple[int, int, int]:
    """How many of Darknet's objects were found, of how many, and how many others."""
    counts = np.zeros(3, int)
    for name, entry in wanted.items():
        table = np.array(entry["objects"], np.float64).reshape(-1, 6)
        size = np.array([ours[name]["width"], ours[name]["height"]] * 2)
        centre, half = table[:, 2:4], table[:, 4:] / 2
        theirs = DecodeResult(np.hstack([centre - half, centre + half]) * size, table[:, 1], table[:, 0].astype(int))
        rows = ours[name]["detections"]
        columns = [[row[key] for row in rows] for key in ("xyxy", "confidence", "class_id")]
        mine = DecodeResult(np.array(columns[0]).reshape(-1, 4), *map(np.array, columns[1:]))
        hits = len(table) - len(unmatched(theirs, mine, SAME_OBJECT))
        counts += hits, len(table), len(rows) - hits
    return int(counts[0]), int(counts[1]), int(counts[2])


def test_the_official_network_under_darknets_rules(
    coco_dir: Path, seen_by_darknet: Callable[[str], dict[str, Record]]
) -> None:
    wanted = seen_by_darknet("darknet_test_v4tiny.json")
    hits, total, others = found(wanted, detect(coco_dir, wanted, "--cfg", "yolov4-tiny"))
    print(f"\nDarknet's objects found by the bundled model: {hits} of {total}, and {others} others")
    assert total == 174
    assert hits >= 162  # 165 were
    assert others <= 15


def test_letter_box_in_the_cfg(
    coco_dir: Path, seen_by_darknet: Callable[[str], dict[str, Record]], tmp_path: Path
) -> None:
    wanted = seen_by_darknet("darknet_test_v4tiny_letterbox.json")
    cfg = tmp_path / "yolov4-tiny.cfg"
    cfg.write_text(OFFICIAL_CFG.read_text().replace("[net]\n", "[net]\nletter_box=1\n"))
    hits, total, others = found(wanted, detect(coco_dir, wanted, "--cfg", cfg))
    print(f"\nletterboxed: {hits} of {total}, and {others} others")
    assert total == 149
    assert hits >= 135  # 137 were
    assert others <= 15


def test_the_float_export_needs_no_cfg(
    coco_dir: Path, seen_by_darknet: Callable[[str], dict[str, Record]], float_model: Path
) -> None:
    # Of all 40 pictures it finds 172 of 174, with 8 others.
    wanted = dict(list(seen_by_darknet("darknet_test_v4tiny.json").items())[:8])
    hits, total, others = found(wanted, detect(coco_dir, wanted, "--model", float_model))
    assert hits >= total - 1
    assert others <= 2
