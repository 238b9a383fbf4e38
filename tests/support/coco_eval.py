"""COCO AP by pycocotools alone, to check `fastyolo.evaluate` with."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastyolo import Detections


class Accuracy(NamedTuple):
    """In percent: AP at IoU 0.50:0.95, at 0.50, and of objects below 32 x 32 pixels."""

    ap: float
    ap50: float
    ap_small: float


def score_results(results: Any, coco_dir: Path, pictures: int = 128) -> Accuracy:
    """Score a results file, or a list of its entries, on the first val2017 pictures, up to 300 objects in each."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco_dir / "instances_val2017_128.json"))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.imgIds = sorted(truth.getImgIds())[:pictures]
        evaluation.params.maxDets = [1, 10, 300]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # IoU, recall, class, area
    parts = (precision[..., 0], precision[0, ..., 0], precision[..., 1])
    return Accuracy(*(100 * values[values > -1].mean() for values in parts))


def twelve_numbers(results: str, annotations: Path) -> list[float]:
    """What pycocotools' own summary says of a results file, in percent."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [100 * float(value) for value in evaluation.stats]


def coco_accuracy(detect: Callable[[Path], Detections], coco_dir: Path, pictures: int = 128) -> Accuracy:
    """Run `detect` over the first val2017 pictures and score what it finds."""
    paths = sorted((coco_dir / "val2017").iterdir())[:pictures]
    entries = [entry for path in paths for entry in detect(path).to_coco(int(path.stem))]
    return score_results(entries, coco_dir, pictures)
