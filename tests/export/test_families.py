"""The kinds of networks that people train, with random weights: the same boxes and scores as OpenCV's dnn finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_families import FAMILIES
from darknet_networks import Float32Array, load, write_network
from fastyolo import DecodeResult, ModelSpec, decode_nms
from float_heads import random_image, run_float

BOXES = 500
NEAR = 0.2
"""OpenCV calls every score below this 0."""


def theirs(cfg: Path, weights: Path, image: Float32Array, classes: int) -> tuple[Float32Array, Float32Array]:
    """All boxes (x1, y1, x2, y2 as shares of the picture) and their scores by class, of OpenCV's own yolo layers."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames())).astype(np.float32)
    centre, half = rows[:, :2], rows[:, 2:4] / 2
    return np.hstack([centre - half, centre + half]), rows[:, 5 : 5 + classes]


def ours(heads: list[Float32Array], spec: ModelSpec) -> DecodeResult:
    """The best boxes, none suppressed."""
    return decode_nms(
        heads, spec=spec, score_threshold=NEAR * 1.01, iou_threshold=1.0, nms="iou", multi_label=True,
        max_detections=BOXES,
    )  # fmt: skip


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES.keys())
def test_the_best_boxes_are_those_of_opencv(tmp_path: Path, make: Callable[[], str]) -> None:
    cfg, weights = write_network(tmp_path, make(), head_gain=0.1)
    # OpenCV folds batch normalisation with 1e-6.
    graph, spec = load(cfg, weights, epsilon=1e-6), ModelSpec.from_cfg(cfg)
    image = random_image(graph)
    found = ours(run_float(graph, image), spec)
    boxes, scores = theirs(cfg, weights, image, spec.num_classes)
    boxes = boxes * np.array([*spec.input_size[::-1]] * 2, np.float32)
    assert len(found.confidence) > 20
    assert abs(np.count_nonzero(scores > NEAR * 1.01) - len(found.confidence)) <= 2 or len(found.confidence) == BOXES
    for box, score, class_id in zip(*found, strict=True):
        alike = boxes[np.abs(scores[:, class_id] - score) < 1e-4]
        size = max(box[2] - box[0], box[3] - box[1], 1.0)
        assert len(alike)
        assert np.abs(alike - box).max(axis=1).min() < 2e-4 * size
