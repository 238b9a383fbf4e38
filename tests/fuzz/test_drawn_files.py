"""Damaged model files, metadata and lists of names: what they say, or one line."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastyolo import ModelSpec
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import find_metadata
from fastyolo.names import class_ids, read_names
from fastyolo.runtime.limits import find_needs
from fuzzing import attempt, damaged, texts, values

BUNDLED = BUNDLED_MODEL.read_bytes()


def packed(content: bytes, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("metadata.json", content)
    return file.getvalue()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
SEEDS = [packed(json.dumps(ModelSpec.yolov4_tiny(names=["a"]).to_dict()).encode(), method) for method in METHODS]


@given(content=st.one_of(*map(damaged, SEEDS)) | st.builds(packed, st.binary(max_size=50), st.sampled_from(METHODS)))
def test_damaged_archives_are_metadata_or_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    metadata = attempt(lambda: find_metadata(path))
    if metadata is not None:
        json.dumps(metadata, allow_nan=False)
        attempt(lambda: ModelSpec.from_dict(metadata))


@given(value=values, depth=st.sampled_from([0, 0, 0, 0, 10, 5000]))
def test_any_json_is_metadata_or_one_line(path: Path, value: Any, depth: int) -> None:
    try:
        text = json.dumps({"heads": value})
    except ValueError:
        return
    path.write_bytes(packed(("[" * depth + text + "]" * depth).encode("utf-8", "surrogatepass"), zipfile.ZIP_STORED))
    metadata = attempt(lambda: find_metadata(path))
    if metadata is not None:
        attempt(lambda: ModelSpec.from_dict(metadata))


# Offsets, shapes and operators lie in the file's first bytes and behind the weights.
STRUCTURE = [*range(40_000), *range(len(BUNDLED) - 140_000, len(BUNDLED) - 20_000)]


@given(content=damaged(BUNDLED, STRUCTURE))
def test_damaged_models_are_measured_or_one_line(content: bytes) -> None:
    needs = attempt(lambda: find_needs(content))
    assert needs is None or min(needs.memory, needs.products) >= 0


@given(content=st.binary(max_size=300).map(lambda tail: struct.pack("<I", 8) + b"TFL3" + tail))
def test_bytes_are_no_model(content: bytes) -> None:
    attempt(lambda: find_needs(content))


@given(content=st.binary(max_size=60) | st.lists(texts).map(lambda lines: "\n".join(lines).encode(errors="replace")))
def test_bytes_are_names_or_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    names = attempt(lambda: read_names(path))
    if names is not None:
        assert all(names)


@given(names=st.lists(texts, min_size=1, max_size=4), wanted=st.lists(texts | st.integers(), max_size=3))
def test_classes_are_ids_or_one_line(names: list[str], wanted: list[Any]) -> None:
    ids = attempt(lambda: class_ids(names, wanted))
    assert ids is None or all(0 <= class_id < len(names) for class_id in ids)
