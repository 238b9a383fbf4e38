"""The whole way from a picture to detections, with the bundled model."""

from __future__ import annotations

import copy
import pickle
import re
import threading
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import fastyolo
from fastyolo import Detections, Detector, FastYoloError, ImageError, ModelError, ModelSpec, OptionError
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.metadata import append_metadata, read_metadata
from fastyolo.names import class_ids
from fastyolo.postprocess import Decoder
from fastyolo.runtime.outputs import match_outputs
from fastyolo.runtime.session import TensorInfo, open_session


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def same(first: Detections, second: Detections) -> bool:
    return all(
        np.array_equal(getattr(first, field), getattr(second, field)) for field in ("xyxy", "confidence", "class_id")
    )


def without_metadata(tmp_path: Path) -> Path:
    path = tmp_path / "bare.tflite"
    content = BUNDLED_MODEL.read_bytes()
    path.write_bytes(content[: content.rindex(b"PK\x03\x04")])
    return path


def with_metadata(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "described.tflite"
    path.write_bytes(
        append_metadata(without_metadata(tmp_path).read_bytes(), {**read_metadata(BUNDLED_MODEL), **changes})
    )
    return path


def test_finds_the_person_and_the_tie(detector: Detector, hopper_path: Path) -> None:
    found = detector(hopper_path)
    assert [detection.name for detection in found] == ["person", "tie"]
    assert found.orig_shape == (600, 512)
    assert (found.confidence > 0.4).all()
    person, tie = found.xyxy
    assert person == pytest.approx([0, 85, 512, 600], abs=45)
    assert tie == pytest.approx([228, 442, 291, 534], abs=12)
    assert set(found.speed) == {"read", "preprocess", "inference", "postprocess"}
    assert all(milliseconds > 0 for milliseconds in found.speed.values())
    assert found.summary() == "1 person, 1 tie"


@pytest.mark.inference
def test_every_kind_of_source_gives_the_same(
    detector: Detector, hopper_path: Path, hopper: npt.NDArray[np.uint8]
) -> None:
    expected = detector(hopper_path)
    assert same(detector(str(hopper_path)), expected)
    assert same(detector(hopper_path.read_bytes()), expected)
    assert same(detector(Image.open(hopper_path)), expected)
    assert same(detector(hopper), expected)
    assert same(detector(hopper[..., ::-1], color="bgr"), expected)
    assert same(detector(np.asfortranarray(hopper)), expected)


@pytest.mark.inference
def test_results_do_not_alias_the_interpreter(detector: Detector, hopper: npt.NDArray[np.uint8]) -> None:
    first = detector(hopper)
    kept = first.xyxy.copy()
    detector(np.zeros_like(hopper))
    np.testing.assert_array_equal(first.xyxy, kept)


@pytest.mark.inference
def test_plot_draws_on_the_picture_that_was_given(detector: Detector, hopper: npt.NDArray[np.uint8]) -> None:
    reverse = hopper[..., ::-1].copy()
    rgb = np.asarray(detector(hopper).plot(hopper))
    bgr = np.asarray(detector(reverse, color="bgr").plot(reverse, color="bgr"))
    assert rgb.shape == hopper.shape
    assert (rgb != hopper).any()
    np.testing.assert_array_equal(rgb, bgr)


@pytest.mark.inference
def test_results_keep_no_pixels(detector: Detector, hopper: npt.NDArray[np.uint8], hopper_path: Path) -> None:
    for image in (hopper, hopper_path.read_bytes(), Image.open(hopper_path)):
        found = detector(image)
        assert found.source is None
        assert len(pickle.dumps(found)) < 4000
        with pytest.raises(FastYoloError, match=r"keep no picture to draw on; pass it: plot\(image\)"):
            found.plot()
    found = detector(hopper_path)
    assert found.source == str(hopper_path)
    np.testing.assert_array_equal(np.asarray(found.plot()), np.asarray(found.plot(hopper)))


def test_a_word_that_is_no_color_is_refused_whatever_the_image(detector: Detector, hopper_path: Path) -> None:
    with pytest.raises(OptionError, match=r"color must be one of 'rgb', .* got 'gbr'"):
        detector(hopper_path, color="gbr")  # type: ignore[arg-type]


@pytest.mark.inference
def test_plot_refuses_another_picture(detector: Detector, hopper_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.open(hopper_path).save(path)
    found = detector(path)
    Image.open(hopper_path).resize((256, 300)).save(path)
    with pytest.raises(FastYoloError, match="that was detected on, 512 x 600, got one of 256 x 300"):
        found.plot()


def test_it_says_what_it_is_and_why_it_does_not_pickle(detector: Detector) -> None:
    assert re.fullmatch(r"<Detector yolov4-tiny_416_int8.tflite: 80 classes, 416x416, [\w-]+ \S+, cpu>", repr(detector))
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds a loaded model; make one in each process"):
            attempt(detector)


@pytest.mark.inference
def test_a_padded_frame_of_a_hardware_decoder_is_the_tight_one(
    detector: Detector, hopper: npt.NDArray[np.uint8]
) -> None:
    """600 lines of luma in 608, rows of 512 bytes in 640, chroma behind the padding."""
    i420 = cv2.cvtColor(hopper, cv2.COLOR_RGB2YUV_I420)
    luma, chroma = i420[:600], i420[600:].reshape(2, 300, 256).transpose(1, 2, 0)
    buffer = np.full((608 + 304, 640), 200, np.uint8)
    buffer[:600, :512] = luma
    buffer[608 : 608 + 300, :512] = chroma.reshape(300, 512)
    y, uv = buffer[:600, :512], buffer[608:908, :512].reshape(300, 256, 2)
    assert uv.base is not None
    tight = detector(np.concatenate([luma, chroma.reshape(300, 512)]), color="nv12")
    assert len(tight) >= 2
    assert same(detector((y, uv), color="nv12"), tight)


@pytest.mark.inference
def test_nothing_is_found_on_grey(detector: Detector) -> None:
    found = detector(np.full((50, 80, 3), 128, np.uint8))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.summary() == "nothing found"


@pytest.mark.inference
def test_a_single_pixel_is_a_picture(detector: Detector) -> None:
    assert detector(np.zeros((1, 1, 3), np.uint8)).orig_shape == (1, 1)


def test_it_is_preprocess_invoke_decode_and_nothing_else(detector: Detector, hopper: npt.NDArray[np.uint8]) -> None:
    session = open_session(BUNDLED_MODEL)
    fastyolo.preprocess.Preprocessor((416, 416))(hopper, session.input_view())
    session.invoke()
    heads = [session.output_view(tensor).copy() for tensor in session.outputs]
    result = fastyolo.decode_nms(
        heads,
        quantization=[tensor.quantization for tensor in session.outputs],
        image_size=hopper.shape[:2],
        clip=True,
    )
    found = detector(hopper)
    np.testing.assert_array_equal(result.xyxy, found.xyxy)
    np.testing.assert_array_equal(result.confidence, found.confidence)
    assert isinstance(Decoder(ModelSpec.yolov4_tiny()), fastyolo.Decoder)


@pytest.mark.inference
def test_options_reach_the_decoder(hopper: npt.NDArray[np.uint8]) -> None:
    many = Detector(score_threshold=0.001, multi_label=True)(hopper)
    assert 100 < len(many) <= 300
    assert len(Detector(score_threshold=0.001, max_detections=7)(hopper)) == 7
    ties = Detector(classes=["Tie"])(hopper)
    assert [detection.name for detection in ties] == ["tie"]
    assert same(Detector(classes=[27])(hopper), ties)
    unclipped = Detector(clip=False, score_threshold=0.01)(hopper).xyxy
    assert (unclipped < 0).any()
    assert (many.xyxy >= 0).all()
    assert (many.xyxy <= [512, 600, 512, 600]).all()


@pytest.mark.inference
def test_letterbox_maps_boxes_back(hopper: npt.NDArray[np.uint8]) -> None:
    wide = np.full((300, 1200, 3), 128, np.uint8)
    wide[:, 450:706] = hopper[::2, ::2]
    person = next(found for found in Detector(resize="letterbox", score_threshold=0.1)(wide) if found.name == "person")
    # Where the person stands is known; how much of the cap counts is the network's to say.
    assert person.xyxy == pytest.approx((450, 25, 706, 300), abs=20)


@pytest.mark.pc("52 inferences, of 2 to 5 emulated seconds each: two minutes")
def test_threads_share_a_detector(detector: Detector, hopper: npt.NDArray[np.uint8]) -> None:
    images = [hopper, hopper[:, ::-1], hopper[::2], hopper[:300]]
    expected = [detector(image) for image in images]
    wrong: list[int] = []

    def work(seed: int) -> None:
        for turn in range(12):
            which = (seed + turn) % len(images)
            if not same(detector(images[which]), expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_bad_image_leaves_the_detector_working(detector: Detector, hopper: npt.NDArray[np.uint8]) -> None:
    expected = detector(hopper)
    errors = []  # kept, with their tracebacks: nothing in them may hold the interpreter's memory
    for bad in (np.zeros((4, 4)), "missing.jpg", b"", None, 3):
        with pytest.raises(ImageError) as caught:
            detector(bad)  # type: ignore[arg-type]
        errors.append(caught.value)
    with pytest.raises(OptionError, match="'rgb', 'bgr', 'rgba'"):
        detector(hopper, color="yuv")  # type: ignore[arg-type]
    assert same(detector(hopper), expected)


@pytest.mark.inference
def test_a_model_without_metadata_needs_a_spec(
    tmp_path: Path, hopper: npt.NDArray[np.uint8], detector: Detector
) -> None:
    path = without_metadata(tmp_path)
    with pytest.raises(ModelError, match=r"no metadata; .*--cfg and --names.*ModelSpec\.yolov4_tiny\(\)"):
        Detector(path)
    assert same(Detector(path, spec=ModelSpec.yolov4_tiny())(hopper), detector(hopper))
    # A .cfg may say another input size than the export: the model's own counts.
    assert Detector(path, spec=ModelSpec.yolov4_tiny(input_size=(608, 608))).spec.input_size == (416, 416)


def test_a_spec_that_does_not_fit_names_what_is_there(tmp_path: Path) -> None:
    path = without_metadata(tmp_path)
    with pytest.raises(ModelError, match=r"shapes \(13, 13, 21\) and \(26, 26, 21\) .*, got head_26x26") as caught:
        Detector(path, spec=ModelSpec.yolov4_tiny(names=["a", "b"]))
    # Shapes are no proof: what else must hold, and the sure way.
    assert "by shape ModelSpec.yolov4_tiny() would fit" in str(caught.value)
    for word in ("anchors", "scale_x_y=1.05", "classes", "ModelSpec.from_cfg", "--cfg FILE"):
        assert word in str(caught.value)
    with pytest.raises(ModelError, match="metadata says"):
        Detector(with_metadata(tmp_path, input_size=[320, 320]))


def test_what_is_given_wins_over_metadata_with_a_warning(tmp_path: Path) -> None:
    names = [f"thing {index}" for index in range(80)]
    with pytest.warns(UserWarning, match="given names differ"):
        assert Detector(spec=ModelSpec.yolov4_tiny(names=names)).names == tuple(names)


def test_geometry_and_nms_are_the_models_the_specs_or_those_given(tmp_path: Path) -> None:
    letterboxed = with_metadata(tmp_path, resize="letterbox", nms="diou")
    for options, use in (({}, ("letterbox", "diou")), ({"resize": "stretch", "nms": "iou"}, ("stretch", "iou"))):
        detector = Detector(letterboxed, **options)  # type: ignore[arg-type]
        assert (detector.resize, detector.nms) == use
    with pytest.warns(UserWarning, match="in .*, but '(stretch|iou)' is given; using") as caught:
        detector = Detector(letterboxed, spec=ModelSpec.yolov4_tiny())
    assert [str(warning.message).split("=")[0] for warning in caught] == ["resize", "nms"]
    assert (detector.resize, detector.nms) == ("stretch", "iou")
    # The bundled model says nothing of NMS, so there is nothing to differ from.
    assert Detector(spec=ModelSpec.yolov4_tiny(nms="diou")).nms == "diou"
    with pytest.raises(OptionError, match="nms must be 'iou' or 'diou', got 'soft'"):
        Detector(nms="soft")  # type: ignore[arg-type]


def tensor(index: int, name: str, *shape: int) -> TensorInfo:
    return TensorInfo(index, name, (1, *shape), np.dtype(np.int8), (0.1, 0))


def test_outputs_are_matched_by_shape_not_by_position() -> None:
    spec = ModelSpec.yolov4_tiny()
    small, large = tensor(7, "x", 13, 13, 255), tensor(3, "y", 26, 26, 255)
    assert match_outputs([large, small], spec) == [small, large]
    assert match_outputs([small, large], spec) == [small, large]
    with pytest.raises(ModelError, match=r"heads must have shapes .* got x .* and y .* and z \(1, 5\)"):
        match_outputs([small, large, tensor(9, "z", 5)], spec)


def test_outputs_of_one_shape_are_told_apart_by_metadata() -> None:
    head = ModelSpec.yolov4_tiny().heads[0]
    spec = ModelSpec((416, 416), (head, head), fastyolo.COCO_NAMES)
    first, second = tensor(1, "a", 13, 13, 255), tensor(2, "b", 13, 13, 255)
    assert match_outputs([first, second], spec, ["b", "a"]) == [second, first]
    with pytest.raises(ModelError, match=r"outputs a, b all have shape \(13, 13, 255\)"):
        match_outputs([first, second], spec)


def test_classes_by_name_or_id() -> None:
    names = ["cat", "Wild Dog", "7"]
    assert class_ids(names, ["wild dog", 0, "1"]) == [1, 0, 1]
    assert class_ids(names, ["7"]) == [2]
    with pytest.raises(OptionError, match=r"got 'wild dgo'; did you mean 'wild dog'\?"):
        class_ids(names, ["wild dgo"])
    for wrong in (3, -1, "3", ""):
        with pytest.raises(OptionError, match="names or ids"):
            class_ids(names, [wrong])


def test_nan_and_text_are_no_thresholds() -> None:
    for wrong in (float("nan"), 1.5, -0.1, "high", None):
        with pytest.raises(OptionError, match="score_threshold"):
            Detector(score_threshold=wrong)  # type: ignore[arg-type]
