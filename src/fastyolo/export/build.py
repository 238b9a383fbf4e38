"""Which operations compute a Darknet network: its .cfg and weights as a graph, batch normalisation folded away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fastyolo.darknet import Cfg, Convolutional, ConvolutionWeights, Layer, Route, Shortcut, Yolo, network_layers
from fastyolo.darknet import MaxPool as MaxPoolLayer
from fastyolo.darknet import Upsample as UpsampleLayer
from fastyolo.darknet.cfg import shorten
from fastyolo.darknet.layers import LAYER_READERS, NETWORK_INPUT, Shape
from fastyolo.darknet.options import check_options
from fastyolo.errors import ExportError, SpecError
from fastyolo.export.graph import (
    INPUT_NAME,
    Add,
    Concatenation,
    Convolution,
    Float32Array,
    Graph,
    LeakyRelu,
    Logistic,
    MaxPool,
    Operation,
    Pad,
    Split,
    Upsample,
)

BATCH_NORM_EPSILON = 1e-5
"""Darknet's own; some importers use 1e-6, which moves the heads by one to two parts in a thousand."""

ACTIVATIONS = ("linear", "leaky", "relu", "logistic")


def supported_layers(cfg: Cfg) -> tuple[Layer, ...]:
    """The layers of a .cfg, if all of them can be exported. Warns of options that Darknet does not know.

    Raises:
        ExportError: a layer, activation or option without a counterpart here, or layers that do not fit together; named
            with its line.
    """
    for section in cfg.sections:
        if section.type not in LAYER_READERS:
            kind = shorten(section.type)[1:-1]
            raise ExportError(f"{cfg.file} line {section.line}: layer [{kind}] cannot be exported")
    # What [net] and [yolo] say is for decoding, and checked with it.
    check_options([section for section in cfg.sections if section.type != "yolo"], ExportError)
    try:
        layers = network_layers(cfg)
    except SpecError as error:
        raise ExportError(str(error)) from None
    for layer in layers:
        section = layer.section
        if isinstance(layer, Convolutional | Shortcut) and layer.activation not in ACTIVATIONS:
            expected = f"activation {', '.join(ACTIVATIONS[:-1])} or {ACTIVATIONS[-1]}"
            raise ExportError(str(section.error(expected, shorten(layer.activation)[1:-1], key="activation")))
    if not any(isinstance(layer, Yolo) for layer in layers) or not any(isinstance(la, Convolutional) for la in layers):
        raise ExportError(f"{cfg.file} must have [convolutional] and [yolo] layers to be exported")
    return layers


def build_graph(
    cfg: Cfg, weights: Mapping[int, ConvolutionWeights], *, batch_norm_epsilon: float = BATCH_NORM_EPSILON
) -> Graph:
    """Turn a .cfg and the weights that `read_weights` gave for its layers into a graph.

    Raises:
        ExportError: see `supported_layers`.
    """
    builder = _Builder(cfg.input_shape, batch_norm_epsilon)
    for index, layer in enumerate(supported_layers(cfg)):
        builder.add_layer(index, layer, weights)
    return builder.finish()


def fold_batch_norm(found: ConvolutionWeights, epsilon: float) -> tuple[Float32Array, Float32Array]:
    """Weights (filters, rows, columns, channels) and bias of a convolution that includes its batch normalisation.

    Numbers too large for float32 come out infinite.
    """
    weights = found.weights.astype(np.float64)
    bias = found.bias.astype(np.float64)
    if found.scale is not None and found.mean is not None and found.variance is not None:
        factor = found.scale / np.sqrt(found.variance.astype(np.float64) + epsilon)
        weights = weights * factor[:, None, None, None]
        bias = bias - found.mean * factor
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(weights.transpose(0, 2, 3, 1), np.float32), bias.astype(np.float32)


class _Builder:
    def __init__(self, input_shape: Shape, epsilon: float) -> None:
        self.epsilon = epsilon
        self.shapes: dict[str, Shape] = {INPUT_NAME: input_shape}
        self.operations: list[Operation] = []
        self.tensor_of: dict[int, str] = {NETWORK_INPUT: INPUT_NAME}
        self.heads: list[str] = []

    def add_layer(self, index: int, layer: Layer, weights: Mapping[int, ConvolutionWeights]) -> None:
        inputs = [self.tensor_of[source] for source in layer.inputs]
        name = f"{index:02d}_{layer.section.type}"
        match layer:
            case Convolutional():
                folded = fold_batch_norm(weights[index], self.epsilon)
                if not all(np.isfinite(part).all() for part in folded):
                    raise ExportError(f"layer {index} has weights too large for float32 behind its batch normalisation")
                output = self._convolution(name, inputs[0], layer, *folded)
            case MaxPoolLayer():
                output = self._max_pool(name, inputs[0], layer)
            case Route():
                output = self._route(name, inputs, layer)
            case UpsampleLayer():
                output = self._emit(Upsample((inputs[0],), (name,)), layer.shape)
            case Shortcut():
                output = self._emit(Add(tuple(inputs), (name,), layer.activation == "relu"), layer.shape)
                output = self._activate(output, layer.activation)
            case Yolo():
                output = inputs[0]
                self.heads.append(output)
        self.tensor_of[index] = output

    def finish(self) -> Graph:
        if len(set(self.heads)) < len(self.heads):
            raise ExportError("every [yolo] layer must read a layer of its own, got two that read the same")
        names = self._head_names()
        needed = set(self.heads)
        operations: list[Operation] = []
        for operation in reversed(self.operations):
            # Layers that no head depends on would only cost time on the board.
            if needed.isdisjoint(operation.outputs):
                continue
            needed.update(operation.inputs)
            inputs = tuple(names.get(name, name) for name in operation.inputs)
            outputs = tuple(names.get(name, name) for name in operation.outputs)
            operations.append(replace(operation, inputs=inputs, outputs=outputs))
        shapes = {names.get(name, name): shape for name, shape in self.shapes.items()}
        return Graph(shapes, tuple(reversed(operations)), tuple(names[head] for head in self.heads))

    def _head_names(self) -> dict[str, str]:
        """What the output tensors are called: "head_26x26", and "head_26x26_2" for a second one of that grid."""
        names: dict[str, str] = {}
        for head in self.heads:
            rows, columns, _ = self.shapes[head]
            name = f"head_{rows}x{columns}"
            twins = sum(other.startswith(name) for other in names.values())
            names[head] = f"{name}_{twins + 1}" if twins else name
        return names

    def _emit(self, operation: Operation, *shapes: Shape) -> str:
        """Append an operation with the shapes of its outputs; return the first output."""
        self.shapes.update(zip(operation.outputs, shapes, strict=True))
        self.operations.append(operation)
        return operation.outputs[0]

    def _activate(self, tensor: str, activation: str) -> str:
        kinds = {"leaky": LeakyRelu, "logistic": Logistic}
        if activation not in kinds:
            return tensor
        return self._emit(kinds[activation]((tensor,), (f"{tensor}/{activation}",)), self.shapes[tensor])

    def _convolution(
        self, name: str, source: str, layer: Convolutional, weights: Float32Array, bias: Float32Array
    ) -> str:
        rows, columns, channels = self.shapes[source]
        pads = [
            _padding(extent, count, layer.size, layer.stride, layer.padding)
            for extent, count in ((rows, layer.shape[0]), (columns, layer.shape[1]))
        ]
        same = pads == [_same_padding(extent, layer.size, layer.stride) for extent in (rows, columns)]
        if not same and pads != [(0, 0), (0, 0)]:
            shape = (rows + sum(pads[0]), columns + sum(pads[1]), channels)
            source = self._emit(Pad((source,), (f"{name}/pad",), pads[0], pads[1]), shape)
        operation = Convolution((source,), (name,), weights, bias, layer.stride, same, layer.activation == "relu")
        return self._activate(self._emit(operation, layer.shape), layer.activation)

    def _max_pool(self, name: str, source: str, layer: MaxPoolLayer) -> str:
        rows, columns, channels = self.shapes[source]
        size, stride, before = layer.size, layer.stride, layer.padding // 2
        if layer.padding == 0:
            return self._emit(MaxPool((source,), (name,), size, stride, same=False), layer.shape)
        if layer.padding != size - 1:
            raise ExportError(str(layer.section.error(f"padding={size - 1} or 0", str(layer.padding), key="padding")))
        if all(_same_padding(extent, size, stride)[0] == before for extent in (rows, columns)):
            return self._emit(MaxPool((source,), (name,), size, stride, same=True), layer.shape)
        # TFLite would start these windows elsewhere: take every maximum, then each stride-th of them.
        dense = self._emit(MaxPool((source,), (f"{name}/dense",), size, 1, same=True), (rows, columns, channels))
        return self._emit(MaxPool((dense,), (name,), 1, stride, same=True), layer.shape)

    def _route(self, name: str, sources: list[str], layer: Route) -> str:
        parts = []
        for number, source in enumerate(sources):
            if layer.groups == 1:
                parts.append(source)
                continue
            rows, columns, channels = self.shapes[source]
            outputs = tuple(f"{name}/{number}_{group}" for group in range(layer.groups))
            self._emit(Split((source,), outputs), *[(rows, columns, channels // layer.groups)] * layer.groups)
            parts.append(outputs[layer.group_id])
        return parts[0] if len(parts) == 1 else self._emit(Concatenation(tuple(parts), (name,)), layer.shape)


def _padding(extent: int, count: int, size: int, stride: int, padding: int) -> tuple[int, int]:
    """Darknet's padding before and after, without the part behind the last window."""
    return padding, max(0, (count - 1) * stride + size - padding - extent)


def _same_padding(extent: int, size: int, stride: int) -> tuple[int, int]:
    """TFLite's SAME padding before and after."""
    total = max(0, (-(-extent // stride) - 1) * stride + size - extent)
    return total // 2, total - total // 2
