"""How good what a file holds is, without a model: what was found elsewhere, or earlier."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastyolo.evaluate.evaluation import Evaluation
from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.results_file import read_results
from fastyolo.evaluate.scoring import DEFAULT_THRESHOLD, Progress, require_pycocotools, score_and_match
from fastyolo.evaluate.truth import StrPath

COCO_MAX_DETECTIONS = 100
"""How many detections of a picture and category count in the averages of COCO's own scorer."""


def evaluate_results(
    detections: StrPath,
    *,
    annotations: StrPath,
    images: StrPath | None = None,
    names: Sequence[str] | None = None,
    max_detections: int = COCO_MAX_DETECTIONS,
    threshold: float = DEFAULT_THRESHOLD,
    pictures: bool = False,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a results file. Its numbers are those of pycocotools' own summary.

    Args:
        detections: COCO's results, Darknet's ``-out``, or JSON of ``fastyolo detect``; see
            `fastyolo.evaluate.results_file.read_results`. Warnings say what in it is not among the annotations.
        annotations, images, threshold, limit, progress: see `fastyolo.evaluate.run.evaluate`. Pictures are looked for
            only where the annotations are labels, which are relative to the size of theirs.
        names: what classes are called, where the annotations do not say it.
        max_detections: how many of a picture and category count in average precision.
        pictures: whether pictures must be there whatever the annotations, to be drawn on later.

    Raises:
        EvaluationError: annotations or detections that cannot be scored.
        FastYoloError: pycocotools is not installed.
    """
    require_pycocotools()
    started = time.perf_counter()
    truth = read_ground_truth(annotations, images, names=lambda: names, pictures=pictures)
    found, remarks = read_results(Path(detections), truth)
    for remark in remarks:
        warnings.warn(remark, stacklevel=2)
    if limit is not None:
        truth = truth.of(truth.pictures[:limit])
        found = found.part(np.isin(found.image_id, [picture.id for picture in truth.pictures]))
    scores, matches = score_and_match(
        truth, found, max_detections=max_detections, threshold=threshold, progress=progress
    )
    return Evaluation(
        scores,
        images=len(truth.pictures),
        images_listed=len(truth.pictures),
        settings=None,
        model={"detections": str(detections)},
        max_detections=max_detections,
        seconds={"score": time.perf_counter() - started},
        found=found,
        matches=matches,
        truth=truth,
    )
