"""Yolo-Fastest 1.1 in int8: what a small depthwise network that others trained keeps of its accuracy."""

from __future__ import annotations

from pathlib import Path

import pytest

from coco_eval import coco_accuracy
from fastyolo import Detector, ModelSpec
from fastyolo.export import export

pytestmark = pytest.mark.slow

FLOAT_AP50, FLOAT_AP = 36.86, 16.94
"""Of the float32 export on the same 128 pictures."""


def test_a_depthwise_network_stays_accurate(coco_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = coco_dir.parent / "networks"
    if not folder.exists():
        pytest.skip("needs the network, beside the COCO pictures")
    network = [folder / f"yolo-fastest-1.1.{kind}" for kind in ("cfg", "weights")]
    names = ModelSpec.yolov4_tiny().names
    # With all 128 it is 36.22 and 16.61; so many for the time it takes.
    pictures = sorted((coco_dir / "train2017").iterdir())[::6]
    path = export(*network, output_dir=tmp_path, calibration=pictures, names=names, formats=["int8"]).paths["int8"]
    accuracy = coco_accuracy(Detector(path, score_threshold=0.001, multi_label=True), coco_dir)
    with capsys.disabled():
        print(f"\nYolo-Fastest int8, 128 val2017 pictures: AP50 {accuracy.ap50:.2f}, AP {accuracy.ap:.2f}")
    assert accuracy.ap50 >= FLOAT_AP50 - 2.5
    assert accuracy.ap >= FLOAT_AP - 1.8
