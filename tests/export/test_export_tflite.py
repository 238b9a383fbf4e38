"""The files written: types, layout, names, and that they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from darknet_networks import cfg_text, conv, head, load, pictures, pool, tiny, write_network
from fastyolo import ExportError, ModelSpec
from fastyolo.export.calibrate import calibrate
from fastyolo.export.graph import Graph
from fastyolo.export.int8 import Quantization
from fastyolo.export.quantise import quantise
from fastyolo.export.tflite import check_integer, write_tflite

EVERYTHING = cfg_text(
    conv(8, 3, 2), conv(8, activation="relu"), "[shortcut]\nfrom=-2\nactivation=leaky",
    "[route]\nlayers=-1\ngroups=2\ngroup_id=1", conv(4, 1), "[route]\nlayers=-1,-2", pool(3, 2), pool(2, 1),
    "[upsample]\nstride=2", conv(7, 1, 1, "logistic", 0), "[yolo]\nclasses=2\nanchors=9,9\nnew_coords=1",
    "[route]\nlayers=-5", head("1", 2),
)  # fmt: skip


def quantised(graph: Graph, cfg: Path) -> Quantization:
    return quantise(graph, calibrate(graph, ModelSpec.from_cfg(cfg), pictures(graph)))[1]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_network(tmp_path_factory.mktemp("net"), EVERYTHING)


@pytest.fixture(scope="module")
def graph(network: tuple[Path, Path]) -> Graph:
    return load(*network)


@pytest.fixture(scope="module")
def quantization(network: tuple[Path, Path], graph: Graph) -> Quantization:
    return quantised(graph, network[0])


def unpack(content: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def interpret(content: bytes, image: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float32]]:
    """Real values of every output by name, for a uint8 picture."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    stored = (image ^ 0x80).view(np.int8) if source["dtype"] == np.int8 else image.astype(np.float32) / np.float32(255)
    interpreter.set_tensor(source["index"], stored[None])
    interpreter.invoke()
    found = {}
    for output in interpreter.get_output_details():
        values = interpreter.get_tensor(output["index"])[0].astype(np.float32)
        scale, zero_point = output["quantization"]
        found[output["name"]] = (values - zero_point) * scale if scale else values
    return found


def test_every_tensor_of_an_int8_file_is_integer(graph: Graph, quantization: Quantization) -> None:
    kinds = {tensor.type for tensor in unpack(write_tflite(graph, quantization)).subgraphs[0].tensors}
    assert kinds == {schema.TensorType.INT8, schema.TensorType.INT32}


def test_the_bundled_model_is_integer_throughout() -> None:
    import fastyolo

    content = (Path(fastyolo.__file__).parent / "models" / "yolov4-tiny_416_int8.tflite").read_bytes()
    check_integer(content)


def test_a_float_tensor_in_an_int8_file_is_named(graph: Graph) -> None:
    with pytest.raises(ExportError, match="must be an integer one, got another type for input"):
        check_integer(write_tflite(graph))


def test_int8_and_float_agree_within_a_few_steps(graph: Graph, quantization: Quantization) -> None:
    image = pictures(graph)[0]
    wanted = interpret(write_tflite(graph), image)
    found = interpret(write_tflite(graph, quantization), image)
    assert found.keys() == wanted.keys() == set(graph.heads)
    for name, values in found.items():
        low, high = quantization.tensors[name].limits
        assert np.abs(values - np.clip(wanted[name], low, high)).mean() < 0.02 * (high - low)


def test_the_quant_file_says_in_float_what_the_int8_file_says(graph: Graph, quantization: Quantization) -> None:
    image = pictures(graph)[1]
    content = write_tflite(graph, quantization, float_outputs=True)
    (main,) = unpack(content).subgraphs
    outputs = [main.tensors[index] for index in main.outputs]
    assert [tensor.name.decode() for tensor in outputs] == list(graph.outputs)
    assert {tensor.type for tensor in outputs} == {schema.TensorType.FLOAT32}
    assert main.tensors[main.inputs[0]].type == schema.TensorType.INT8
    wanted = interpret(write_tflite(graph, quantization), image)
    for name, values in interpret(content, image).items():
        np.testing.assert_allclose(values, wanted[name], rtol=1e-5, atol=1e-6)


def test_a_pixel_is_stored_as_itself_less_128(graph: Graph, quantization: Quantization) -> None:
    interpreter = Interpreter(model_content=write_tflite(graph, quantization))
    (source,) = interpreter.get_input_details()
    assert source["name"] == "input"
    assert source["quantization"] == (np.float32(1 / 255), -128)


def test_constants_are_aligned_to_sixteen_bytes(graph: Graph, quantization: Quantization) -> None:
    for content in (write_tflite(graph), write_tflite(graph, quantization)):
        model = schema.Model.GetRootAsModel(content, 0)
        sizes = []
        for index in range(model.BuffersLength()):
            buffer = model.Buffers(index)
            if not buffer.DataIsNone():
                # The view's address, relative to that of the file.
                view = buffer.DataAsNumpy()
                start = view.__array_interface__["data"][0] - np.frombuffer(content, np.uint8).ctypes.data
                assert start % 16 == 0
                sizes.append(buffer.DataLength())
        assert len(sizes) > 10


def test_the_same_network_gives_the_same_bytes(
    network: tuple[Path, Path], graph: Graph, quantization: Quantization
) -> None:
    assert write_tflite(graph, quantization) == write_tflite(graph, quantised(graph, network[0]))


def test_tensors_moved_without_computing_share_one_scale(graph: Graph, quantization: Quantization) -> None:
    (main,) = unpack(write_tflite(graph, quantization)).subgraphs
    moves = {"PAD", "SPLIT", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "CONCATENATION"}
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    codes = [names[code.builtinCode] for code in unpack(write_tflite(graph, quantization)).operatorCodes]
    assert moves <= set(codes)
    for operator in main.operators:
        if codes[operator.opcodeIndex] in moves:
            tensors = [main.tensors[index] for index in [*operator.inputs, *operator.outputs]]
            pairs = {
                (float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
                for tensor in tensors
                if tensor.type == schema.TensorType.INT8
            }
            assert len(pairs) == 1


def test_names_are_unique_and_tell_the_layer(graph: Graph) -> None:
    names = [tensor.name.decode() for tensor in unpack(write_tflite(graph)).subgraphs[0].tensors]
    assert len(set(names)) == len(names)
    assert "00_convolutional/leaky" in names
    assert "04_convolutional/weights" in names


def test_inner_tensors_can_be_put_out_too(graph: Graph) -> None:
    names = ["00_convolutional/leaky", "01_convolutional"]
    (main,) = unpack(write_tflite(graph, also_output=names)).subgraphs
    assert [main.tensors[index].name.decode() for index in main.outputs] == [*graph.outputs, *names]


def test_a_network_of_other_size_runs_in_int8(tmp_path: Path) -> None:
    network = write_network(tmp_path, tiny(96, 32, 1))
    graph = load(*network)
    found = interpret(write_tflite(graph, quantised(graph, network[0])), pictures(graph)[0])
    assert {name: values.shape for name, values in found.items()} == {
        "head_6x2": (6, 2, 18),
        "head_12x4": (12, 4, 18),
    }
