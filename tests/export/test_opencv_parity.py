"""Our float model and decoding against OpenCV's: its network, its box decoding and its NMS on the same input.

The raw heads are compared where the exporter is tested; here it is the objects that come out in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastyolo import DecodeResult, decode_nms
from fastyolo.export.fetch import OFFICIAL_CFG
from matching import Agreement, at_least, unmatched

pytestmark = pytest.mark.slow

SAME = Agreement(min_iou=0.95, max_score_difference=0.02)
SCORE, IOU = 0.25, 0.45
# Both sides look this much further down, so that an object at 0.25 finds its partner at 0.249.
MARGIN = 0.02

FloatNetwork = Callable[[np.ndarray], list[np.ndarray]]


@pytest.fixture(scope="module")
def opencv(official_weights: Path) -> cv2.dnn.Net:
    return cv2.dnn.readNetFromDarknet(str(OFFICIAL_CFG), str(official_weights))


def opencv_detections(net: cv2.dnn.Net, image: np.ndarray) -> DecodeResult:
    """Objects in network pixels by OpenCV's own yolo layers and per-class NMS."""
    net.setInput(cv2.dnn.blobFromImage(image))
    # Rows of centre x, centre y, width, height (fractions of the input), objectness, and objectness * class.
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    class_id = rows[:, 5:].argmax(axis=1)
    score = rows[np.arange(len(rows)), 5 + class_id]
    centre, size = rows[:, :2] * 416, rows[:, 2:4] * 416
    corner = centre - size / 2
    kept = cv2.dnn.NMSBoxesBatched(np.hstack([corner, size]).tolist(), score, class_id, SCORE - MARGIN, IOU)
    kept = np.array(kept, np.intp)
    return DecodeResult(
        np.hstack([corner, corner + size])[kept].astype(np.float32), score[kept], class_id[kept].astype(np.int32)
    )


def our_detections(network: FloatNetwork, image: np.ndarray) -> DecodeResult:
    return decode_nms(network(image), score_threshold=SCORE - MARGIN, iou_threshold=IOU)


def differing(network: FloatNetwork, net: cv2.dnn.Net, picture: np.ndarray) -> tuple[int, int]:
    """How many objects either side found, and how many of them the other did not."""
    image = cv2.resize(picture, (416, 416)).astype(np.float32) / np.float32(255)
    ours, theirs = our_detections(network, image), opencv_detections(net, image)
    objects = missed = 0
    for wanted, found in ((ours, theirs), (theirs, ours)):
        certain = at_least(wanted, SCORE)
        objects += len(certain.confidence)
        missed += len(unmatched(certain, found, SAME))
    return objects, missed


def test_objects_in_one_picture(float_network: FloatNetwork, opencv: cv2.dnn.Net, hopper: np.ndarray) -> None:
    objects, missed = differing(float_network, opencv, hopper)
    assert objects >= 4  # a person and a tie, found by both
    assert missed == 0


def test_objects_in_many_pictures(float_network: FloatNetwork, opencv: cv2.dnn.Net, coco_dir: Path) -> None:
    objects = missed = 0
    for path in sorted((coco_dir / "val2017").iterdir())[:32]:
        more = differing(float_network, opencv, cv2.imread(str(path))[..., ::-1])
        objects, missed = objects + more[0], missed + more[1]
    assert objects > 200
    assert missed == 0
