"""COCO AP of a detector, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastyolo import Detections


class Accuracy(NamedTuple):
    """In percent: AP at IoU 0.50:0.95, and at 0.50."""

    ap: float
    ap50: float


def coco_accuracy(detect: Callable[[Path], Detections], coco_dir: Path) -> Accuracy:
    """Run `detect` over the 128 val2017 pictures and score what it finds, up to 300 objects a picture."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(coco_dir / "instances_val2017_128.json"))
        results = []
        for image_id in sorted(truth.getImgIds()):
            name = truth.loadImgs(image_id)[0]["file_name"]
            results += detect(coco_dir / "val2017" / name).to_coco(image_id)
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.maxDets = [1, 10, 300]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class, all areas, 300 detections
    return Accuracy(*(100 * values[values > -1].mean() for values in (precision, precision[0])))
