"""Heads for comparing the kernel with the oracle, built so that no float noise can change what is kept.

Scores come from small grids of logits whose distinct products differ by more than `SEPARATION`, with exact ties in
plenty; boxes whose overlap falls on the NMS threshold are moved until none does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from fastyolo.spec import HeadSpec, ModelSpec
from reference import Candidates, chosen, find_candidates, overlap, suppress

SEPARATION = 1e-5
OVERLAP_MARGIN = 1e-5
COARSE_MARGIN = 1e-2
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)
# A sigmoid above NEARLY_ONE is too near to 1 to tell from its neighbours; from SATURATED on it is 1 in float32.
NEARLY_ONE = 11.0
SATURATED = 18.0


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))


SPECS: dict[str, ModelSpec] = {
    "coco": ModelSpec.yolov4_tiny(),
    "one class": ModelSpec.yolov4_tiny(names=names(1)),
    "two classes": ModelSpec.yolov4_tiny(names=names(2)),
    "320x320": ModelSpec.yolov4_tiny(names=names(6), input_size=(320, 320)),
    "416x256": ModelSpec.yolov4_tiny(names=names(5), input_size=(416, 256)),
    "three heads": ModelSpec(
        (160, 224),
        (
            HeadSpec(32, ((81, 82), (135, 169)), 1.05),
            HeadSpec(16, ((30, 61),), 1.1),
            HeadSpec(8, ((10, 13), (16, 30), (33, 23), (40, 20)), 1.2),
        ),
        names(3),
    ),
    "new coords": ModelSpec(
        (256, 192),
        (
            HeadSpec(32, ((72, 146), (142, 110), (192, 243)), 2.0, True),
            HeadSpec(16, ((36, 75), (76, 55), (72, 146)), 2.0, True),
        ),
        names(4),
    ),
    "scale 1": ModelSpec(
        (96, 128), (HeadSpec(32, ((23, 27), (60, 40)), 1.0), HeadSpec(16, ((14, 30),), 1.0)), names(7)
    ),
    "scale 1.2": ModelSpec((128, 96), (HeadSpec(16, ((23, 27), (60, 40)), 1.2),), names(2)),
    "twin heads": ModelSpec((96, 96), (HeadSpec(16, ((23, 27),), 1.05), HeadSpec(16, ((50, 33),), 1.2)), names(2)),
}
DTYPES = {"float32": np.float32, "int8": np.int8, "uint8": np.uint8}


@dataclass
class Case:
    """Heads in spec order and the keyword arguments that go with them."""

    heads: list[np.ndarray]
    options: dict[str, Any]
    boxes_moved: int = 0
    expected: Candidates = field(init=False)


class Levels(NamedTuple):
    """How a head stores real numbers; scale and zero_point mean nothing for float32."""

    dtype: Any
    scale: float = 1.0
    zero_point: int = 0

    def store(self, values: Any) -> np.ndarray:
        if self.dtype == np.float32:
            return np.asarray(values, np.float32)
        info = np.iinfo(self.dtype)
        return np.clip(np.rint(np.asarray(values) / self.scale) + self.zero_point, info.min, info.max).astype(
            self.dtype
        )

    def real(self, stored: np.ndarray) -> np.ndarray:
        if self.dtype == np.float32:
            return stored.astype(np.float64)
        return self.scale * (stored.astype(np.float64) - self.zero_point)


def draw_levels(rng: np.random.Generator, dtype: Any, new_coords: bool) -> Levels:
    """Levels that reach both tails of the sigmoid, or 0..1 for new_coords."""
    if dtype == np.float32:
        return Levels(dtype)
    lowest = int(np.iinfo(dtype).min)
    if new_coords:
        return Levels(dtype, 1 / 128, lowest)  # a power of two, so that 1 is 1 in any float
    return Levels(dtype, float(rng.uniform(0.18, 0.22)), lowest + int(rng.integers(60, 90)))


def build_case(rng: np.random.Generator, spec: ModelSpec, dtype: Any, kind: str, **options: Any) -> Case:
    """Random heads of one kind, safe from float noise under exactly these options."""
    scores = SeparatedScores(options["score_threshold"])
    heads: list[np.ndarray] = []
    quantization = []
    for shape, head_spec in zip(spec.head_shapes, spec.heads, strict=True):
        # Mostly one quantisation for all heads, so that scores tie across heads too.
        if not heads or rng.random() < 0.4:
            levels = draw_levels(rng, dtype, head_spec.new_coords)
            grids = draw_score_grids(rng, scores, levels, head_spec.new_coords, kind)
        heads.append(draw_head(rng, shape, head_spec, levels, kind, *grids))
        if kind == "wild":
            sprinkle(rng, heads[-1].reshape(-1, 5 + spec.num_classes))
        quantization.append((levels.scale, levels.zero_point))
    options = {"spec": spec, "quantization": None if dtype == np.float32 else quantization, **options}
    case = Case(heads, options)
    separate_overlaps(rng, case)
    return case


class SeparatedScores:
    """Every score the heads of a case can show: exact ties, or further apart than float noise."""

    def __init__(self, threshold: float) -> None:
        self.factors = np.empty((0, 2))  # the two factors of each score, the smaller first
        self.scores = np.empty(0)
        self.threshold = threshold

    def admit(self, factor: float, partners: np.ndarray) -> bool:
        """Take in all products of `factor` with `partners`, or none if one comes too near to another score."""
        fresh = np.sort(np.stack([np.full(len(partners), factor), partners], axis=1), axis=1)
        factors = np.concatenate([self.factors, fresh])
        scores = factors.prod(axis=1)
        mine = scores[len(self.scores) :]
        # A tie is exact only between the same two factors: other equal products may round differently.
        tied = (factors[None] == fresh[:, None]).all(axis=2)
        near = np.abs(scores[None] - mine[:, None]) <= 2 * SEPARATION * mine[:, None]
        on_threshold = (mine != self.threshold) & (np.abs(mine - self.threshold) <= 2 * SEPARATION * mine)
        if (near & ~tied).any() or on_threshold.any():
            return False
        self.factors, self.scores = factors, scores
        return True


def score_factor(real: float, new_coords: bool) -> float:
    if new_coords:
        return real
    return 1.0 if real >= SATURATED else float(1 / (1 + np.exp(-real)))


def draw_score_grids(
    rng: np.random.Generator, scores: SeparatedScores, levels: Levels, new_coords: bool, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Objectness and class values as the head stores them, whose products are ties or well apart."""
    low, high = (0.01, 1.0) if new_coords else (-9.0, 8.0)
    if kind == "empty":
        high = low + (high - low) / 100
    if kind == "tied":  # well above all thresholds but 1
        low = high - (high - low) / 10
    wanted = {"random": 16, "crowded": 16, "wild": 16, "tied": 1, "empty": 2}[kind]
    values = rng.uniform(low, high, 4000)
    # Score 1, without which threshold 1 would keep nothing. 100 is the highest level of an integer head.
    certain = [1.0] if new_coords else [100.0, np.inf] if levels.dtype == np.float32 else [100.0]
    if kind in ("random", "crowded", "wild") or (kind == "tied" and scores.threshold == 1):
        values = np.concatenate([np.repeat(certain, 2), values])
    grids: tuple[list[np.generic], list[np.generic]] = ([], [])
    factors: tuple[list[float], list[float]] = ([], [])
    for i, stored in enumerate(levels.store(values)):
        if len(grids[0]) == len(grids[1]) == wanted:
            break
        side = i % 2
        real = float(levels.real(stored))
        if len(grids[side]) == wanted or stored in grids[side] or (not new_coords and NEARLY_ONE < real < SATURATED):
            continue
        factor = score_factor(real, new_coords)
        if scores.admit(factor, np.array(factors[1 - side])):
            grids[side].append(stored)
            factors[side].append(factor)
    assert all(grids), "every grid needs a value"
    return np.array(grids[0]), np.array(grids[1])


def draw_head(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    head_spec: HeadSpec,
    levels: Levels,
    kind: str,
    objectness: np.ndarray,
    classes: np.ndarray,
) -> np.ndarray:
    rows, columns, channels = shape
    anchors = len(head_spec.anchors)
    head = np.empty((rows, columns, anchors, channels // anchors), levels.dtype)
    head[..., :4] = draw_terms(rng, head.shape[:3], levels, head_spec.new_coords, kind)
    head[..., 4] = rng.choice(objectness, head.shape[:3])
    head[..., 5:] = rng.choice(classes, head[..., 5:].shape)
    if kind == "random":  # most cells of a real picture are background
        head[..., 4][rng.random(head.shape[:3]) < 0.7] = objectness.min()
    return head.reshape(shape)


def sprinkle(rng: np.random.Generator, boxes: np.ndarray) -> None:
    """Put NaN and infinities into a float head; not into sizes, whose boxes would swallow or touch all others."""
    for value, columns, share in ((np.nan, slice(None), 0.02), (np.inf, slice(2), 0.05), (-np.inf, slice(2), 0.05)):
        part = boxes[:, columns]
        part[rng.random(part.shape) < share] = value
    scores = boxes[:, 4:]
    scores[rng.random(scores.shape) < 0.05] = -np.inf


def draw_terms(
    rng: np.random.Generator, cells: tuple[int, ...], levels: Levels, new_coords: bool, kind: str
) -> np.ndarray:
    """tx, ty, tw, th; crowded boxes are larger, so that many overlap."""
    if new_coords:
        centre, size = rng.uniform(0, 1, (*cells, 2)), rng.uniform(0.35, 0.75, (*cells, 2))
    else:
        centre = rng.uniform(-4, 4, (*cells, 2))
        size = rng.uniform(-1, 1, (*cells, 2)) + (0.4 if kind in ("crowded", "wild") else 0)
    return levels.store(np.concatenate([centre, size], axis=-1))


def separate_overlaps(rng: np.random.Generator, case: Case) -> None:
    """Give new terms to boxes whose overlap with a kept box is too near to the NMS threshold to call.

    What the oracle keeps in the end is what the case expects.
    """
    spec, clip, image_size = (case.options.get(name) for name in ("spec", "clip", "image_size"))
    for _ in range(60):
        candidates, kept = decide(case)
        boxes = sorted(close_calls(case, candidates, kept))
        if not boxes:
            case.expected = chosen(candidates, kept, (image_size or spec.input_size) if clip else None)
            return
        case.boxes_moved += len(boxes)
        for box in boxes:
            move_box(rng, case, box)
    raise AssertionError("no noise-free variant of this case was found")


def decide(case: Case) -> tuple[Candidates, list[int]]:
    """What the oracle finds, and which of it NMS keeps."""
    options = dict(case.options)
    options.pop("clip", None)
    rules = [options.pop(name, False) for name in ("iou_threshold", "max_detections", "nms", "class_agnostic")]
    candidates = find_candidates(case.heads, **options)
    return candidates, suppress(candidates, *rules)


def close_calls(case: Case, candidates: Candidates, kept: list[int]) -> set[int]:
    """Canonical numbers of the boxes for which a decision of NMS hangs on float noise."""
    threshold, nms = case.options["iou_threshold"], case.options["nms"]
    class_agnostic = case.options.get("class_agnostic", False)
    num_classes = case.options["spec"].num_classes
    found: set[int] = set()
    for best in kept:
        rivals = np.arange(best + 1, len(candidates.index))
        if not class_agnostic:
            rivals = rivals[candidates.class_id[rivals] == candidates.class_id[best]]
        box = candidates.xyxy[best]
        overlaps = overlap(box, candidates.xyxy[rivals], nms)
        rivals = rivals[np.abs(overlaps - threshold) <= COARSE_MARGIN]
        if not len(rivals):
            continue
        others = candidates.xyxy[rivals]
        # Sides are differences of coordinates, so they carry the coordinates' rounding.
        noise = 8 * FLOAT32_EPSILON * max(np.abs(others).max(initial=0), np.abs(box).max())
        side = np.minimum((others[:, 2:] - others[:, :2]).min(axis=1), (box[2:] - box[:2]).min())
        margin = OVERLAP_MARGIN + noise / side
        assert (margin < COARSE_MARGIN).all(), "a box is too small for its coordinates"
        close = np.abs(overlap(box, others, nms) - threshold) <= margin
        # Exact whatever the rounding: a box with itself, and boxes clearly apart.
        apart = (np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])).min(axis=1) < -noise
        same = (others == box).all(axis=1)
        found |= set((candidates.index[rivals[close & ~apart & ~same]] // num_classes).tolist())
    return found


def move_box(rng: np.random.Generator, case: Case, box: int) -> None:
    spec, quantization = case.options["spec"], case.options["quantization"]
    for i, (head, head_spec) in enumerate(zip(case.heads, spec.heads, strict=True)):
        rows = head.reshape(-1, 5 + spec.num_classes)
        if box < len(rows):
            levels = Levels(head.dtype.type, *(quantization[i] if quantization else ()))
            rows[box, :4] = draw_terms(rng, (), levels, head_spec.new_coords, "random")
            return
        box -= len(rows)
    raise AssertionError("no such box")


def kept_boxes(result_xyxy: np.ndarray, every_box: np.ndarray) -> np.ndarray:
    """For each returned box the number of the decoded box it is, by the nearest coordinates."""
    # Side by side, not as the last of three axes, which NumPy goes through four numbers at a time.
    sides = (
        np.abs(result.astype(np.float64)[:, None] - every[None])
        for result, every in zip(result_xyxy.T, every_box.T, strict=True)
    )
    distances = reduce(np.maximum, sides)
    return np.where(np.isnan(distances), np.inf, distances).argmin(axis=1)
