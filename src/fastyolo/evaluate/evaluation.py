"""What an evaluation gives: numbers, how they were made, and what they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fastyolo.evaluate.found import Found
from fastyolo.evaluate.matches import Counts, Matches
from fastyolo.evaluate.scoring import CategoryScore, Scores
from fastyolo.evaluate.truth import GivenIds, GroundTruth, StrPath
from fastyolo.files import atomic_write
from fastyolo.frames.picture import MAX_PIXELS
from fastyolo.input_range import InputRange
from fastyolo.letterbox import ResizeMode
from fastyolo.postprocess import DEFAULT_IOU_THRESHOLD, DEFAULT_MAX_DETECTIONS
from fastyolo.spec import NmsKind


@dataclass(frozen=True)
class Settings:
    """How pictures are run. The defaults are those of COCO evaluation, not of everyday detection.

    `resize`, `nms` and `input_range` None are what the model was made for; for the rest see `Detector`.
    """

    score_threshold: float = 0.001
    iou_threshold: float = DEFAULT_IOU_THRESHOLD
    max_detections: int = DEFAULT_MAX_DETECTIONS
    nms: NmsKind | None = None
    class_agnostic: bool = False
    multi_label: bool = True
    resize: ResizeMode | None = None
    input_range: InputRange | None = None
    clip: bool = True
    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True)
class Evaluation:
    """How well what was found is what is annotated.

    Attributes:
        scores: COCO's numbers in percent, over all categories and for each.
        images, images_listed: how many pictures the numbers are of, and how many there were to run.
        settings: how pictures were run; None where a results file was scored.
        model: what ran: path, runtime with version, device; or the "detections" that were scored.
        max_detections: how many detections of a picture and category count in average precision, 300 by default, where
            pycocotools' own summary stops at 100.
        seconds: by step, "detect" and "score".
        found: every detection that was scored.
        matches: which of them found which object.
        truth: the pictures that the numbers are of, and the objects in them.
    """

    scores: Scores
    images: int
    images_listed: int
    settings: Settings | None
    model: Mapping[str, str]
    max_detections: int
    seconds: Mapping[str, float] = field(compare=False)
    found: Found = field(repr=False, compare=False)
    matches: Matches = field(repr=False, compare=False)
    truth: GroundTruth = field(repr=False, compare=False)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before the last picture."""
        return self.images < self.images_listed

    @property
    def given_ids(self) -> GivenIds:
        """What the annotation file calls images and categories, where it uses texts instead of numbers."""
        return self.truth.given_ids

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; AP in percent, None where there is no object to find."""
        averages = {one.name: getattr(self.scores, one.name) for one in fields(self.scores)}
        for name in ("threshold", "counts", "categories"):
            del averages[name]
        return {
            **_rounded(averages),
            "at_threshold": {"threshold": self.scores.threshold, "iou": 0.5, **_counts(self.scores.counts)},
            "objects": self.scores.objects,
            "detections": len(self.found),
            "images": self.images,
            "images_listed": self.images_listed,
            "interrupted": self.interrupted,
            "model": dict(self.model),
            "settings": None if self.settings is None else asdict(self.settings),
            "max_detections": self.max_detections,
            "seconds": _rounded(self.seconds),
            "categories": [_category(category) for category in self.scores.categories],
        }


def write_results(evaluation: Evaluation, path: StrPath) -> None:
    """Write every detection as a COCO results file, with the annotation file's ids; pycocotools' ``loadRes`` reads it.

    Where the annotations give pictures no ids, an entry has its picture's ``file_name`` too.

    Raises:
        FastYoloError: the file cannot be written; nothing is left of it then.
    """
    images, categories = evaluation.given_ids
    names = {picture.id: picture.name for picture in evaluation.truth.pictures} if evaluation.truth.own_ids else {}
    with atomic_write(path, text=True) as file:
        separator = "[\n"
        for entry in evaluation.found.entries():
            image_id = entry["image_id"]
            entry["image_id"] = images.get(image_id, image_id)
            entry["category_id"] = categories.get(entry["category_id"], entry["category_id"])
            if image_id in names:
                entry["file_name"] = names[image_id]
            file.write(separator + json.dumps(entry))
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _category(category: CategoryScore) -> dict[str, Any]:
    values = {one.name: getattr(category, one.name) for one in fields(category)}
    for name in ("precision_at_50", "counts"):
        del values[name]
    return {**_rounded(values), **_counts(category.counts)}


def _counts(counts: Counts) -> dict[str, Any]:
    return {**asdict(counts), **_rounded({"precision": counts.precision, "recall": counts.recall, "f1": counts.f1})}


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
