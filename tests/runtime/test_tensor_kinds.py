"""Models whose tensors are quantised otherwise than ours: run as they mean it, or refused before the first picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import fastyolo
from fastyolo import Detector, ModelError
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import append_metadata, read_metadata

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Writes the bundled model after `change(graph)`; `metadata` replaces entries of its description."""
    import flatbuffers

    def write(change: Callable[[Any], None], **metadata: object) -> Path:
        content = BUNDLED_MODEL.read_bytes()
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        change(model.subgraphs[0])
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        path = tmp_path / "changed.tflite"
        path.write_bytes(append_metadata(bytes(builder.Output()), {**read_metadata(BUNDLED_MODEL), **metadata}))
        return path

    return write


def rescale_input(graph: Any, scale: float) -> Any:
    """Give the input another scale, and what is padded of it; returns the convolution that reads it."""
    index = graph.inputs[0]
    while True:
        graph.tensors[index].quantization.scale = [scale]
        (reader,) = (operator for operator in graph.operators if index in operator.inputs)
        if len(reader.inputs) == 3:
            return reader
        index = reader.outputs[0]


def normalise_inside(graph: Any) -> None:
    """The same network with 0..255 for its input: the first convolution's weights are divided by 255."""
    first = rescale_input(graph, 1.0)
    weights = graph.tensors[first.inputs[1]].quantization
    weights.scale = [scale / 255 for scale in weights.scale]


def test_a_network_that_normalises_inside_finds_the_same(changed: Callable[..., Path], hopper_path: Path) -> None:
    expected = Detector()(hopper_path)
    found = Detector(changed(normalise_inside))(hopper_path)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)
    assert len(found) == 2


def test_the_metadata_says_a_range_and_an_option_wins(changed: Callable[..., Path]) -> None:
    def rescale(graph: Any) -> None:
        rescale_input(graph, 0.01)

    path = changed(rescale)
    with pytest.raises(ModelError, match=r"represents 0\.\.2\.55 .*--input-range LOW,HIGH"):
        Detector(path)
    assert Detector(path, input_range=(0, 2.55))._preprocess.input_range == (0, 2.55)
    path = changed(rescale, input_range=[0, 2])
    assert Detector(path)._preprocess.input_range == (0, 2)
    assert Detector(path, input_range=(0, 1))._preprocess.input_range == (0, 1)


def test_the_command_line_takes_the_range(changed: Callable[..., Path], hopper_path: Path) -> None:
    path = changed(normalise_inside)
    done = fastyolo("detect", hopper_path, "--model", path, "--input-range", "0,255")
    assert done.returncode == 0, done.stderr
    assert "person" in done.stdout
    done = fastyolo("detect", hopper_path, "--model", path, "--input-range", "-1,1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "leaves 1 steps" in done.stderr
    done = fastyolo("detect", hopper_path, "--model", path, "--input-range", "255")
    assert done.returncode == 2
    assert "--input-range must be LOW,HIGH" in done.stderr
    assert "black 0, white 255" in fastyolo("info", "--model", path).stdout


def test_a_head_of_many_scales_is_refused_when_it_is_loaded(changed: Callable[..., Path]) -> None:
    def many(graph: Any) -> None:
        quantization = graph.tensors[graph.outputs[0]].quantization
        quantization.scale, quantization.zeroPoint = [0.04] * 255, [0] * 255
        quantization.quantizedDimension = 3

    with pytest.raises(ModelError, match="output head_") as caught:
        Detector(changed(many))
    assert "255" in str(caught.value)
    assert "--" not in str(caught.value)


def test_a_head_without_a_scale_is_refused_when_it_is_loaded(changed: Callable[..., Path]) -> None:
    def none(graph: Any) -> None:
        graph.tensors[graph.outputs[0]].quantization = None

    with pytest.raises(ModelError, match="output head_") as caught:
        Detector(changed(none))
    assert "\n" not in str(caught.value)


def test_classes_that_darknet_hides_are_hidden(changed: Callable[..., Path], hopper_path: Path) -> None:
    names = list(read_metadata(BUNDLED_MODEL)["names"])
    names[names.index("tie")] = "dont_show tie"
    path = changed(lambda graph: None, names=names)
    assert [found.name for found in Detector(path)(hopper_path)] == ["person"]
    assert [found.name for found in Detector(path, show_hidden=True)(hopper_path)] == ["person", "dont_show tie"]
    assert [found.name for found in Detector(path, classes=["tie"])(hopper_path)] == ["dont_show tie"]


def test_cocos_names_on_request() -> None:
    detector = Detector(names="coco")
    assert "motorcycle" in detector.names
    assert "motorbike" not in detector.names
    done = fastyolo("detect", "missing.jpg", "--names", "coco", "--classes", "tv,couch")
    assert "missing.jpg: no such file" in done.stderr
    assert "differ" not in done.stderr
