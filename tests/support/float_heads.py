"""Raw float heads of a network: from our exported file, and from OpenCV's importer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from darknet_networks import Float32Array
from fastyolo.darknet import network_layers, read_cfg
from fastyolo.export.graph import Graph
from fastyolo.export.tflite import write_tflite


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


def opencv_heads(cfg: Path, weights: Path, image: Float32Array) -> list[Float32Array]:
    """The raw heads of OpenCV's importer, which names layers by their position in the .cfg."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    net.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    layers = network_layers(read_cfg(cfg))
    names = [f"conv_{index - 1}" for index, layer in enumerate(layers) if layer.section.type == "yolo"]
    heads: list[npt.NDArray[np.float32]] = list(net.forward(names))
    return [head[0].transpose(1, 2, 0) for head in heads]
