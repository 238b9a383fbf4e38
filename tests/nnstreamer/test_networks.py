"""Which network heads are taken for, and every way in which that fails: one line each."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import COCO_NAMES, Decoder, FastYoloError, ModelSpec
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.flatfile import FlatTensor, read_flatfile
from fastyolo.metadata import append_metadata
from fastyolo.nnstreamer import network as module
from fastyolo.nnstreamer.network import Network, match
from fastyolo.nnstreamer.options import Options, parse_options
from pipeline import Element

MODEL = f"model:{BUNDLED_MODEL}"
Heads = list[npt.NDArray[np.int8]]
CFG = """[net]
width={size}
height={size}
channels=3
[convolutional]
filters=21
size=1
stride=32
activation=linear
[yolo]
mask=0,1,2
anchors=5,6,7,8,9,10
classes=2
num=3
"""


@pytest.fixture(scope="module")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network as NXP's files are: without metadata."""
    content = BUNDLED_MODEL.read_bytes()
    path = tmp_path_factory.mktemp("bare") / "network_quant.tflite"
    path.write_bytes(content[: content.rindex(b"PK\x03\x04")])
    return path


@pytest.fixture(scope="module")
def floats(frames: list[Heads], pairs: list[tuple[float, int]]) -> list[npt.NDArray[np.float32]]:
    return [
        (head.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        for head, (scale, zero) in zip(frames[3], pairs, strict=True)
    ]


def scores(custom: str, heads: list) -> list[float]:
    tensors = Element(custom, heads)(heads)
    return tensors[2][: int(tensors[3][0])].tolist()


def test_nxps_own_words_as_they_stand(
    floats: list, frames: list[Heads], decoder: Decoder, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = [score for score in decoder(frames[3]).confidence.tolist() if score >= 0.4]
    # Their pipeline's decoder reads one tensor of a YOLOv5's size, and its rows by objectness x class.
    (table,) = Element("Height:416,Width:416,Threshold:0.4", floats)(floats)
    assert table.shape == (1, 10647, 85)
    products = table[0, :, 4] * table[0, :, 5:].max(1)
    assert products[products > 0].tolist() == pytest.approx(expected, abs=1e-6)
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "taken for a YOLOv4-tiny with the official anchors and 80 classes" in said.err


def test_heads_in_any_order_and_type(frames: list[Heads], floats: list, decoder: Decoder) -> None:
    expected = decoder(frames[3]).confidence.tolist()
    assert scores(MODEL, frames[3]) == expected
    assert scores(MODEL, frames[3][::-1]) == expected
    assert scores(MODEL, floats[::-1]) == pytest.approx(expected, abs=1e-6)
    apart = [head.reshape(*head.shape[:3], 3, 85) for head in frames[3]]
    assert scores(MODEL, apart) == expected


def test_a_file_without_metadata_is_a_yolov4_tiny_where_its_shapes_fit(
    bare_model: Path, frames: list[Heads], decoder: Decoder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert scores(f"model:{bare_model}", frames[3]) == decoder(frames[3]).confidence.tolist()
    assert f"{bare_model} carries no metadata" in capfd.readouterr().err
    assert scores(f"model:{bare_model},cfg:yolov4-tiny", frames[3]) == decoder(frames[3]).confidence.tolist()
    assert capfd.readouterr().err == ""


def test_a_cfg_serves_every_size(tmp_path: Path) -> None:
    (tmp_path / "my.cfg").write_text(CFG.format(size=64))
    heads = [np.full((1, 3, 5, 21), 2, np.float32)]
    for custom in (f"cfg:{tmp_path}/my.cfg", f"cfg:{tmp_path}/my.cfg Height:96 Width:160 output:ssd"):
        assert len(scores(f"{custom} iou_threshold:1", heads)) == 45


def test_options_are_those_of_the_decoder(frames: list[Heads], spec: ModelSpec, pairs: list) -> None:
    options = {"score_threshold": 0.4, "iou_threshold": 0.3, "max_detections": 7, "nms": "diou", "class_agnostic": True}
    expected = Decoder(spec, quantization=pairs, clip=True, **options)(frames[3])
    custom = " ".join(f"{key}:{value}" for key, value in options.items())
    assert scores(f"{MODEL} {custom}", frames[3]) == expected.confidence.tolist()
    wanted = [COCO_NAMES[index] for index in dict.fromkeys(expected.class_id.tolist())][:3]
    ids = [COCO_NAMES.index(name) for name in wanted]
    expected = Decoder(spec, quantization=pairs, clip=True, classes=ids)(frames[3])
    assert scores(f"classes:{','.join(wanted)},{MODEL}", frames[3]) == expected.confidence.tolist()
    assert scores(f"{MODEL},classes:{','.join(map(str, ids))}", frames[3]) == expected.confidence.tolist()


def test_more_detections_than_boxes_are_as_many_as_boxes(frames: list[Heads]) -> None:
    (shape,) = Element(f"{MODEL} output:json max_detections:2000000000", frames[0]).gives
    assert 100_000 < shape.getDims()[0] < 600_000
    Element(f"{MODEL} output:yolov5 max_detections:2000000000", frames[0])(frames[3])


def test_a_value_goes_on_until_the_next_key() -> None:
    options = parse_options(["classes:person,traffic", "light,tie,model:/a,", "b/c", "d.tflite", "output:json"])
    assert options.classes == ("person", "traffic light", "tie")
    assert options.model == "/a, b/c d.tflite"
    assert options.output == "json"
    assert parse_options([]) == Options()
    assert parse_options(["", ""]) == Options()


def test_heads_of_one_shape_keep_their_scales_or_are_refused() -> None:
    head = ModelSpec.yolov4_tiny(names=["cat"], input_size=(64, 64)).heads[0]
    twins = ModelSpec((64, 64), (head, dataclasses.replace(head, scale_x_y=1.2)), ("cat",))
    third = dataclasses.replace(head, stride=16)
    spec = ModelSpec((64, 64), (*twins.heads, third), ("cat",))
    outputs = tuple(
        FlatTensor(name, (1, side, side, 18), "int8", (scale,), (0,))
        for name, side, scale in (("second", 2, 0.2), ("fine", 4, 0.3), ("first", 2, 0.1))
    )
    shapes = [tensor.shape for tensor in outputs]
    network = Network(spec, outputs, ["first", "second", "fine"], False)
    _, heads = match(network, Options(), shapes, ["int8"] * 3)
    assert [(head.position, head.quantization) for head in heads] == [(2, (0.1, 0)), (0, (0.2, 0)), (1, (0.3, 0))]
    with pytest.raises(FastYoloError, match=r"outputs second, first have one shape .* in the model's own order"):
        match(network, Options(), [shapes[1], shapes[0], shapes[2]], ["int8"] * 3)


def test_letterboxed_networks_are_told_what_to_say(
    tmp_path: Path, frames: list, capfd: pytest.CaptureFixture[str]
) -> None:
    content = BUNDLED_MODEL.read_bytes()
    metadata = ModelSpec.from_model(BUNDLED_MODEL).to_dict() | {"resize": "letterbox"}
    path = tmp_path / "letterbox.tflite"
    path.write_bytes(append_metadata(content[: content.rindex(b"PK\x03\x04")], metadata))
    Element(f"model:{path}", frames[3])
    assert "image_size:HEIGHTxWIDTH" in capfd.readouterr().err
    (line,) = Element(f"model:{path} image_size:416x832 output:json", frames[3])(frames[3])
    assert capfd.readouterr().err == ""
    found = Decoder(ModelSpec.from_model(path), quantization=None)
    assert found.resize == "letterbox"
    assert max(item["xyxy"][2] for item in json.loads(line.tobytes())["detections"]) > 416


def test_a_scale_per_channel_is_refused(monkeypatch: pytest.MonkeyPatch, frames: list) -> None:
    flat = read_flatfile(BUNDLED_MODEL)
    outputs = tuple(dataclasses.replace(tensor, scales=(0.1,) * 255, zero_points=(0,) * 255) for tensor in flat.outputs)
    monkeypatch.setattr(module, "read_flatfile", lambda path: dataclasses.replace(flat, outputs=outputs))
    with pytest.raises(FastYoloError, match="one scale and zero point, got 255 and 255; quantise it per tensor"):
        Element(MODEL, frames[0])


INT8 = [np.zeros((1, side, side, 255), np.int8) for side in (26, 13)]
WRONG = {
    "unknown option": ("scores:1", INT8, "unknown option 'scores'; there are model, cfg, names, output"),
    "no option": ("hello", INT8, "custom= must hold key:value pairs, such as score_threshold:0.4, got 'hello'"),
    "twice": (f"Threshold:0.4 score_threshold:0.3 {MODEL}", INT8, "custom= has score_threshold twice; give it once"),
    "no number": ("score_threshold:high", INT8, "score_threshold must be a number, got 'high'"),
    "out of range": ("iou_threshold:2", INT8, "iou_threshold must be between 0 and 1, got 2.0"),
    "no such output": ("output:xml", INT8, "output must be ssd, yolov5, json, got 'xml'"),
    "no such nms": ("nms:soft", INT8, "nms must be 'iou' or 'diou', got 'soft'"),
    "too many for ssd": ("max_detections:101", INT8, "max_detections must be at most 100 with output:ssd"),
    "no detections": ("max_detections:0", INT8, "max_detections must be at least 1, got 0"),
    "neither true nor false": ("class_agnostic:maybe", INT8, "class_agnostic must be true or false, got 'maybe'"),
    "no size": (
        "image_size:720",
        INT8,
        "image_size must be HEIGHTxWIDTH such as 720x1280, at most 16777216 each, got '720'",
    ),
    "no pixels": ("image_size:0x1280", INT8, "at most 16777216 each, got '0x1280'"),
    "half a size": ("Height:416", INT8, "needs Height and Width together"),
    "another size": (f"Height:320,Width:320 {MODEL}", INT8, "is 416 high and 416 wide, but Height and Width say 320"),
    "unknown class": (f"classes:persn {MODEL}", INT8, "got 'persn'; did you mean 'person'?"),
    "missing model": ("model:/none.tflite", INT8, "cannot read model /none.tflite: No such file or directory"),
    "no value": ("model:", INT8, "model: needs a value, got nothing"),
    "missing cfg": ("cfg:/none.cfg", INT8, "cannot read /none.cfg: No such file or directory"),
    "int8 alone": ("", INT8, "heads are int8, and what their bytes mean is in the model's file: add model:FILE.tflite"),
    "another type": (MODEL, [head.astype(np.uint8) for head in INT8], "is int8 in the model's file, got uint8"),
    "no head's type": (
        MODEL,
        [head.astype(np.int32) for head in INT8],
        "must be float32, int8 or uint8, got int32",
    ),
    "one head": (MODEL, INT8[:1], "heads must have shapes (13, 13, 255) and (26, 26, 255)"),
    "other shapes": (MODEL, [head[:, :, :, :18] for head in INT8], "got (26, 26, 18) and (13, 13, 18)"),
    "channels first": (MODEL, [head.transpose(0, 3, 1, 2) for head in INT8], "pass head.transpose(1, 2, 0) of each"),
    "no tiny": ("", [np.zeros((1, 10, 10, 255), np.float32)] * 2, "not those of a YOLOv4-tiny, got (10, 10, 255)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line(case: str) -> None:
    custom, heads, message = WRONG[case]
    with pytest.raises(FastYoloError, match=re.escape(message)) as caught:
        Element(custom, heads)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    content = BUNDLED_MODEL.read_bytes()
    path = tmp_path / "cut.tflite"
    for size, message in [
        (len(content) // 2, "is cut off, or damaged"),
        (content.rindex(b"PK\x03\x04") + 60, "is cut off: its metadata is not complete"),
        (len(content) - 30, "is cut off: its metadata is not complete"),
        (3, "is not a TFLite model"),
    ]:
        path.write_bytes(content[:size])
        with pytest.raises(FastYoloError, match=message):
            Element(f"model:{path}", INT8)


EXPECTED = "this frame must have heads int8 (172380,), int8 (43095,)"


def test_a_frame_that_is_wrong_is_one_line_and_the_next_one_goes_on(frames: list[Heads]) -> None:
    element = Element(MODEL, frames[3])
    expected = [tensor.copy() for tensor in element(frames[3])]
    invoke = element.filter.invoke
    flat = [head.ravel() for head in frames[3]]
    for arrays, message in [
        (
            [flat[0][:-1], flat[1]],
            "this frame must have heads int8 (172380,), int8 (43095,), got int8 (172379,), int8 (43095,)",
        ),
        (flat[:1], "this frame must have heads int8 (172380,), int8 (43095,), got int8 (172380,)"),
        ([], "got none"),
        ([head.astype(np.uint8) for head in flat], "got uint8 (172380,), uint8 (43095,)"),
        ([head.astype(np.float64) for head in flat], "got float64 (172380,), float64 (43095,)"),
        ([None, None], "got NoneType, NoneType"),
    ]:
        with pytest.raises(FastYoloError, match=re.escape(message)) as caught:
            invoke(arrays)
        assert "\n" not in str(caught.value)
    for ours, theirs in zip(element(frames[3]), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
