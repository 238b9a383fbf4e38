"""Does the way a picture is made smaller change what is found in it? See README.md."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from resizers import BASELINE, RESIZERS, Pixels
from scores import Entry, Float64Array, Truth, average_precision, bootstrap

from fastyolo.detections import Detections
from fastyolo.detector import Detector
from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.run import categories_of
from fastyolo.frames.picture import load_image

REFERENCE_SCORE = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("FASTYOLO_COCO", "../shared/coco"))
    parser.add_argument("models", nargs="+", type=Path, help="exports of one network at small input sizes")
    parser.add_argument("--images", type=Path, default=default / "val2017")
    parser.add_argument("--annotations", type=Path, default=default / "instances_val2017_128.json")
    parser.add_argument("--reference", type=Path, help="instead of annotations: a float export at about full size")
    parser.add_argument("--resizers", nargs="*", default=list(RESIZERS), help="names; default all")
    parser.add_argument("--resamples", type=int, default=300)
    parser.add_argument("--json", type=Path, help="write every number here")
    options = parser.parse_args()
    if options.reference is not None:
        paths = sorted(options.images.glob("*.jpg"))
        truth = Truth([_as_objects(found) for found in _by_reference(options.reference, paths)])
    else:
        paths, truth = _annotated(options.annotations, options.images)
    print(f"{truth.num_pictures} pictures, {truth.num_objects} objects\n")
    names = list(dict.fromkeys([BASELINE, *options.resizers]))
    record = {}
    for model in options.models:
        detector = Detector(model, score_threshold=0.001, multi_label=True)
        print(f"### {model.stem}: {_scales(detector, paths)}\n")
        matches = {name: truth.match(list(_found(detector, name, paths))) for name in names}
        whole = {name: average_precision(found, np.ones(truth.num_pictures)) for name, found in matches.items()}
        draws = {name: bootstrap(found, options.resamples) for name, found in matches.items()}
        print("\n".join(table(whole, draws)) + "\n", flush=True)
        record[model.stem] = {
            name: {"ap50_ap": whole[name].tolist(), "draws": draws[name].round(3).tolist()} for name in names
        }
    if options.json is not None:
        options.json.write_text(json.dumps(record))


def table(whole: Mapping[str, Float64Array], draws: Mapping[str, Float64Array]) -> Iterator[str]:
    """Markdown: AP, and the difference to the baseline with the standard deviation of that over the draws."""
    yield "| way | AP50 | AP | difference in AP50 | difference in AP | better in AP |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in whole:
        difference = whole[name] - whole[BASELINE]
        drawn = draws[name] - draws[BASELINE]
        doubt = drawn.std(axis=0, ddof=1)
        cells = [f"{whole[name][i]:.2f}" for i in (0, 1)]
        if name == BASELINE:
            cells += ["", "", ""]
        else:
            cells += [f"{difference[i]:+.2f} +- {doubt[i]:.2f}" for i in (0, 1)]
            cells += [f"{100 * (drawn[:, 1] > 0).mean():.0f} % of draws"]
        yield f"| {name} | {' | '.join(cells)} |"


def _found(detector: Detector, name: str, paths: Sequence[Path]) -> Iterator[Detections]:
    """What is found in each picture after one way of resizing, in pixels of the picture.

    The detector gets an array of exactly its input's size, which its own resize leaves as it is.
    """
    for path in paths:
        small = RESIZERS[name](path, detector.spec.input_size)
        found = detector(small)
        yield _scaled(found, load_image(path), small)


def _scaled(found: Detections, full: Pixels, small: Pixels) -> Detections:
    scale = np.array([full.shape[1] / small.shape[1], full.shape[0] / small.shape[0]] * 2, np.float32)
    return Detections(found.xyxy * scale, found.confidence, found.class_id, found.names, full.shape[:2])


def _annotated(annotations: Path, images: Path) -> tuple[list[Path], Truth]:
    given = read_ground_truth(annotations, images)
    class_of = {category: index for index, category in enumerate(categories_of(Detector().names, given))}
    objects: dict[int, list[Entry]] = {picture.id: [] for picture in given.pictures}
    for entry in given.objects:
        one = {
            "bbox": list(entry.bbox),
            "area": entry.area,
            "category_id": class_of[entry.category_id],
            "iscrowd": int(entry.crowd),
        }
        objects[entry.image_id].append(one)
    return [picture.path for picture in given.pictures], Truth([objects[picture.id] for picture in given.pictures])


def _by_reference(model: Path, paths: Sequence[Path]) -> list[Detections]:
    detector = Detector(model, score_threshold=REFERENCE_SCORE)
    return [detector(path) for path in paths]


def _as_objects(found: Detections) -> list[Entry]:
    return [
        {
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "category_id": int(class_id),
            "iscrowd": 0,
        }
        for (x0, y0, x1, y1), class_id in zip(found.xyxy.tolist(), found.class_id, strict=True)
    ]


def _scales(detector: Detector, paths: Sequence[Path]) -> str:
    """How much smaller the pictures become, as the median of their widths and of their heights."""
    shapes = np.array([load_image(path).shape[:2] for path in paths])
    height, width = np.median(shapes, axis=0) / detector.spec.input_size
    return f"pictures {width:.1f} times as wide and {height:.1f} times as high as the input"


if __name__ == "__main__":
    main()
