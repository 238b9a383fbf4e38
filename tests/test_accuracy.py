"""The bundled model on real pictures. Floors with room: 128 pictures check a recipe, they do not choose one."""

from __future__ import annotations

from pathlib import Path

import pytest

from coco_eval import coco_accuracy
from fastyolo import Detector


def test_the_bundled_model_keeps_its_accuracy(coco_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = Detector(score_threshold=0.001, multi_label=True)
    accuracy = coco_accuracy(detector, coco_dir)
    with capsys.disabled():
        print(f"\nbundled int8 model, 128 val2017 pictures: AP50 {accuracy.ap50:.2f}, AP {accuracy.ap:.2f}")
    assert accuracy.ap50 >= 47.0
    assert accuracy.ap >= 24.8
