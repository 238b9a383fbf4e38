"""Our float model and decoding against what the official Darknet program found in 128 pictures.

The program ran with 416 x 416, score 0.001 and its greedynms (the DIoU criterion) at 0.6, and resizes in its own way.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastyolo import DecodeResult, decode_nms
from matching import Agreement, at_least, unmatched

pytestmark = pytest.mark.slow

SAME = Agreement(min_iou=0.8, max_score_difference=0.05)
# COCO numbers its 80 categories with gaps; Darknet's classes count them without.
MISSING_CATEGORIES = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
CLASS_OF_CATEGORY = {
    category: class_id for class_id, category in enumerate(c for c in range(1, 91) if c not in MISSING_CATEGORIES)
}


def resize_axis(image: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Bilinear along one axis with the first and last pixels aligned: source = target * (old - 1) / (new - 1)."""
    old = image.shape[axis]
    source = np.arange(size, dtype=np.float32) * np.float32((old - 1) / (size - 1))
    low = np.minimum(source.astype(np.intp), old - 1)
    high = np.minimum(low + 1, old - 1)
    shape = [1, 1, 1]
    shape[axis] = size
    share = (source - low.astype(np.float32)).reshape(shape)
    return image.take(low, axis) * (1 - share) + image.take(high, axis) * share


def darknet_resize(image: np.ndarray, size: int) -> np.ndarray:
    """A float32 (height, width, 3) picture as Darknet's network sees it, stretched to a square."""
    return resize_axis(resize_axis(image, size, axis=1), size, axis=0)


def test_the_resize_aligns_corners() -> None:
    image = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    resized = darknet_resize(image, 5)
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(resized[[0, 0, -1, -1], [0, -1, 0, -1]], image.reshape(4, 3))
    # Target column 1 of 5 lies at 1 * (2 - 1) / (5 - 1) = 1/4 between 0 and 3.
    np.testing.assert_allclose(resized[0, :, 0], [0, 0.75, 1.5, 2.25, 3])
    np.testing.assert_allclose(resized[:, 0, 0], [0, 1.5, 3, 4.5, 6])


def official_detections(coco_dir: Path) -> dict[int, DecodeResult]:
    """What the official program found, by image id."""
    rows = defaultdict(list)
    for entry in json.loads((coco_dir / "darknet_results_128.json").read_text()):
        x, y, width, height = entry["bbox"]
        class_id = CLASS_OF_CATEGORY[entry["category_id"]]
        rows[entry["image_id"]].append((x, y, x + width, y + height, entry["score"], class_id))
    found = {}
    for image_id, detections in rows.items():
        table = np.array(detections)
        found[image_id] = DecodeResult(
            table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int32)
        )
    return found


@pytest.fixture(scope="module")
def both(
    coco_dir: Path, float_network: Callable[[np.ndarray], list[np.ndarray]]
) -> list[tuple[DecodeResult, DecodeResult]]:
    """(official, ours) for each picture."""
    pairs = []
    for image_id, official in official_detections(coco_dir).items():
        with Image.open(coco_dir / "val2017" / f"{image_id:012d}.jpg") as file:
            picture = np.asarray(file.convert("RGB"))
        heads = float_network(darknet_resize(picture.astype(np.float32) / np.float32(255), 416))
        ours = decode_nms(
            heads,
            score_threshold=0.001,
            iou_threshold=0.6,
            nms="diou",
            multi_label=True,
            max_detections=100_000,
            image_size=picture.shape[:2],
            clip=True,  # the program cuts boxes at the picture's edge when it writes them
        )
        pairs.append((official, ours))
    return pairs


def share_matched(pairs: Sequence[tuple[DecodeResult, DecodeResult]]) -> tuple[float, int]:
    total = sum(len(wanted.confidence) for wanted, _ in pairs)
    missed = sum(len(unmatched(wanted, found, SAME)) for wanted, found in pairs)
    return 1 - missed / total, total


def test_what_the_official_program_found_is_found(
    both: list[tuple[DecodeResult, DecodeResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(both) == 128
    share, total = share_matched([(at_least(official, 0.3), ours) for official, ours in both])
    with capsys.disabled():
        print(f"\nofficial Darknet, score >= 0.3: {100 * share:.2f} % of {total} detections reproduced")
    assert total == 523
    assert share >= 0.99


def test_nothing_else_is_found(both: list[tuple[DecodeResult, DecodeResult]]) -> None:
    # The file holds the program's detections of 0.05 and more, so all of ours from 0.3 on must be in it.
    share, total = share_matched([(at_least(ours, 0.3), official) for official, ours in both])
    assert total > 500
    assert share >= 0.99
