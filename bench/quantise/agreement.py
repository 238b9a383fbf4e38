"""How closely an int8 network's detections follow the float network's, without any annotation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fastyolo.export.relevance import head_relevance
from fastyolo.postprocess import Decoder, DecodeResult
from fastyolo.spec import ModelSpec

Heads = Mapping[str, npt.NDArray[np.float32]]
TRUTH_SCORE = 0.25
EVALUATION_SCORE = 0.001


@dataclass(frozen=True)
class Agreement:
    """How close one network's detections and heads are to another's.

    Attributes:
        ap50, ap: in percent, with the float network's detections of score >= 0.25 as truth.
        error: squared error of the heads, each number weighted by its relevance; mean of the pictures.
        snr: signal-to-noise of each head in dB, what is cut off included.
    """

    ap50: float
    ap: float
    error: float
    snr: tuple[float, ...]


def agreement(spec: ModelSpec, wanted: Sequence[Heads], found: Sequence[Heads]) -> Agreement:
    """Score what an int8 network computed against what the float network computed on the same pictures."""
    truth_decoder = Decoder(spec, score_threshold=TRUTH_SCORE, nms="iou")
    decoder = Decoder(spec, score_threshold=EVALUATION_SCORE, nms="iou", multi_label=True)
    truth = [truth_decoder(list(heads.values())) for heads in wanted]
    results = [decoder(list(heads.values())) for heads in found]
    ap50, ap = average_precision(truth, results)
    return Agreement(ap50, ap, _error(spec, wanted, found), tuple(_snr(name, wanted, found) for name in wanted[0]))


def average_precision(truth: Sequence[DecodeResult], found: Sequence[DecodeResult]) -> tuple[float, float]:
    """AP at IoU 0.5, and at 0.5 to 0.95, in percent. Boxes are in network pixels, which leaves IoU as it is."""
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = {
            "images": [{"id": index} for index in range(len(truth))],
            "categories": [{"id": int(label)} for label in sorted({int(c) for one in truth for c in one.class_id})],
            "annotations": _annotations(truth),
        }
        dataset.createIndex()
        evaluation = COCOeval(dataset, dataset.loadRes(_annotations(found)), "bbox")
        evaluation.params.maxDets = [1, 10, 300]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoU, recall, class, all areas, 300 detections
    ap50, ap = (100 * values[values > -1].mean() for values in (precision[0], precision))
    return float(ap50), float(ap)


def _annotations(results: Sequence[DecodeResult]) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for image, result in enumerate(results):
        for (x0, y0, x1, y1), score, label in zip(*(part.tolist() for part in result), strict=True):
            box = [x0, y0, x1 - x0, y1 - y0]
            entry = {"image_id": image, "category_id": label, "bbox": box, "score": score, "area": box[2] * box[3]}
            entries.append({**entry, "id": len(entries) + 1, "iscrowd": 0})
    return entries


def _error(spec: ModelSpec, wanted: Sequence[Heads], found: Sequence[Heads]) -> float:
    total = 0.0
    for a, b in zip(wanted, found, strict=True):
        for name, head in zip(a, spec.heads, strict=True):
            total += float(
                (head_relevance(a[name][0], head, spec.num_classes) * np.square(a[name][0] - b[name][0])).sum()
            )
    return total / len(wanted)


def _snr(name: str, wanted: Sequence[Heads], found: Sequence[Heads]) -> float:
    signal = sum(float(np.square(heads[name], dtype=np.float64).sum()) for heads in wanted)
    noise = sum(float(np.square(a[name] - b[name], dtype=np.float64).sum()) for a, b in zip(wanted, found, strict=True))
    return 10 * float(np.log10(signal / noise))
