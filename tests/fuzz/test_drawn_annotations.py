"""Arbitrary and damaged annotations, labels and files of detections."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.results_file import read_results
from fastyolo.evaluate.truth import GroundTruth
from fuzzing import attempt, damaged, texts, values

FILES = {
    "a.txt": b"0 0.5 0.5 0.25 0.5\r\n1 0.1 0.1 0.2 0.1 0.2 0.2\n",
    "obj.data": b"classes = 2\nvalid = valid.txt\nnames = obj.names\n",
    "valid.txt": b"a.png\nb.png\n",
    "obj.names": b"cat\ndog\n",
    "data.yaml": b"path: .\nval: .\nnames:\n  0: cat\n  1: dog\nnc: 2\n",
}
TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
}
SHARES = {"center_x": 0.5, "center_y": 0.5, "width": 0.1, "height": 0.2}
ENTRIES: tuple[dict[str, Any], ...] = (
    {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
    {"filename": "a.png", "objects": [{"name": "cat", "relative_coordinates": SHARES, "confidence": 0.5}]},
    {
        "source": "a.png",
        "width": 20,
        "height": 10,
        "detections": [{"name": "cat", "confidence": 1, "xyxy": [1, 2, 3, 4]}],
    },
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Image.new("RGB", (20, 10)).save(f"{name}.png")
    return tmp_path


def write(folder: Path, changed: str, content: bytes) -> None:
    for name, usual in FILES.items():
        (folder / name).write_bytes(content if name == changed else usual)


def read(path: str) -> GroundTruth | None:
    return attempt(lambda: read_ground_truth(path, names=lambda: ("cat", "dog"), pictures=False))


@given(st.data(), st.sampled_from(sorted(FILES)))
def test_damaged_labels_lists_and_data_files(folder: Path, data: st.DataObject, changed: str) -> None:
    write(folder, changed, data.draw(damaged(FILES[changed])))
    for path in ("obj.data", "data.yaml", "valid.txt", "."):
        read(path)


@given(st.lists(st.lists(texts, max_size=7), max_size=4))
def test_rows_of_arbitrary_words(folder: Path, rows: list[list[str]]) -> None:
    text = "\n".join(" ".join(row) for row in rows)
    write(folder, "a.txt", text.encode("utf-8", "surrogateescape"))
    read(".")


@given(st.sampled_from(["path", "val", "names", "nc"]), values)
def test_arbitrary_values_in_yaml(folder: Path, key: str, value: Any) -> None:
    document = {"path": ".", "val": ".", "names": ["cat", "dog"], key: value}
    write(folder, "data.yaml", json.dumps(document).encode())  # JSON is YAML
    read("data.yaml")


def changed_somewhere(draw: st.DrawFn, document: Any) -> Any:
    """The document with another value in one place."""
    if isinstance(document, dict) and document and draw(st.integers(0, 4)):
        key = draw(st.sampled_from(sorted(document)))
        return {**document, key: changed_somewhere(draw, document[key])}
    if isinstance(document, list) and document and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(document) - 1))
        return [changed_somewhere(draw, value) if index == at else value for index, value in enumerate(document)]
    return draw(values)


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    return changed_somewhere(draw, document)


@given(st.data())
def test_coco_files_and_detections_of_arbitrary_values(folder: Path, data: st.DataObject) -> None:
    write(folder, "", b"")
    (folder / "truth.json").write_text(json.dumps(data.draw(changed(TRUTH))))
    read("truth.json")
    (folder / "truth.json").write_text(json.dumps(TRUTH))
    truth = read("truth.json")
    assert truth is not None
    entries = data.draw(changed([data.draw(st.sampled_from(ENTRIES)), data.draw(st.sampled_from(ENTRIES))]))
    (folder / "found.json").write_text(json.dumps(entries))
    read_found = attempt(lambda: read_results(folder / "found.json", truth))
    if read_found is not None:
        assert all(remark.isprintable() and len(remark) <= 2000 for remark in read_found[1])
