"""The network backward: how its outputs change with every tensor inside, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fastyolo.darknet.kinds import Shape
from fastyolo.export.graph import (
    LEAKY_SLOPE,
    Add,
    Concatenation,
    Convolution,
    Graph,
    HardSwish,
    LeakyRelu,
    Logistic,
    MaxPool,
    Mean,
    Multiply,
    Operation,
    Pad,
    Slice,
    Split,
    Upsample,
)
from fastyolo.export.grouped import spread_back
from fastyolo.export.passing import hard_swish_slope
from fastyolo.export.windows import offsets, padded, padding

Float32Array = npt.NDArray[np.float32]
Tensors = Mapping[str, Float32Array]


def backward(graph: Graph, values: Tensors, seeds: Tensors) -> dict[str, Float32Array]:
    """The gradient of ``sum(seeds[head] * head)`` with respect to every tensor that a convolution leads to.

    Args:
        values: every tensor of one picture, (rows, columns, channels).
        seeds: one array of a head's shape for each head.
    """
    gradients = {name: np.zeros(values[name].shape, np.float32) for name in _behind_convolutions(graph)}
    for name, seed in seeds.items():
        gradients[name] += seed
    for operation in reversed(graph.operations):
        for name, gradient in _step(graph, operation, values, gradients):
            if name in gradients:
                gradients[name] += gradient
    return gradients


def _behind_convolutions(graph: Graph) -> list[str]:
    found: list[str] = []
    for operation in graph.operations:
        if isinstance(operation, Convolution) or not set(found).isdisjoint(operation.inputs):
            found += operation.outputs
    return found


def _step(graph: Graph, operation: Operation, values: Tensors, gradients: Tensors) -> list[tuple[str, Float32Array]]:
    """What one operation adds to the gradients of its inputs."""
    source, target = operation.inputs[0], operation.outputs[0]
    # Nothing asks for the gradients of the picture itself.
    if gradients.keys().isdisjoint(operation.inputs):
        return []
    gradient = gradients[target]
    if isinstance(operation, Convolution | Add | Multiply) and (operation.relu or operation.relu6):
        gradient = gradient * (values[target] > 0)
        if operation.relu6:
            gradient = gradient * (values[target] < 6)
    match operation:
        case Convolution():
            return [(source, _convolution(operation, gradient, graph.shapes[source]))]
        case LeakyRelu():
            return [(source, gradient * np.where(values[source] > 0, np.float32(1), np.float32(LEAKY_SLOPE)))]
        case Logistic():
            return [(source, gradient * values[target] * (1 - values[target]))]
        case HardSwish():
            return [(source, gradient * hard_swish_slope(values[source]))]
        case Mean():
            rows, columns, _ = graph.shapes[source]
            return [(source, np.broadcast_to(gradient / np.float32(rows * columns), graph.shapes[source]))]
        case Multiply(inputs=(one, other)):
            back = gradient * values[one]
            if graph.shapes[other] != graph.shapes[one]:
                back = back.sum(axis=(0, 1), keepdims=True)
            return [(one, gradient * values[other]), (other, back)]
        case Slice():
            return [(source, _unsliced(operation, gradient, graph.shapes[source]))]
        case Pad(rows=(above, _), columns=(left, _)):
            return [(source, _cropped(gradient, above, left, graph.shapes[source]))]
        case MaxPool():
            return [(source, _max_pool(operation, gradient, values[source], values[target]))]
        case Split(outputs=outputs):
            return [(source, np.concatenate([gradients[name] for name in outputs], axis=2))]
        case Concatenation(inputs=inputs):
            ends = np.cumsum([graph.shapes[name][2] for name in inputs])[:-1]
            return list(zip(inputs, np.split(gradient, ends, axis=2), strict=True))
        case Upsample():
            rows, columns, channels = graph.shapes[source]
            blocks = gradient.reshape(rows, gradient.shape[0] // rows, columns, -1, channels)
            return [(source, blocks.sum(axis=(1, 3)))]
        case Add(inputs=inputs):
            return [(name, gradient) for name in inputs]
    raise AssertionError(f"no gradient of {type(operation).__name__}")


def _convolution(operation: Convolution, gradient: Float32Array, shape: Shape) -> Float32Array:
    size, stride, same = operation.weights.shape[1], operation.stride, operation.same
    total = padded(np.zeros(shape, np.float32), size, stride, same, 0.0)
    rows, columns, filters = gradient.shape
    flat = gradient.reshape(-1, filters)
    for row, column, cells in offsets(size, stride, rows, columns):
        if operation.groups == 1:
            total[cells] += (flat @ operation.weights[:, row, column]).reshape(rows, columns, -1)
        else:
            total[cells] += spread_back(operation, row, column, gradient)
    return _without_padding(total, shape, size, stride, same)


def _max_pool(operation: MaxPool, gradient: Float32Array, entry: Float32Array, output: Float32Array) -> Float32Array:
    """The first cell that equals its window's maximum gets the window's gradient."""
    size, stride, same = operation.size, operation.stride, operation.same
    source = padded(entry, size, stride, same, -np.inf)
    total = np.zeros_like(source)
    free = np.ones(output.shape, bool)
    for _, _, cells in offsets(size, stride, *output.shape[:2]):
        first = free & (source[cells] == output)
        total[cells] += gradient * first
        free &= ~first
    return _without_padding(total, entry.shape, size, stride, same)


def _without_padding(total: Float32Array, shape: Shape, size: int, stride: int, same: bool) -> Float32Array:
    above, left = (padding(extent, size, stride, same)[0] for extent in shape[:2])
    return _cropped(total, above, left, shape)


def _cropped(values: Float32Array, above: int, left: int, shape: Shape) -> Float32Array:
    return values[above : above + shape[0], left : left + shape[1], : shape[2]]


def _unsliced(operation: Slice, gradient: Float32Array, shape: Shape) -> Float32Array:
    total = np.zeros(shape, np.float32)
    top, left, first = operation.starts
    down, across = operation.steps
    rows, columns, channels = gradient.shape
    stops = top + (rows - 1) * down + 1, left + (columns - 1) * across + 1
    total[top : stops[0] : down, left : stops[1] : across, first : first + channels] = gradient
    return total
