"""An evaluation as tables for a terminal or a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fastyolo.cli.markdown import difference, markdown_table, percent
from fastyolo.files import shown

if TYPE_CHECKING:
    from fastyolo.evaluate import Evaluation
    from fastyolo.evaluate.ladder import Ladder
    from fastyolo.evaluate.scoring import CategoryScore
    from fastyolo.evaluate.worst import Worst


def evaluation_text(evaluation: Evaluation, worst: Sequence[Worst]) -> str:
    scores, counts = evaluation.scores, evaluation.scores.counts
    precisions = (scores.ap50, scores.ap, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large)
    recalls = (scores.ar1, scores.ar10, scores.ar100, scores.ar_small, scores.ar_medium, scores.ar_large)
    with_objects = sum(category.objects > 0 for category in scores.categories)
    tables = [
        markdown_table(
            ("AP50", "AP", "AP75", "AP small", "AP medium", "AP large"), [list(map(percent, precisions))], left=0
        ),
        markdown_table(
            ("AR1", "AR10", "AR100", "AR small", "AR medium", "AR large"), [list(map(percent, recalls))], left=0
        ),
        f"score >= {scores.threshold:g}, IoU 0.5: precision {percent(counts.precision)}, recall "
        f"{percent(counts.recall)}, F1 {percent(counts.f1)} (TP {counts.true_positives}, FP {counts.false_positives}, "
        f"FN {counts.false_negatives}); mean area under the curves {percent(scores.ap50_area)}",
        markdown_table(
            ("class", "objects", "AP50", "AP", "area", "TP", "FP", "FN"),
            [_row(category) for category in scores.categories if category.objects or category.counts.false_positives],
        ),
    ]
    if worst:
        rows = [(one.picture.name, str(one.misses), str(one.false_alarms)) for one in worst]
        tables.append(markdown_table(("picture", "missed", "false"), rows))
    of = f"{evaluation.images} images, {scores.objects} objects of {with_objects} classes"
    return "\n".join([f"{_ran(evaluation)}\n{of}; {_how(evaluation)}", *(f"\n{table}" for table in tables)])


def ladder_text(ladder: Ladder) -> str:
    rows = []
    before = None
    for number, rung in enumerate(ladder.rungs, 1):
        ap50, ap = rung.scores.ap50, rung.scores.ap
        steps = ("", "") if before is None else (difference(ap50, before.ap50), difference(ap, before.ap))
        rows.append((str(number), rung.change, percent(ap50), steps[0], percent(ap), steps[1]))
        before = rung.scores
    return "\n".join(
        [
            f"{shown(Path(ladder.models['int8']).name)} on {ladder.images} images, each row on top of the one above",
            "",
            markdown_table(("", "rule", "AP50", "change", "AP", "change"), rows, left=2),
            "",
            "All rows count up to 300 boxes an image. What the reference's own model file loses is not in this table.",
        ]
    )


def _ran(evaluation: Evaluation) -> str:
    model = evaluation.model
    if evaluation.settings is None:
        return f"{len(evaluation.found)} detections of {shown(Path(model['detections']).name)}"
    return f"{shown(Path(model['path']).name)}, {model['runtime']}, {model['device']}"


def _how(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    if settings is None:
        return f"up to {evaluation.max_detections} detections an image and class"
    return (
        f"score >= {settings.score_threshold:g}, {settings.nms} {settings.iou_threshold:g}, up to "
        f"{settings.max_detections} detections an image, {settings.resize}"
    )


def _row(category: CategoryScore) -> Sequence[str]:
    counts = category.counts
    return (
        category.name,
        str(category.objects),
        percent(category.ap50),
        percent(category.ap),
        percent(category.ap50_area),
        str(counts.true_positives),
        str(counts.false_positives),
        str(counts.false_negatives),
    )
