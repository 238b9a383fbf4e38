"""Which operations compute a Darknet network: its .cfg and weights as a graph, batch normalisation folded away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fastyolo.darknet import (
    AveragePool,
    Cfg,
    Convolutional,
    ConvolutionWeights,
    Dropout,
    Layer,
    Product,
    Route,
    Shortcut,
    Yolo,
    network_layers,
)
from fastyolo.darknet import MaxPool as MaxPoolLayer
from fastyolo.darknet import Upsample as UpsampleLayer
from fastyolo.darknet.kinds import NETWORK_INPUT, Shape
from fastyolo.darknet.layers import LAYER_READERS
from fastyolo.darknet.options import check_options
from fastyolo.errors import ExportError, SpecError
from fastyolo.export.activations import activate, check_activation
from fastyolo.export.emitter import Emitter
from fastyolo.export.graph import (
    INPUT_NAME,
    Add,
    Concatenation,
    Float32Array,
    Graph,
    Mean,
    Multiply,
    Operation,
    Pad,
    Slice,
    Split,
    Upsample,
)
from fastyolo.export.placing import convolve, max_pool
from fastyolo.export.refusals import refuse_layer

BATCH_NORM_EPSILON = 1e-5
"""Darknet's own; some importers use 1e-6, which moves the heads by one to two parts in a thousand."""


def supported_layers(cfg: Cfg) -> tuple[Layer, ...]:
    """The layers of a .cfg, if all of them can be exported. Warns of options that Darknet does not know.

    Raises:
        ExportError: a layer, activation or option without a counterpart here, or layers that do not fit together; named
            with its line.
    """
    for section in cfg.sections:
        if section.type not in LAYER_READERS:
            raise refuse_layer(section)
    # What [net] and [yolo] say is for decoding, and checked with it.
    check_options([section for section in cfg.sections if section.type != "yolo"], ExportError)
    try:
        layers = network_layers(cfg)
    except SpecError as error:
        raise ExportError(str(error)) from None
    for layer in layers:
        if isinstance(layer, Convolutional | Shortcut | Product):
            check_activation(layer)
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


class _Builder(Emitter):
    def __init__(self, input_shape: Shape, epsilon: float) -> None:
        super().__init__(input_shape)
        self.epsilon = epsilon
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
                output = convolve(self, name, inputs[0], layer, *folded)
            case MaxPoolLayer():
                output = max_pool(self, name, inputs[0], layer)
            case AveragePool():
                output = self.emit(Mean((inputs[0],), (name,)), layer.shape)
            case Route():
                output = self._route(name, inputs, layer)
            case UpsampleLayer():
                output = self.emit(Upsample((inputs[0],), (name,)), layer.shape)
            case Shortcut():
                output = self._shortcut(name, inputs, layer)
            case Product():
                relu, relu6 = (layer.activation == kind for kind in ("relu", "relu6"))
                output = self.emit(Multiply((inputs[1], inputs[0]), (name,), relu, relu6), layer.shape)
                output = activate(self, output, layer.activation)
            case Dropout():
                output = inputs[0]
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

    def _shortcut(self, name: str, sources: list[str], layer: Shortcut) -> str:
        total, *others = sources
        for number, other in enumerate(others, start=1):
            last = number == len(others)
            relu, relu6 = (last and layer.activation == kind for kind in ("relu", "relu6"))
            inputs = (total, self._with_channels(f"{name}/other_{number}", other, layer.shape))
            total = self.emit(Add(inputs, (name if last else f"{name}/sum_{number}",), relu, relu6), layer.shape)
        return activate(self, total, layer.activation)

    def _with_channels(self, name: str, source: str, shape: Shape) -> str:
        """The first channels of a tensor, or all of them and zeros behind, to have as many as `shape`."""
        missing = shape[2] - self.shapes[source][2]
        if missing > 0:
            return self.emit(Pad((source,), (name,), (0, 0), (0, 0), missing), shape)
        return source if missing == 0 else self.emit(Slice((source,), (name,)), shape)

    def _route(self, name: str, sources: list[str], layer: Route) -> str:
        parts = []
        for number, source in enumerate(sources):
            if layer.groups == 1:
                parts.append(source)
                continue
            rows, columns, channels = self.shapes[source]
            outputs = tuple(f"{name}/{number}_{group}" for group in range(layer.groups))
            self.emit(Split((source,), outputs), *[(rows, columns, channels // layer.groups)] * layer.groups)
            parts.append(outputs[layer.group_id])
        return parts[0] if len(parts) == 1 else self.emit(Concatenation(tuple(parts), (name,)), layer.shape)
