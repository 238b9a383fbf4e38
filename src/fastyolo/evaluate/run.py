"""How good: COCO AP of a model on annotated pictures."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from fastyolo.detections import Detections
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.evaluate.ground_truth import (
    NO_TEXTS,
    GivenIds,
    GroundTruth,
    StrPath,
    match_classes,
    read_ground_truth,
    some,
)
from fastyolo.evaluate.parallel import open_workers, over_pictures
from fastyolo.evaluate.scoring import Found, Progress, Scores, require_pycocotools, score
from fastyolo.files import atomic_write, shown
from fastyolo.frames.picture import MAX_PIXELS
from fastyolo.input_range import InputRange
from fastyolo.letterbox import ResizeMode
from fastyolo.postprocess import DEFAULT_IOU_THRESHOLD, DEFAULT_MAX_DETECTIONS
from fastyolo.runtime.limits import MAX_MEMORY
from fastyolo.spec import ModelSpec, NmsKind


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
    """How well a model found what is annotated.

    Attributes:
        scores: AP in percent, over all categories and for each. The best `settings.max_detections` of every picture
            count, 300 by default, where pycocotools' own summary stops at 100.
        images, images_listed: how many pictures the numbers are of, and how many there were to run.
        settings: how pictures were run.
        model: what ran: path, runtime with version, device.
        seconds: by step, "detect" and "score".
        found: every detection that was scored.
        given_ids: what the annotation file calls images and categories, where it uses texts instead of numbers.
    """

    scores: Scores
    images: int
    images_listed: int
    settings: Settings
    model: Mapping[str, str]
    seconds: Mapping[str, float] = field(compare=False)
    found: Found = field(repr=False, compare=False)
    given_ids: GivenIds = field(default=NO_TEXTS, repr=False, compare=False)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before the last picture."""
        return self.images < self.images_listed

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; AP in percent, None where there is no object to find."""
        averages = asdict(self.scores)
        categories = averages.pop("categories")
        return {
            **_rounded(averages),
            "objects": self.scores.objects,
            "detections": len(self.found),
            "images": self.images,
            "images_listed": self.images_listed,
            "interrupted": self.interrupted,
            "model": dict(self.model),
            "settings": asdict(self.settings),
            "seconds": _rounded(self.seconds),
            "categories": [
                _rounded({key: value for key, value in category.items() if key != "precision_at_50"})
                for category in categories
            ],
        }


def evaluate(
    model: StrPath | None = None,
    *,
    annotations: StrPath,
    images: StrPath | None = None,
    settings: Settings | None = None,
    spec: ModelSpec | None = None,
    runtime: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    max_memory: int = MAX_MEMORY,
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Evaluation:
    """Run a model over annotated pictures and score what it finds. The numbers do not depend on the number of cores.

    Classes are matched to the file's categories by name, in Darknet's spelling or COCO's. A category with objects that
    the model has no class for is an error: leaving it out would flatter the model. A class without a category is left
    out with a warning: nothing in the file says whether what it finds is there.

    Args:
        model: path of a .tflite file; None takes the bundled int8 COCO YOLOv4-tiny.
        annotations: COCO's JSON, Darknet's .data, Ultralytics' data.yaml, a list of pictures, or a folder of them with
            YOLO labels; see `fastyolo.evaluate.ground_truth.read_ground_truth`.
        images: the folder of the pictures, where the annotations do not say it.
        settings: default `Settings()`.
        spec, runtime, device, max_memory: see `Detector`.
        threads: CPU cores to use; None takes all.
        limit: take only the first pictures, by id.
        progress: called as progress(step, done, total) with steps "detecting" and "scoring".
        stop: once set, no more pictures are begun; what was done is scored, and `interrupted` says so.

    Raises:
        EvaluationError: annotations, pictures or categories that cannot be scored.
        FastYoloError: pycocotools is not installed; and whatever `Detector` raises.
    """
    require_pycocotools()
    truth = read_ground_truth(annotations, images, names=lambda: names_of(model, spec), limit=limit)
    settings = settings or Settings()
    options: dict[str, Any] = {
        "spec": spec,
        "runtime": runtime,
        "device": device,
        "max_memory": max_memory,
        **asdict(settings),
    }

    def build(cores: int) -> Detector:
        return Detector(model, threads=cores, show_hidden=True, **options)

    detectors = open_workers(build, len(truth.pictures), device=device, threads=threads)
    session = detectors[0].session
    return evaluate_detectors(
        detectors,
        detectors[0].names,
        truth,
        settings=replace(settings, resize=detectors[0].resize, nms=detectors[0].nms),
        model={
            "path": str(detectors[0].model),
            "runtime": f"{session.runtime} {session.version}",
            "device": session.device,
        },
        progress=progress,
        stop=stop,
    )


def evaluate_detectors(
    detectors: Sequence[Callable[[Path], Detections]],
    names: Sequence[str],
    truth: GroundTruth,
    *,
    settings: Settings,
    model: Mapping[str, str],
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Evaluation:
    """The part of `evaluate` behind opening files: the detectors, which are alike, share the pictures among them.

    Args:
        detectors: path of a picture -> what is in it; each is called by one thread at a time.
        names: the detectors' classes.
        settings, model: how the detectors were made, for the record; only `settings.max_detections` is used.
    """
    category_ids = categories_of(names, truth)
    started = time.perf_counter()
    found = over_pictures(detectors, truth.pictures, progress, stop)
    detected = time.perf_counter()
    _warn_of_sizes(truth, found)
    done = truth.of([picture for picture in truth.pictures if picture.id in found])
    table = Found.collect(found, category_ids)
    scores = score(done, table, max_detections=settings.max_detections, progress=progress)
    seconds = {"detect": detected - started, "score": time.perf_counter() - detected}
    return Evaluation(scores, len(done.pictures), len(truth.pictures), settings, model, seconds, table, truth.given_ids)


def names_of(model: StrPath | None, spec: ModelSpec | None) -> tuple[str, ...]:
    """The classes of a model that is not opened yet."""
    return spec.names if spec is not None else ModelSpec.from_model(BUNDLED_MODEL if model is None else model).names


def categories_of(names: Sequence[str], truth: GroundTruth) -> tuple[int | None, ...]:
    """`match_classes`, with a warning that names the classes without a category."""
    category_ids = match_classes(names, truth)
    unscored = [shown(name) for name, id_ in zip(names, category_ids, strict=True) if id_ is None]
    if unscored:
        warnings.warn(
            f"{len(unscored)} of {len(names)} classes are not scored, as {shown(truth.path)} has no such category: "
            f"{some(unscored)}",
            stacklevel=2,
        )
    return category_ids


def write_results(evaluation: Evaluation, path: StrPath) -> None:
    """Write every detection as a COCO results file, with the annotation file's ids; pycocotools' ``loadRes`` reads it.

    Raises:
        FastYoloError: the file cannot be written; nothing is left of it then.
    """
    with atomic_write(path, text=True) as file:
        separator = "[\n"
        images, categories = evaluation.given_ids
        for entry in evaluation.found.entries():
            entry["image_id"] = images.get(entry["image_id"], entry["image_id"])
            entry["category_id"] = categories.get(entry["category_id"], entry["category_id"])
            file.write(separator + json.dumps(entry))
            separator = ",\n"
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _warn_of_sizes(truth: GroundTruth, found: Mapping[int, Detections]) -> None:
    """Boxes of a picture that was resized or turned after it was annotated cannot match."""
    different = [
        f"{shown(picture.name)} ({_pixels(found[picture.id].orig_shape)}, annotated as {_pixels(picture.size)})"
        for picture in truth.pictures
        if picture.id in found and picture.size not in (None, found[picture.id].orig_shape)
    ]
    if different:
        warnings.warn(
            f"{len(different)} images have another size than {shown(truth.path)} says, so boxes may not match: "
            f"{some(different, 1)}",
            stacklevel=3,
        )


def _pixels(size: tuple[int, int] | None) -> str:
    height, width = size or (0, 0)
    return f"{width} x {height}"


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
