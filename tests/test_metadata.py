"""The archive behind the model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from fastyolo.errors import ModelError, SpecError
from fastyolo.metadata import append_metadata, find_metadata, read_metadata
from fastyolo.spec import ModelSpec

MODEL = b"\x1c\x00\x00\x00TFL3" + bytes(range(256))


def test_metadata_comes_back_and_the_model_stays_in_front(tmp_path: Path) -> None:
    spec = ModelSpec.yolov4_tiny(names=["ä", "b"], input_size=(320, 416), resize="letterbox", nms="diou")
    content = append_metadata(MODEL, spec.to_dict())
    assert content.startswith(MODEL)
    assert append_metadata(MODEL, spec.to_dict()) == content
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    assert read_metadata(path) == json.loads(json.dumps(spec.to_dict()))
    assert ModelSpec.from_model(path) == spec
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_a_model_without_metadata_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    assert find_metadata(path) is None
    with pytest.raises(ModelError, match="no fastyolo metadata"):
        read_metadata(path)
    with pytest.raises(ModelError, match=r"missing\.tflite: No such file"):
        read_metadata(tmp_path / "missing.tflite")


def test_metadata_of_another_exporter_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(append_metadata(MODEL, {"task": "detect", "imgsz": [640, 640]}))
    assert find_metadata(path) is None


@pytest.mark.parametrize("keep", [1, 20, 100, 300, -1, -10, -40])
def test_cut_off_metadata_is_missing_or_damaged_but_never_a_crash(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(append_metadata(MODEL, ModelSpec.yolov4_tiny().to_dict())[:keep])
    with pytest.raises(ModelError, match=r"no fastyolo metadata|damaged metadata"):
        read_metadata(path)


def test_a_huge_entry_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", " " * (1 << 24) + "{}")
    with pytest.raises(ModelError, match="not ours"):
        find_metadata(path)


@pytest.mark.parametrize(
    "damage",
    [
        {"heads": 3},
        {"heads": []},
        {"heads": [{"stride": 32}]},
        {"heads": [{"stride": 0, "anchors": [[1, 1]]}]},
        {"names": []},
        {"names": "person"},
        {"input_size": [416]},
        {"input_size": [417, 416]},
        {"resize": "crop"},
    ],
)
def test_metadata_that_describes_no_network_is_one_clear_error(damage: dict[str, object]) -> None:
    with pytest.raises(SpecError):
        ModelSpec.from_dict({**ModelSpec.yolov4_tiny().to_dict(), **damage})
