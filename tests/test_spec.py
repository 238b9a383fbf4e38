"""What a network is, and what it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastyolo import COCO_NAMES, HeadSpec, ModelSpec, SpecError
from fastyolo.heads import fitting_spec
from fastyolo.names import read_names


def test_the_official_network() -> None:
    spec = ModelSpec.yolov4_tiny()
    assert spec.head_shapes == ((13, 13, 255), (26, 26, 255))
    assert spec.heads[0].anchors == ((81, 82), (135, 169), (344, 319))
    assert spec.heads[1].anchors == ((23, 27), (37, 58), (81, 82))
    assert (spec.names[0], spec.names[27], spec.names[79]) == ("person", "tie", "toothbrush")
    assert len(COCO_NAMES) == spec.num_classes == 80
    assert hash(spec) == hash(ModelSpec.yolov4_tiny())


def test_other_classes_and_sizes() -> None:
    spec = ModelSpec.yolov4_tiny(names=["cat", "dog"], input_size=(256, 416))
    assert spec.head_shapes == ((8, 13, 21), (16, 26, 21))
    assert ModelSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"names": []}, "at least one class name"),
        ({"names": "person"}, "sequence of strings"),
        ({"names": [1, 2]}, "sequence of strings"),
        ({"anchors": [(1, 1)]}, "6 anchors, got 1"),
        ({"anchors": [(1, 1)] * 5 + [(1, 0)]}, "positive pixel sizes"),
        ({"anchors": [(1, 1)] * 5 + [1]}, "pairs"),
        ({"input_size": (416, 415)}, "multiple of every stride, got 416x415"),
        ({"input_size": 416}, r"\(height, width\)"),
        ({"input_size": (0, 0)}, "between 1 and 16384"),
        ({"resize": "crop"}, "'stretch' or 'letterbox', got 'crop'"),
        ({"nms": "soft"}, "'iou' or 'diou', got 'soft'"),
        ({"nms": ["iou"]}, "'iou' or 'diou'"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        ModelSpec.yolov4_tiny(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "head", [(0, ((1, 1),)), (2.5, ((1, 1),)), (32, ()), (32, ((float("nan"), 1),)), (32, ((1, 1),), 0.0)]
)
def test_a_head_that_cannot_be_is_refused(head: tuple[object, ...]) -> None:
    with pytest.raises(SpecError):
        HeadSpec(*head)  # type: ignore[arg-type]


def test_shapes_suggest_the_spec_that_fits() -> None:
    assert fitting_spec([(13, 13, 255), (26, 26, 255)]) == "ModelSpec.yolov4_tiny()"
    assert fitting_spec([(20, 20, 255), (10, 10, 255)]) == "ModelSpec.yolov4_tiny(input_size=(320, 320))"
    assert fitting_spec([(26, 26, 21), (13, 13, 21)]) == "ModelSpec.yolov4_tiny(names=[... your 2 class names])"
    assert fitting_spec([(26, 26, 255)]) is None
    assert fitting_spec([(26, 26, 255), (25, 25, 255)]) is None
    assert fitting_spec([(2, 2, 15), (1, 1, 15)]) is None


def test_names_files(tmp_path: Path) -> None:
    path = tmp_path / "x.names"
    path.write_text("cat\nwild dog \n\n")
    assert read_names(path) == ("cat", "wild dog")
    path.write_text("cat\n\ndog\n")
    with pytest.raises(SpecError, match="empty line"):
        read_names(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="not UTF-8"):
        read_names(path)
    with pytest.raises(SpecError, match=r"gone\.names: No such file"):
        read_names(tmp_path / "gone.names")
