"""How good: COCO AP of a model on annotated pictures."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from typing import Any

from fastyolo.detections import Detections
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.evaluate.evaluation import Evaluation as Evaluation
from fastyolo.evaluate.evaluation import Settings as Settings
from fastyolo.evaluate.evaluation import write_results as write_results
from fastyolo.evaluate.found import Found
from fastyolo.evaluate.ground_truth import match_classes, read_ground_truth
from fastyolo.evaluate.parallel import open_workers, over_pictures
from fastyolo.evaluate.scoring import DEFAULT_THRESHOLD, Progress, require_pycocotools, score_and_match
from fastyolo.evaluate.truth import GroundTruth, StrPath, some
from fastyolo.files import shown
from fastyolo.runtime.limits import MAX_MEMORY
from fastyolo.spec import ModelSpec


def evaluate(
    model: StrPath | None = None,
    *,
    annotations: StrPath,
    images: StrPath | None = None,
    settings: Settings | None = None,
    threshold: float = DEFAULT_THRESHOLD,
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
        threshold: the score from which on detections count in precision and recall.
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
        threshold=threshold,
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
    threshold: float = DEFAULT_THRESHOLD,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Evaluation:
    """The part of `evaluate` behind opening files: the detectors, which are alike, share the pictures among them.

    Args:
        detectors: path of a picture -> what is in it; each is called by one thread at a time.
        names: the detectors' classes.
        settings, model: how the detectors were made, for the record; of `settings` the score threshold and the number
            of detections are used.
        threshold: see `evaluate`.
    """
    category_ids = categories_of(names, truth)
    started = time.perf_counter()
    found = over_pictures(detectors, truth.pictures, progress, stop)
    detected = time.perf_counter()
    _warn_of_sizes(truth, found)
    done = truth.of([picture for picture in truth.pictures if picture.id in found])
    table = Found.collect(found, category_ids)
    scores, matches = score_and_match(
        done,
        table,
        max_detections=settings.max_detections,
        threshold=max(threshold, settings.score_threshold),
        progress=progress,
    )
    return Evaluation(
        scores,
        images=len(done.pictures),
        images_listed=len(truth.pictures),
        settings=settings,
        model=model,
        max_detections=settings.max_detections,
        seconds={"detect": detected - started, "score": time.perf_counter() - detected},
        found=table,
        matches=matches,
        truth=done,
    )


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
