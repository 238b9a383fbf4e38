"""What the filter gives, in each of its three forms, against `Decoder` and against `Detector` on real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import Decoder, Detector, ModelSpec
from fastyolo.detector import BUNDLED_MODEL
from pipeline import Array, Element

MODEL = f"model:{BUNDLED_MODEL}"
Heads = list[npt.NDArray[np.int8]]


def read_ssd(tensors: list[Array], size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """As mobilenet-ssd-postprocess reads them with option3=0:1:2:3,0: xyxy in pixels, scores, classes."""
    boxes, classes, scores, count = tensors
    rows = int(count[0])
    assert not boxes[rows:].any()
    assert not scores[rows:].any()
    assert not classes[rows:].any()
    return boxes[:rows][:, [1, 0, 3, 2]] * np.tile(size[::-1], 2), scores[:rows], classes[:rows].astype(int)


def read_yolov5(table: Array, size: tuple[int, int], threshold: float = 0) -> tuple[Array, Array, Array]:
    """As option1=yolov5 reads it with option3=0:0:9: the best class of every row whose product passes."""
    best = table[:, 5:].max(1) * table[:, 4]
    rows = np.flatnonzero(best > threshold)
    centres, sizes = table[rows, :2] * size[::-1], table[rows, 2:4] * size[::-1]
    return np.hstack([centres - sizes / 2, centres + sizes / 2]), best[rows], table[rows, 5:].argmax(1)


def test_ssd_is_what_decoder_finds(frames: list[Heads], decoder: Decoder) -> None:
    element = Element(MODEL, frames[0])
    assert [shape.getDims()[:2] for shape in element.gives] == [[4, 100], [100, 0], [100, 0], [1, 0]]
    found = 0
    for heads in frames:
        xyxy, scores, classes = read_ssd(element(heads), (416, 416))
        expected = decoder(heads)
        np.testing.assert_allclose(xyxy, expected.xyxy, atol=1e-3)
        np.testing.assert_array_equal(scores, expected.confidence)
        np.testing.assert_array_equal(classes, expected.class_id)
        found += len(scores)
    assert found > 30


def test_yolov5_is_what_decoder_finds(frames: list[Heads], decoder: Decoder) -> None:
    element = Element(f"output:yolov5,{MODEL}", frames[0])
    for heads in frames:
        (table,) = element(heads)
        assert table.shape == (1, 10647, 85)
        xyxy, scores, classes = read_yolov5(table[0], (416, 416))
        expected = decoder(heads)
        np.testing.assert_allclose(xyxy, expected.xyxy, atol=1e-3)
        np.testing.assert_array_equal(scores, expected.confidence)
        np.testing.assert_array_equal(classes, expected.class_id)


def test_json_is_one_line_a_frame(frames: list[Heads], decoder: Decoder, spec: ModelSpec) -> None:
    element = Element(f"{MODEL} output:json", frames[0])
    stream = b"".join(element(heads)[0].tobytes() for heads in frames)
    lines = stream.decode("ascii").splitlines()
    assert len(lines) == len(frames)
    for line, heads in zip(lines, frames, strict=True):
        record = json.loads(line)
        expected = decoder(heads)
        assert (record["width"], record["height"]) == (416, 416)
        assert [item["class_id"] for item in record["detections"]] == expected.class_id.tolist()
        assert [item["name"] for item in record["detections"]] == [spec.names[i] for i in expected.class_id]
        for item, box, score in zip(record["detections"], expected.xyxy, expected.confidence, strict=True):
            assert item["xyxy"] == pytest.approx(box.tolist(), abs=0.0051)
            assert item["confidence"] == pytest.approx(float(score), abs=0.000051)


def test_json_has_room_for_all_there_can_be(tmp_path: Path) -> None:
    names = tmp_path / "my.names"
    names.write_text("\n".join(f"Ümläut \\ {index}" for index in range(80)), encoding="utf-8")
    heads = [
        np.random.default_rng(3).normal(2, 3, shape).astype(np.float32)
        for shape in ((1, 13, 13, 255), (1, 26, 26, 255))
    ]
    custom = f"output:json cfg:yolov4-tiny names:{names} image_size:16777216x16777216 iou_threshold:1 score_threshold:0"
    (line,) = Element(f"{custom} max_detections:2535", heads)(heads)
    text = line.tobytes().decode("ascii")
    assert len(json.loads(text)["detections"]) == 2535
    assert text[-1] == "\n"


def test_image_size_places_boxes_in_the_frame(frames: list[Heads], spec: ModelSpec, pairs: list) -> None:
    heads = frames[3]
    expected = Decoder(spec, quantization=pairs, clip=True)(heads, (720, 1280))
    (line,) = Element(f"{MODEL},output:json,image_size:720x1280", heads)(heads)
    record = json.loads(line.tobytes())
    assert (record["width"], record["height"]) == (1280, 720)
    assert record["detections"][0]["xyxy"] == pytest.approx(expected.xyxy[0].tolist(), abs=0.0051)


@pytest.mark.inference
def test_a_picture(hopper: npt.NDArray[np.uint8]) -> None:
    detector = Detector()
    found = detector(hopper)
    heads = [detector.session.output_view(tensor).copy() for tensor in detector.session.outputs]
    xyxy, scores, classes = read_ssd(Element(MODEL, heads)(heads), found.orig_shape)
    assert [detector.names[index] for index in classes] == ["person", "tie"]
    np.testing.assert_array_equal(scores, found.confidence)
    np.testing.assert_allclose(xyxy, found.xyxy, atol=0.01)


@pytest.mark.slow
@pytest.mark.pc("needs 128 inferences")
def test_every_picture_as_detector_sees_it(coco_dir: Path) -> None:
    detector = Detector(max_detections=100)
    elements = None
    total = 0
    for path in sorted((coco_dir / "val2017").glob("*.jpg")):
        found = detector(path)
        heads = [detector.session.output_view(tensor).copy() for tensor in detector.session.outputs]
        elements = elements or [Element(f"{MODEL} output:{kind}", heads) for kind in ("ssd", "yolov5")]
        height, width = found.orig_shape
        normal = found.xyxy / np.array([width, height, width, height], np.float32)
        for xyxy, scores, classes in (
            read_ssd(elements[0](heads), (1, 1)),
            read_yolov5(elements[1](heads)[0][0], (1, 1)),
        ):
            np.testing.assert_array_equal(classes, found.class_id, err_msg=path.name)
            np.testing.assert_allclose(scores, found.confidence, atol=1e-4)
            np.testing.assert_allclose(xyxy, normal, atol=1e-4, err_msg=path.name)
        total += len(found)
    assert total > 500
