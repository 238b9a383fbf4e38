"""Yolo-Fastest 1.1, depthwise and trained by others: what the official Darknet program finds with it is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastyolo import DecodeResult, Detector, ModelSpec, decode_nms
from matching import Agreement, unmatched

pytestmark = [
    pytest.mark.pc("exports a network, and runs it over many pictures"),
    pytest.mark.slow,
    pytest.mark.inference,
]

SAME_OBJECT = Agreement(min_iou=0.5, max_score_difference=1.0)
"""A class and a place; scores are those of other arithmetic."""

Record = dict[str, Any]


@pytest.fixture(scope="module")
def seen_by_darknet(coco_dir: Path) -> dict[str, list[list[float]]]:
    """By picture, what ``darknet detector test`` printed, threshold 0.25."""
    path = coco_dir.parent / "darknet" / "darknet_test_yolo-fastest-1.1.json"
    if not path.exists():
        pytest.skip("needs what Darknet found, beside the COCO pictures")
    return {entry["file"]: entry["objects"] for entry in json.loads(path.read_text())}


@pytest.fixture(scope="module")
def model(coco_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fastyolo.export import export

    folder = coco_dir.parent / "networks"
    if not folder.exists():
        pytest.skip("needs the network, beside the COCO pictures")
    network = (folder / f"yolo-fastest-1.1.{kind}" for kind in ("cfg", "weights"))
    return export(*network, output_dir=tmp_path_factory.mktemp("fastest")).paths["float32"]


def aligned(picture: np.ndarray, size: int) -> np.ndarray:
    """Darknet's resize: bilinear, with the first and last pixels aligned."""
    for axis in (1, 0):
        old = picture.shape[axis]
        source = np.arange(size, dtype=np.float32) * np.float32((old - 1) / (size - 1))
        low = np.minimum(source.astype(np.intp), old - 1)
        share = (source - low).reshape((1, size, 1) if axis else (size, 1, 1))
        picture = picture.take(low, axis) * (1 - share) + picture.take(np.minimum(low + 1, old - 1), axis) * share
    return picture.astype(np.float32)


def matched(
    coco_dir: Path, seen: dict[str, list[list[float]]], find: Callable[[np.ndarray], DecodeResult]
) -> tuple[int, int, int]:
    """How many of Darknet's objects were found, of how many, and how many others."""
    counts = np.zeros(3, int)
    for name, objects in seen.items():
        with Image.open(coco_dir / "val2017" / name) as file:
            picture = np.asarray(file.convert("RGB"))
        table = np.array(objects, np.float64).reshape(-1, 6)
        size = np.array([picture.shape[1], picture.shape[0]] * 2)
        centre, half = table[:, 2:4], table[:, 4:] / 2
        theirs = DecodeResult(np.hstack([centre - half, centre + half]) * size, table[:, 1], table[:, 0].astype(int))
        mine = find(picture)
        hits = len(table) - len(unmatched(theirs, mine, SAME_OBJECT))
        counts += hits, len(table), len(mine.confidence) - hits
    return int(counts[0]), int(counts[1]), int(counts[2])


def test_under_darknets_rules(coco_dir: Path, seen_by_darknet: dict[str, list[list[float]]], model: Path) -> None:
    detector = Detector(model, score_threshold=0.25, multi_label=True)

    def find(picture: np.ndarray) -> DecodeResult:
        found = detector(picture)
        return DecodeResult(found.xyxy, found.confidence, found.class_id)

    hits, total, others = matched(coco_dir, seen_by_darknet, find)
    print(f"\nDarknet's objects found by Yolo-Fastest in float32: {hits} of {total}, and {others} others")
    assert total == 208
    assert hits >= 200


def test_with_darknets_own_resize(coco_dir: Path, seen_by_darknet: dict[str, list[list[float]]], model: Path) -> None:
    from fastyolo.runtime.session import open_session

    spec, session = ModelSpec.from_model(model), open_session(model)

    def find(picture: np.ndarray) -> DecodeResult:
        session.input_view()[0] = aligned(picture.astype(np.float32) / np.float32(255), 320)
        session.invoke()
        heads = [session.output_view(tensor).copy() for tensor in session.outputs]
        return decode_nms(
            heads, spec=spec, score_threshold=0.25, iou_threshold=0.45, multi_label=True, image_size=picture.shape[:2]
        )

    hits, total, others = matched(coco_dir, seen_by_darknet, find)
    print(f"\n... with its own resize: {hits} of {total}, and {others} others")
    assert hits >= total - 3
