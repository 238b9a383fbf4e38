"""Networks of one channel: from a .cfg with channels=1 to detections in grey and in coloured frames."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from clips import decoded, make_clip, moving, planes_of
from command import fastyolo, one_line
from darknet_networks import smallest, tiny, write_network, yolov4_tiny
from fastyolo import Detector, EvaluationError, ExportError, ModelError, ModelSpec, SpecError, stream
from fastyolo.darknet import read_cfg, read_weights
from fastyolo.export import export
from fastyolo.export.build import supported_layers
from fastyolo.export.calibrate import Observer
from fastyolo.export.fetch import OFFICIAL_CFG
from fastyolo.export.tflite import check_integer
from fastyolo.frames.colors import Color
from fastyolo.metadata import find_metadata
from fastyolo.preprocess import Preprocessor
from float_heads import largest_difference, opencv_heads, run_float
from matching import iou_table

UInt8 = npt.NDArray[np.uint8]


def grey(text: str) -> str:
    assert "channels=3" in text
    return text.replace("channels=3", "channels=1")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_network(tmp_path_factory.mktemp("grey"), grey(tiny(64, 96, 2)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, network: tuple[Path, Path], noise: Path) -> dict[str, Path]:
    return dict(export(*network, output_dir=tmp_path_factory.mktemp("files"), calibration=noise).paths)


@pytest.fixture(scope="module")
def official_grey(tmp_path_factory: pytest.TempPathFactory, official_weights: Path) -> tuple[Path, Path]:
    """The official network for grey: what the first layer's filters make of three equal channels, added up."""
    folder = tmp_path_factory.mktemp("official_grey")
    cfg = folder / "grey-tiny.cfg"
    cfg.write_text(grey(OFFICIAL_CFG.read_text()))
    content = official_weights.read_bytes()
    # Bias, scale, mean and variance of 32 filters stand before their weights.
    begin = 20 + 4 * 32 * 4
    end = begin + 32 * 3 * 9 * 4
    first = np.frombuffer(content[begin:end], "<f4").reshape(32, 3, 3, 3).sum(axis=1)
    weights = folder / "grey-tiny.weights"
    weights.write_bytes(content[:begin] + first.astype("<f4").tobytes() + content[end:])
    return cfg, weights


def without_metadata(source: Path, target: Path) -> Path:
    """As files are that others made."""
    content = source.read_bytes()
    target.write_bytes(content[: content.rindex(b"PK\x03\x04")])
    return target


def frames_of(rgb: UInt8) -> dict[Color, UInt8]:
    """The picture as coloured, grey and camera frames; of even height and width."""
    height, width = rgb.shape[:2]
    i420 = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    yuyv = i420[:height].repeat(2).reshape(height, width, 2)
    return {
        "rgb": rgb,
        "bgr": np.ascontiguousarray(rgb[..., ::-1]),
        "grey": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
        "nv12": np.concatenate([i420[:height], chroma.transpose(1, 2, 0).reshape(height // 2, width)]),
        "i420": i420,
        "yuyv": yuyv,
        "uyvy": np.ascontiguousarray(yuyv[..., ::-1]),
    }


def test_files_say_that_they_take_grey(files: dict[str, Path], network: tuple[Path, Path]) -> None:
    for kind, path in files.items():
        metadata = find_metadata(path) or {}
        assert metadata["channels"] == 1
        assert ModelSpec.from_model(path) == ModelSpec.from_cfg(network[0])
        assert ModelSpec.from_model(path).channels == 1
        detector = Detector(path, score_threshold=0.01)
        assert detector.session.input.shape == (1, 64, 96, 1), kind
        assert detector.session.channels == 1
    check_integer(files["int8"].read_bytes())


def test_files_for_rgb_say_nothing_new() -> None:
    assert "channels" not in ModelSpec.yolov4_tiny().to_dict()
    assert ModelSpec.from_dict(ModelSpec.yolov4_tiny().to_dict()).channels == 3


def test_float_heads_agree_with_opencv(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, grey(yolov4_tiny(64, 96, classes=2)))
    description = read_cfg(cfg)
    numbers, _ = read_weights(weights, supported_layers(description))
    from fastyolo.export.build import build_graph

    graph = build_graph(description, numbers, batch_norm_epsilon=1e-6)  # as OpenCV folds it
    image = np.random.default_rng(1).random(graph.shapes["input"], np.float32)
    assert image.shape == (64, 96, 1)
    assert largest_difference(run_float(graph, image), opencv_heads(cfg, weights, image)) < 1e-4


def test_the_first_convolution_is_the_whole_numbers_sum(tmp_path: Path, noise: Path) -> None:
    """LiteRT's own arithmetic, without XNNPACK, and the definition in whole numbers."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from darknet_networks import load, pictures
    from fastyolo.export.calibrate import calibrate
    from fastyolo.export.graph import Convolution
    from fastyolo.export.quantise import quantise
    from fastyolo.export.tflite import write_tflite

    cfg, weights = write_network(tmp_path, grey(tiny(64, 96, 2)))
    graph, spec = load(cfg, weights), ModelSpec.from_cfg(cfg)
    inputs = pictures(graph)
    assert inputs[0].shape == (64, 96, 1)
    graph, quantization = quantise(graph, calibrate(graph, spec, inputs))
    first = next(operation for operation in graph.operations if isinstance(operation, Convolution))
    name = first.outputs[0]
    interpreter = Interpreter(
        model_content=write_tflite(graph, quantization, also_output=[name]),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    stored = (inputs[0] ^ np.uint8(0x80)).view(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], stored[None])
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[-1]["index"])[0]

    numbers, entry, out = quantization.convolutions[name], quantization.tensors["input"], quantization.tensors[name]
    assert numbers.weights.shape == (8, 3, 3, 1)
    steps = np.pad(stored[..., 0].astype(np.int64) - entry.zero_point, ((1, 0), (1, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(steps, (3, 3))[::2, ::2]
    sums = np.einsum("rcij,fij->rcf", windows, numbers.weights[..., 0].astype(np.int64)) + numbers.bias
    multipliers = float(np.float32(entry.scale)) * numbers.scales.astype(np.float64) / float(np.float32(out.scale))
    exact = np.clip(sums * multipliers + out.zero_point, -128, 127)
    # Rounded twice, first to a 256th or less of a step: which way halves go is the kernel's, and so the processor's.
    assert np.abs(found - exact).max() <= 0.5 + 1 / 256
    # And XNNPACK, which runs files of ours, comes within a step.
    observed = next(Observer(graph, [name], quantization).run(inputs[:1]))[name][0]
    assert np.abs(observed / np.float32(out.scale) + out.zero_point - found).max() <= 1.001


@pytest.mark.parametrize("kind", ["float32", "int8", "quant"])
def test_frames_of_every_kind_are_the_same_to_the_detector(files: dict[str, Path], hopper: UInt8, kind: str) -> None:
    even = np.ascontiguousarray(hopper[:600, :512])
    detector = Detector(files[kind], score_threshold=0.02, max_detections=20)
    tensors = {}
    for color, image in frames_of(even).items():
        found = detector(image, color=color)
        assert found.orig_shape == (600, 512)
        prepare = Preprocessor((64, 96), channels=1, dtype=np.uint8)
        tensors[color] = prepare(image, color=color).astype(int)
        # Limited range has 220 steps for 256 levels.
        assert np.abs(tensors[color] - tensors["rgb"]).max() <= 1, color
    assert len(detector(even)) > 0


def test_sources_are_taken_as_ever(files: dict[str, Path], noise: Path) -> None:
    detector = Detector(files["int8"], score_threshold=0.02)
    picture = noise / "3.png"
    expected = detector(picture)
    assert len(expected) > 0
    with stream(picture, detector=detector) as found:
        (streamed,) = list(found)
    np.testing.assert_array_equal(streamed.xyxy, expected.xyxy)
    done = fastyolo("detect", picture, "--model", files["int8"], "--conf", "0.02", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)[0]["detections"]) == len(expected)


def test_of_a_video_the_luma_alone_is_seen(files: dict[str, Path], tmp_path: Path, hopper: UInt8) -> None:
    """As its decoder left it: a frame without its colours is the same frame."""
    clip = tmp_path / "clip.mp4"
    make_clip(clip, moving(Image.fromarray(hopper), 3))
    detector = Detector(files["int8"], score_threshold=0.02)
    with stream(clip, detector=detector) as found:
        streamed = list(found)
    frames = decoded(clip)
    assert len(streamed) == len(frames) == 3
    for one, frame in zip(streamed, frames, strict=True):
        luma, *chroma = planes_of(frame)
        grey = (luma, *[np.full_like(plane, 128) for plane in chroma])
        assert len(one) > 0
        np.testing.assert_array_equal(one.xyxy, detector(grey, color="i420").xyxy)


def test_commands_take_a_grey_network(files: dict[str, Path], tmp_path: Path, noise: Path) -> None:
    said = fastyolo("info", "--model", files["int8"]).stdout
    assert "(1, 64, 96, 1) int8" in said
    assert "grey, also made of images in colour, black 0, white 1" in said
    record = json.loads(fastyolo("info", "--model", files["int8"], "--format", "json").stdout)
    assert record["model"]["input"]["color"] == "grey"
    assert record["model"]["metadata"]["channels"] == 1
    done = fastyolo("bench", noise, "--model", files["int8"], "--runs", "5")
    assert done.returncode == 0, done.stderr
    done = fastyolo("doctor", "--model", files["int8"])
    assert done.returncode in (0, 1)
    assert "unexpected" not in done.stdout + done.stderr
    truth = {
        "images": [{"id": index, "file_name": f"{index}.png", "height": 40 + index, "width": 50 + 3 * index}
                   for index in range(8)],
        "categories": [{"id": 1, "name": "class 0"}, {"id": 2, "name": "class 1"}],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 1, 20, 20], "area": 400, "iscrowd": 0}],
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    done = fastyolo("evaluate", "--images", noise, "--annotations", tmp_path / "truth.json", "--model", files["int8"])
    assert done.returncode == 0, done.stderr


def test_its_heads_are_decoded_in_a_pipeline_of_nnstreamer(files: dict[str, Path], noise: Path) -> None:
    from fastyolo.nnstreamer.filter import Filter

    detector = Detector(files["int8"], score_threshold=0.02)
    expected = detector(noise / "3.png")
    session = detector.session
    decode = Filter([f"model:{files['int8']}", "output:json", "score_threshold:0.02"])
    decode.negotiate([(tensor.shape[::-1], tensor.dtype) for tensor in session.outputs])
    (line,) = decode.invoke([session.output_view(tensor).copy().ravel() for tensor in session.outputs])
    found = json.loads(bytes(line))
    assert (found["width"], found["height"]) == (96, 64)
    assert [item["class_id"] for item in found["detections"]] == expected.class_id.tolist()


def test_the_ladder_is_for_rgb_alone(files: dict[str, Path]) -> None:
    from fastyolo.evaluate.ladder import _check_pair, _Network

    with pytest.raises(EvaluationError, match="know no grey networks, only ones that take RGB"):
        _check_pair(_Network(Detector(files["int8"])), _Network(Detector(files["float32"])))


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_files_of_others_run_by_what_is_said_of_them(
    files: dict[str, Path], network: tuple[Path, Path], tmp_path: Path, hopper_path: Path, kind: str
) -> None:
    path = without_metadata(files[kind], tmp_path / "theirs.tflite")
    expected = Detector(files[kind], score_threshold=0.02)(hopper_path)
    with pytest.raises(ModelError, match="carries no metadata; describe the network"):
        Detector(path)
    spec = ModelSpec.from_cfg(network[0])
    found = Detector(path, spec=spec, score_threshold=0.02)(hopper_path)
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)
    # What a description does not say of the input, the file does.
    other = ModelSpec(spec.input_size, spec.heads, spec.names)
    assert other.channels == 3
    np.testing.assert_array_equal(Detector(path, spec=other, score_threshold=0.02)(hopper_path).xyxy, expected.xyxy)
    real = Detector(path, spec=spec, input_range=(0, 2)) if kind == "float32" else None
    assert real is None or real._preprocess.input_range == (0, 2)


def test_a_uint8_file_of_others_runs(
    files: dict[str, Path], network: tuple[Path, Path], tmp_path: Path, hopper: UInt8
) -> None:
    """With a step in front that makes int8 of uint8, as converters write it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(files["int8"].read_bytes(), 0)
    graph = model.subgraphs[0]
    inner = graph.tensors[graph.inputs[0]]
    outer = schema.TensorT()
    outer.name, outer.shape, outer.type, outer.buffer = "bytes", list(inner.shape), schema.TensorType.UINT8, 0
    outer.quantization = schema.QuantizationParametersT()
    outer.quantization.scale, outer.quantization.zeroPoint = [1 / 255], [0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 1
    step = schema.OperatorT()
    step.opcodeIndex, step.inputs, step.outputs = len(model.operatorCodes), [len(graph.tensors)], list(graph.inputs)
    step.builtinOptionsType, step.builtinOptions = schema.BuiltinOptions.QuantizeOptions, schema.QuantizeOptionsT()
    model.operatorCodes.append(code)
    graph.inputs = [len(graph.tensors)]
    graph.tensors.append(outer)
    graph.operators.insert(0, step)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "theirs.tflite"
    path.write_bytes(builder.Output())

    expected = Detector(files["int8"], score_threshold=0.02)(hopper)
    found = Detector(path, spec=ModelSpec.from_cfg(network[0]), score_threshold=0.02)(hopper)
    assert Detector(path, spec=ModelSpec.from_cfg(network[0])).session.input.dtype == np.uint8
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)


def test_metadata_of_other_channels_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    from fastyolo.metadata import append_metadata

    bare = without_metadata(files["int8"], tmp_path / "bare.tflite").read_bytes()
    path = tmp_path / "wrong.tflite"
    path.write_bytes(append_metadata(bare, {**(find_metadata(files["int8"]) or {}), "channels": 3}))
    with pytest.raises(ModelError, match="has 1 input channels, but its metadata says 3"):
        Detector(path)
    done = fastyolo("info", "--model", path)
    assert done.returncode == 1
    assert "(1, 64, 96, 1) int8" in done.stdout
    assert "its metadata says 3" in one_line(done.stderr)


@pytest.mark.parametrize("channels", ["2", "4"])
def test_a_cfg_of_other_channels_is_one_line(tmp_path: Path, channels: str) -> None:
    network = write_network(tmp_path, smallest().replace("channels=3", f"channels={channels}"))
    expected = rf"net.cfg line 4: expected channels=3 \(RGB\) or channels=1 \(grey\) in \[net\], got {channels}"
    with pytest.raises(ExportError, match=expected):
        export(*network, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = fastyolo("export", network[0], "--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    assert one_line(done.stderr).endswith(f"or channels=1 (grey) in [net], got {channels}")
    assert ModelSpec.from_cfg(network[0]).channels == int(channels)  # heads of whatever input can be decoded


@pytest.mark.parametrize("channels", ["0", "-1", "1000000000", "1e9", "three", "1.0"])
def test_channels_that_cannot_be_are_one_line(tmp_path: Path, channels: str) -> None:
    cfg, weights = write_network(tmp_path, smallest())
    cfg.write_text(smallest().replace("channels=3", f"channels={channels}"))
    done = fastyolo("export", cfg, weights, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "line 4: expected channels to be a whole number from 1 to 1024" in one_line(done.stderr)
    with pytest.raises(SpecError, match="channels"):
        ModelSpec.from_cfg(cfg)


@pytest.mark.slow
def test_the_official_network_for_grey_finds_what_it_finds_in_grey_pictures(
    official_grey: tuple[Path, Path], float_model: Path, tmp_path: Path, hopper: UInt8, calibration: Path
) -> None:
    picture = cv2.cvtColor(hopper, cv2.COLOR_RGB2GRAY)
    expected = Detector(float_model, nms="iou")(picture, color="grey")
    assert sorted(expected.names[index] for index in expected.class_id) == ["person", "tie"]
    names = ModelSpec.yolov4_tiny().names
    paths = export(*official_grey, output_dir=tmp_path, names=names, formats=["float32"]).paths
    # Coloured frames become the same grey before the network instead of in it.
    for image, color in ((picture, "grey"), (hopper, "rgb")):
        found = Detector(paths["float32"], nms="iou")(image, color=color)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.class_id, expected.class_id)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=0.01)
        np.testing.assert_allclose(found.xyxy, expected.xyxy, atol=1.0)
    small = export(
        *official_grey, output_dir=tmp_path, names=names, formats=["float32", "int8"], calibration=calibration,
        input_size=(224, 224),
    ).paths  # fmt: skip
    real, integer = (Detector(small[kind], nms="iou")(picture, color="grey") for kind in ("float32", "int8"))
    assert real.summary() == integer.summary()
    assert iou_table(real.xyxy, integer.xyxy).diagonal().min() > 0.9
