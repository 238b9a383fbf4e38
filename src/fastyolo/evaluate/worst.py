"""The pictures with the most mistakes, drawn with what is in them beside what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastyolo.evaluate.evaluation import Evaluation
from fastyolo.evaluate.matches import RIGHT, WRONG
from fastyolo.evaluate.truth import Picture, StrPath
from fastyolo.frames.picture import MAX_PIXELS, load_image
from fastyolo.results.comparison import Compared, Kind, Panel, draw_comparison
from fastyolo.results.output_names import OutputNames
from fastyolo.results.render import save_plot


class Worst(NamedTuple):
    """A picture and its mistakes at the threshold and IoU 0.50: objects that were missed, and false alarms."""

    picture: Picture
    misses: int
    false_alarms: int


def worst(evaluation: Evaluation, count: int) -> list[Worst]:
    """The pictures with the most mistakes, most first; fewer than `count` where not so many have any.

    Of equally many mistakes that comes first which has more misses, then the lower id.
    """
    threshold, truth = evaluation.scores.threshold, evaluation.truth
    missed = evaluation.matches.objects < threshold
    misses = Counter(entry.image_id for entry, is_missed in zip(truth.objects, missed, strict=True) if is_missed)
    wrong = (evaluation.matches.found == WRONG) & (evaluation.found.score >= threshold)
    false_alarms = Counter(evaluation.found.image_id[wrong].tolist())
    ranked = [Worst(one, misses[one.id], false_alarms[one.id]) for one in truth.pictures]
    ranked.sort(key=lambda one: (-(one.misses + one.false_alarms), -one.misses, one.picture.id))
    return [one for one in ranked[:count] if one.misses + one.false_alarms]


def save_worst(
    evaluation: Evaluation, pictures: list[Worst], folder: StrPath, *, max_pixels: int = MAX_PIXELS
) -> Iterator[Path]:
    """Draw each into an existing folder, and give its path: "01_" and the picture's name for the first of them.

    What fastyolo did not write stays as it is, as do the pictures themselves.

    Raises:
        ImageError: a picture cannot be read.
        FastYoloError: a file cannot be written.
    """
    names = OutputNames(folder, [picture.path for picture in evaluation.truth.pictures])
    digits = max(2, len(str(len(pictures))))
    for rank, one in enumerate(pictures, 1):
        pixels = load_image(one.picture.path, max_pixels=max_pixels)
        path = names.path_for(f"{rank:0{digits}}_{one.picture.path.name}")
        save_plot(draw_comparison(pixels, _panels(evaluation, one)), path)
        yield Path(path)


def _panels(evaluation: Evaluation, one: Worst) -> list[Panel]:
    objects, found = _objects(evaluation, one.picture.id), _found(evaluation, one.picture.id)
    return [
        Panel(f"annotated: {len(objects)}, missed (orange): {one.misses}", objects),
        Panel(f"found at {evaluation.scores.threshold:g}: {len(found)}, false (orange): {one.false_alarms}", found),
    ]


def _objects(evaluation: Evaluation, image_id: int) -> list[Compared]:
    compared = []
    for entry, score in zip(evaluation.truth.objects, evaluation.matches.objects.tolist(), strict=True):
        if entry.image_id != image_id:
            continue
        kind: Kind = "neither" if entry.crowd else "wrong" if score < evaluation.scores.threshold else "right"
        x, y, width, height = entry.bbox
        compared.append(
            Compared((x, y, x + width, y + height), evaluation.truth.categories.get(entry.category_id, ""), kind)
        )
    return compared


def _found(evaluation: Evaluation, image_id: int) -> list[Compared]:
    found = evaluation.found
    rows = np.flatnonzero((found.image_id == image_id) & (found.score >= evaluation.scores.threshold))
    compared = []
    for row in rows[np.argsort(-found.score[rows], kind="stable")].tolist():
        outcome = evaluation.matches.found[row]
        kind: Kind = "right" if outcome == RIGHT else "wrong" if outcome == WRONG else "neither"
        x, y, width, height = found.bbox[row].tolist()
        name = evaluation.truth.categories[int(found.category_id[row])]
        compared.append(Compared((x, y, x + width, y + height), f"{name} {found.score[row]:.2f}", kind))
    return compared
