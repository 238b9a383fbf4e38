"""The bundled model on real pictures. Floors with room: 128 pictures check a recipe, they do not choose one."""

from __future__ import annotations

import pytest

from fastyolo.evaluate import Evaluation

pytestmark = pytest.mark.slow


def test_the_bundled_model_keeps_its_accuracy(on_coco: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    scores = on_coco.scores
    with capsys.disabled():
        print(f"\nbundled int8 model, 128 val2017 pictures: AP50 {scores.ap50:.2f}, AP {scores.ap:.2f}")
    assert scores.ap50 is not None
    assert scores.ap is not None
    assert scores.ap50 >= 47.0
    assert scores.ap >= 24.8
