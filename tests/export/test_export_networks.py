"""Whole networks, by name: float heads as OpenCV computes them, and int8 files that run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from coco_eval import coco_accuracy
from darknet_networks import load, write_network, yolov3_tiny, yolov4_tiny, yolov4_tiny_3l
from fastyolo import Detector, ModelSpec
from fastyolo.export import export
from fastyolo.export.fetch import OFFICIAL_CFG
from fastyolo.export.tflite import check_integer
from fastyolo.export.vela import compile_model
from fastyolo.runtime.session import open_session
from float_heads import largest_difference, opencv_heads, run_float
from matching import iou_table

pytestmark = pytest.mark.slow

Network = tuple[Path, Path]

# Without weights to be had: seeded random ones.
RANDOM: dict[str, str] = {
    "yolov4-tiny-3l": yolov4_tiny_3l(160, 160),
    "yolov4-tiny, 1 class": yolov4_tiny(160, 160, classes=1),
    "yolov4-tiny, 2 classes": yolov4_tiny(160, 160, classes=2),
    "yolov4-tiny, 20 classes": yolov4_tiny(160, 160, classes=20),
    "yolov4-tiny, 320 x 320": yolov4_tiny(320, 320),
    "yolov4-tiny, 608 x 608": yolov4_tiny(608, 608),
    "yolov4-tiny, 416 high and 256 wide": yolov4_tiny(416, 256),
    "yolov4-tiny, 256 high and 416 wide": yolov4_tiny(256, 416),
    "yolov3-tiny, 3 classes, 416 high and 256 wide": yolov3_tiny(416, 256, classes=3),
}

HEAD_CELLS = {
    "yolov4-tiny-3l": [(5, 5), (10, 10), (20, 20)],
    "yolov4-tiny, 320 x 320": [(10, 10), (20, 20)],
    "yolov4-tiny, 608 x 608": [(19, 19), (38, 38)],
    "yolov4-tiny, 416 high and 256 wide": [(13, 8), (26, 16)],
    "yolov4-tiny, 256 high and 416 wide": [(8, 13), (16, 26)],
    "yolov3-tiny, 3 classes, 416 high and 256 wide": [(13, 8), (26, 16)],
}


@pytest.fixture(scope="module", params=["yolov4-tiny", "yolov3-tiny", *RANDOM])
def named_network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_yolov3_tiny: Callable[[], Network]
) -> tuple[str, Network]:
    name = str(request.param)
    if name == "yolov4-tiny":
        return name, (OFFICIAL_CFG, request.getfixturevalue("official_weights"))
    if name == "yolov3-tiny":
        return name, make_yolov3_tiny()
    return name, write_network(tmp_path_factory.mktemp("network"), RANDOM[name])


@pytest.fixture(scope="module")
def make_yolov3_tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Network]:
    def make() -> Network:
        cfg = tmp_path_factory.mktemp("yolov3") / "yolov3-tiny.cfg"
        cfg.write_text(yolov3_tiny())
        return cfg, request.getfixturevalue("yolov3_tiny_weights")

    return make


def test_float_heads_agree_with_opencv(
    named_network: tuple[str, Network], hopper: npt.NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    name, network = named_network
    # OpenCV folds batch normalisation with 1e-6, Darknet and fastyolo with 1e-5.
    same, ours = load(*network, epsilon=1e-6), load(*network, epsilon=1e-5)
    height, width, _ = ours.shapes["input"]
    image = cv2.resize(hopper, (width, height)).astype(np.float32) / np.float32(255)
    wanted = opencv_heads(*network, image)
    if name in HEAD_CELLS:
        assert [head.shape[:2] for head in wanted] == HEAD_CELLS[name]
    differences = [largest_difference(run_float(graph, image), wanted) for graph in (same, ours)]
    with capsys.disabled():
        print(f"\n{name}: largest difference from OpenCV {differences[0]:.1e}, with Darknet's eps {differences[1]:.1e}")
    assert differences[0] < 1e-4
    assert differences[1] < 5e-3


@pytest.fixture(scope="module")
def files(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    named_network: tuple[str, Network],
    calibration: Path,
) -> dict[str, Path]:
    """The network in float32 and int8."""
    name, network = named_network
    # Other tests need these two as well.
    shared = {"yolov4-tiny": "official_files", "yolov3-tiny": "yolov3_tiny_files"}
    if name in shared:
        found: dict[str, Path] = request.getfixturevalue(shared[name])
        return found
    folder = tmp_path_factory.mktemp("files")
    return dict(export(*network, output_dir=folder, calibration=calibration, formats=["float32", "int8"]).paths)


def test_int8_files_are_integer_throughout_and_run(files: dict[str, Path], calibration: Path) -> None:
    check_integer(files["int8"].read_bytes())
    real, stored = (_heads(files[kind], calibration / "3.png") for kind in ("float32", "int8"))
    assert set(stored) == set(ModelSpec.from_model(files["int8"]).head_shapes)
    for shape, (values, limits) in stored.items():
        wanted = np.clip(real[shape][0], *limits)
        assert np.abs(values - wanted).mean() < 0.05 * (limits[1] - limits[0])


def _heads(model: Path, picture: Path) -> dict[tuple[int, ...], tuple[npt.NDArray[np.float32], tuple[float, float]]]:
    """By shape: real values of each head, and the limits of what its type can hold."""
    from fastyolo.frames.picture import load_image
    from fastyolo.preprocess import Preprocessor

    session = open_session(model)
    preprocess = Preprocessor(session.input_size, dtype=np.uint8)
    pixels = preprocess(load_image(picture))[0]
    if session.input.dtype == np.int8:
        session.input_view()[0] = (pixels ^ np.uint8(0x80)).view(np.int8)
    else:
        session.input_view()[0] = pixels.astype(np.float32) / np.float32(255)
    session.invoke()
    heads = {}
    for tensor in session.outputs:
        scale, zero_point = tensor.quantization or (1.0, 0)
        values = (session.output_view(tensor)[0].astype(np.float32) - zero_point) * np.float32(scale)
        heads[tensor.shape[1:]] = values, ((-128 - zero_point) * scale, (127 - zero_point) * scale)
    return heads


@pytest.fixture(scope="module")
def yolov3_tiny_files(
    tmp_path_factory: pytest.TempPathFactory, make_yolov3_tiny: Callable[[], Network], calibration: Path
) -> dict[str, Path]:
    return dict(
        export(
            *make_yolov3_tiny(),
            output_dir=tmp_path_factory.mktemp("files"),
            calibration=calibration,
            names=ModelSpec.yolov4_tiny().names,
            formats=["float32", "int8"],
        ).paths
    )


def test_yolov3_tiny_finds_the_tie(yolov3_tiny_files: dict[str, Path], hopper_path: Path) -> None:
    boxes = []
    for path in yolov3_tiny_files.values():
        found = Detector(path, score_threshold=0.6)(hopper_path)
        assert found.summary() == "1 tie"
        boxes.append(found.xyxy)
    assert iou_table(*boxes)[0, 0] > 0.9


def test_the_npu_takes_all_of_yolov3_tiny(tmp_path: Path, yolov3_tiny_files: dict[str, Path]) -> None:
    _, compiled = compile_model(yolov3_tiny_files["int8"], target="imx93", output_dir=tmp_path)
    assert compiled.npu_operators > 30
    assert compiled.cpu_operators == ()


def test_yolov3_tiny_in_int8_is_accurate(
    yolov3_tiny_files: dict[str, Path], coco_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accuracy = coco_accuracy(Detector(yolov3_tiny_files["int8"], score_threshold=0.001, multi_label=True), coco_dir)
    with capsys.disabled():
        print(f"\nyolov3-tiny int8, 128 val2017 pictures: AP50 {accuracy.ap50:.2f}, AP {accuracy.ap:.2f}")
    # Float: 43.89 / 22.49. Eight windows on one photograph are poor calibration.
    assert accuracy.ap50 >= 42.0
