"""What `info` shows of files that cannot be run: their tensors all the same, and one line that says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import fastyolo, one_line
from darknet_networks import load, smallest, write_network
from edited_models import edited_model
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import append_metadata, read_metadata


def reshaped(shape: list[int]) -> Callable[[Any], None]:
    """Says so of the input, which a convolution of three channels then cannot read."""

    def edit(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = shape

    return edit


def of_floats(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = 4  # INT64


def with_two_inputs(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.inputs = [graph.inputs[0], graph.outputs[0]]


def of_inner_output(model: Any) -> None:
    """The picture padded by one, which is no grid of it."""
    graph = model.subgraphs[0]
    graph.outputs = [graph.operators[0].outputs[0], *graph.outputs]


def of_another_device(model: Any) -> None:
    model.operatorCodes[0].builtinCode = 32
    model.operatorCodes[0].deprecatedBuiltinCode = 32
    model.operatorCodes[0].customCode = "ethos-u"


@pytest.mark.parametrize(
    ("edit", "shown", "why"),
    [
        (reshaped([1, 416, 416, 4]), "(1, 416, 416, 4) int8", "cannot be loaded: litert failed"),
        (reshaped([1, 416, 416, 2]), "(1, 416, 416, 2) int8", "cannot be loaded: litert failed"),
        (reshaped([416, 416, 3]), "(416, 416, 3) int8", ""),
        (of_floats, "(1, 416, 416, 3) int64", ""),
        (with_two_inputs, "head_13x13 (1, 13, 13, 255) int8", "must have one input, an image, got 2"),
        (
            of_inner_output,
            "(1, 417, 417, 3) int8",
            "is no head that can be decoded: expected (1, rows, columns, anchors",
        ),
        (of_another_device, "(1, 416, 416, 3) int8", "is compiled by Vela"),
    ],
)
def test_its_tensors_are_shown_and_why(tmp_path: Path, edit: Callable[[Any], None], shown: str, why: str) -> None:
    model = edited_model(tmp_path / "model.tflite", edit)
    done = fastyolo("info", "--model", model)
    assert done.returncode == 1
    assert shown in done.stdout
    assert "head_26x26 (1, 26, 26, 255) int8" in done.stdout
    line = one_line(done.stderr)
    assert why in line
    assert "unexpected" not in line
    done = fastyolo("info", "--model", model, "--format", "json")
    record = json.loads(done.stdout)["model"]
    assert record["problem"] in one_line(done.stderr)
    assert [head["name"] for head in record["outputs"]][-2:] == ["head_26x26", "head_13x13"]


@pytest.mark.parametrize("channels", [2, 4])
def test_an_input_of_other_channels_is_why(tmp_path: Path, channels: int) -> None:
    # Boards import this file too, and export nothing.
    from fastyolo.export.tflite import write_tflite

    cfg, weights = write_network(tmp_path, smallest().replace("channels=3", f"channels={channels}"))
    model = tmp_path / "model.tflite"
    model.write_bytes(write_tflite(load(cfg, weights)))
    done = fastyolo("info", "--model", model)
    assert done.returncode == 1
    assert f"input        input (1, 64, 96, {channels}) float32" in done.stdout
    assert "outputs      head_4x6 (1, 4, 6, 21) float32" in done.stdout
    expected = "must have shape (1, height, width, 3), or for grey (1, height, width, 1), got"
    assert one_line(done.stderr).endswith(f"{expected} (1, 64, 96, {channels})")


def test_metadata_of_other_heads_is_why(tmp_path: Path) -> None:
    content = BUNDLED_MODEL.read_bytes()
    metadata = {**read_metadata(BUNDLED_MODEL), "names": ["cat", "dog"]}
    model = tmp_path / "model.tflite"
    model.write_bytes(append_metadata(content[: content.rindex(b"PK\x03\x04")], metadata))
    done = fastyolo("info", "--model", model)
    assert done.returncode == 1
    assert "head_13x13 (1, 13, 13, 255) int8" in done.stdout
    assert "heads must have shapes (13, 13, 21) and (26, 26, 21)" in one_line(done.stderr)


def test_a_file_that_says_nothing_is_only_a_line(tmp_path: Path) -> None:
    for name, content in (("text.tflite", b"hello, world"), ("cut.tflite", BUNDLED_MODEL.read_bytes()[:3_000_000])):
        (tmp_path / name).write_bytes(content)
        done = fastyolo("info", "--model", tmp_path / name)
        assert (done.returncode, done.stdout) == (1, "")
        assert name in one_line(done.stderr)


def test_a_file_that_runs_has_no_problem() -> None:
    record = json.loads(fastyolo("info", "--format", "json").stdout)["model"]
    assert record["problem"] is None
    assert record["inputs"] == [record["input"]]
    assert record["input"]["color"] == "rgb"
