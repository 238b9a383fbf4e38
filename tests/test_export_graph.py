"""The exported float network computes what Darknet computes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from darknet_networks import Float32Array, cfg_text, conv, forward, head, load, pool, tiny, write_network, yolov3_tiny
from fastyolo import ExportError
from fastyolo.darknet import network_layers, read_cfg, read_weights
from fastyolo.export.build import supported_layers
from fastyolo.export.fetch import OFFICIAL_CFG
from fastyolo.export.graph import Graph, MaxPool, Pad
from fastyolo.export.tflite import write_tflite

NETWORKS = {
    "yolov4-tiny layers": tiny(),
    "yolov3-tiny layers": cfg_text(conv(8), pool(2, 2), conv(8), pool(2, 1), conv(8, 1), head("0,1", 3)),
    "three heads": cfg_text(
        conv(8, 3, 2), head("0", 1), "[route]\nlayers=0", conv(8, 3, 2), head("1", 1), "[route]\nlayers=-3",
        pool(2, 2), head("2", 1),
    ),
    "two heads of one size": cfg_text(conv(8, 3, 2), head("0", 2), "[route]\nlayers=0", head("1", 2)),
    "shortcut": cfg_text(conv(8, 3, 2), conv(8), "[shortcut]\nfrom=-2\nactivation=leaky", head("0", 2)),
    "shortcut with relu": cfg_text(conv(8, 3, 2), conv(8), "[shortcut]\nfrom=-2\nactivation=relu", head("0", 2)),
    "relu and logistic": cfg_text(conv(8, activation="relu"), conv(8, activation="logistic"), head("0", 1)),
    "no batch norm, no padding": cfg_text(conv(8, normalize=0), conv(6, 1, 1, "logistic", 0).replace("pad=1", "pad=0"),
                                          "[yolo]\nclasses=1\nanchors=9,9"),
    "odd sizes": cfg_text(conv(4, 3, 3), conv(4, 4), conv(4, 2).replace("pad=1", "pad=0"), conv(4, 3, 3), head("0", 1),
                          height=63, width=45),
    "pool of 3 with stride 2": cfg_text(conv(4), pool(3, 2), head("0", 1), height=32, width=48),
    "pools of 5 and 4": cfg_text(conv(4), pool(5, 1), pool(4, 1), head("0", 1), height=32, width=32),
    "pool without padding": cfg_text(conv(4), pool(2, 2) + "padding=0", head("0", 1), height=32, width=48),
    "groups of several layers": cfg_text(conv(6, 3, 2), conv(9), "[route]\nlayers=-1,-2\ngroups=3\ngroup_id=1",
                                         "[upsample]\nstride=2", head("0", 1)),
    "one and four channels in": cfg_text(conv(4), head("0", 1), channels=4),
}  # fmt: skip


def run_float(graph: Graph, image: Float32Array) -> list[Float32Array]:
    """The heads in .cfg order, (rows, columns, channels) each."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=write_tflite(graph), num_threads=2)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    found = {output["name"]: interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()}
    return [found[name] for name in graph.heads]


def random_image(graph: Graph) -> Float32Array:
    return np.random.default_rng(1).random(graph.shapes["input"], np.float32)


def largest_difference(found: list[Float32Array], wanted: list[Float32Array]) -> float:
    """Of any head, relative to its largest value."""
    assert [head.shape for head in found] == [head.shape for head in wanted]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("text", NETWORKS.values(), ids=NETWORKS.keys())
def test_heads_are_those_of_a_plain_reading_of_darknet(tmp_path: Path, text: str) -> None:
    cfg, weights = write_network(tmp_path, text)
    graph = load(cfg, weights)
    image = random_image(graph)
    layers = network_layers(read_cfg(cfg))
    numbers, _ = read_weights(weights, layers)
    assert largest_difference(run_float(graph, image), forward(layers, numbers, image)) < 1e-5


def opencv_heads(cfg: Path, weights: Path, image: Float32Array, graph: Graph) -> list[Float32Array]:
    """The raw heads of OpenCV's importer, which names layers by their position in the .cfg."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    layers = network_layers(read_cfg(cfg))
    names = [f"conv_{index - 1}" for index, layer in enumerate(layers) if layer.section.type == "yolo"]
    heads: list[npt.NDArray[np.float32]] = list(net.forward(names))
    return [head[0].transpose(1, 2, 0) for head in heads]


@pytest.mark.parametrize(("epsilon", "tolerance"), [(1e-6, 1e-4), (1e-5, 5e-3)])
def test_official_heads_agree_with_opencv(
    official_weights: Path, hopper: npt.NDArray[np.uint8], epsilon: float, tolerance: float
) -> None:
    # OpenCV folds batch normalisation with 1e-6, Darknet and fastyolo with 1e-5.
    graph = load(OFFICIAL_CFG, official_weights, epsilon=epsilon)
    image = cv2.resize(hopper, (416, 416)).astype(np.float32) / np.float32(255)
    wanted = opencv_heads(OFFICIAL_CFG, official_weights, image, graph)
    assert [head.shape for head in wanted] == [(13, 13, 255), (26, 26, 255)]
    assert largest_difference(run_float(graph, image), wanted) < tolerance


@pytest.mark.parametrize("text", [tiny(64, 96, 20), yolov3_tiny(64, 96, 80)], ids=["yolov4-tiny", "yolov3-tiny"])
def test_random_networks_agree_with_opencv(tmp_path: Path, text: str) -> None:
    cfg, weights = write_network(tmp_path, text)
    graph = load(cfg, weights, epsilon=1e-6)
    image = random_image(graph)
    assert largest_difference(run_float(graph, image), opencv_heads(cfg, weights, image, graph)) < 1e-4


def test_outputs_are_listed_finest_first_and_heads_as_in_the_cfg(official_weights: Path) -> None:
    graph = load(OFFICIAL_CFG, official_weights)
    assert graph.heads == ("head_13x13", "head_26x26")
    assert graph.outputs == ("head_26x26", "head_13x13")


def test_heads_of_one_size_get_different_names(tmp_path: Path) -> None:
    graph = load(*write_network(tmp_path, NETWORKS["two heads of one size"]))
    assert graph.heads == ("head_32x32", "head_32x32_2")


def test_padding_is_explicit_only_where_tflite_would_pad_otherwise(official_weights: Path) -> None:
    graph = load(OFFICIAL_CFG, official_weights)
    pads = [operation for operation in graph.operations if isinstance(operation, Pad)]
    assert [(pad.rows, pad.columns) for pad in pads] == [((1, 0), (1, 0))] * 2
    assert all(pool.same for pool in graph.operations if isinstance(pool, MaxPool))


def test_layers_no_head_depends_on_are_left_out(tmp_path: Path) -> None:
    text = cfg_text(conv(8, 3, 2), head("0", 2), "[route]\nlayers=0", conv(4), pool(2, 2))
    graph = load(*write_network(tmp_path, text))
    assert [operation.outputs[0] for operation in graph.operations][-1] == "head_32x32"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("[lstm]\n", "net.cfg line 5: layer [lstm] cannot be exported"),
        (conv(4, activation="mish"), "line 11: expected activation linear, leaky, relu or logistic, got mish"),
        (conv(4) + "groups=4\n", "line 12: expected groups=1, got 4"),
        (conv(4) + "dilation=2\n", "line 12: expected dilation=1, got 2"),
        (conv(4) + "stretch_sway=1\n", "line 12: expected stretch_sway=0, got 1"),
        (conv(4) + conv(4) + "[shortcut]\nfrom=-2\nactivation=swish\n", "or logistic, got swish"),
        ("[maxpool]\nsize=3\nstride=2\npadding=1\n", "line 8: expected padding=2 or 0, got 1"),
    ],
)
def test_what_cannot_be_exported_is_named_with_its_line(tmp_path: Path, layer: str, message: str) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(layer, "[route]\nlayers=-1", head("0", 2)))
    with pytest.raises(ExportError) as caught:
        load(*write_network(tmp_path, cfg.read_text()) if "maxpool" in layer else (cfg, tmp_path / "none.weights"))
    assert message in str(caught.value)


def test_two_yolo_layers_on_one_convolution_are_an_error(tmp_path: Path) -> None:
    yolo = "[yolo]\nclasses=1\nanchors=1,2\n"
    cfg, weights = write_network(tmp_path, cfg_text(conv(6, 1, 1, "linear"), yolo, "[route]\nlayers=0\n", yolo))
    with pytest.raises(ExportError, match=r"every \[yolo\] layer must read a layer of its own"):
        load(cfg, weights)


def test_weights_that_overflow_are_an_error(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    content = np.frombuffer(weights.read_bytes(), "<f4").copy()
    # Behind the header of five numbers: eight biases, eight scales.
    content[5 + 8 : 5 + 16] = 3e38
    content[5 + 32 : 5 + 40] = 3e38
    weights.write_bytes(content.tobytes())
    with pytest.raises(ExportError, match="layer 0 has weights too large for float32"):
        load(cfg, weights)


def test_a_network_without_heads_cannot_be_exported(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(conv(4)))
    with pytest.raises(ExportError, match=r"must have \[convolutional\] and \[yolo\] layers"):
        supported_layers(read_cfg(cfg))
