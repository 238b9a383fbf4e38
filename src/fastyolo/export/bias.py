"""How biases make up for the mean error that rounding and clipping leave in each channel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Observer, Tick, UInt8Array
from fastyolo.export.graph import LEAKY_SLOPE, Convolution, Graph, LeakyRelu
from fastyolo.export.int8 import Quantization
from fastyolo.export.quantise import store_bias

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]


def correct_biases(
    graph: Graph, quantization: Quantization, inputs: Iterable[UInt8Array], tick: Tick = lambda done: None
) -> Quantization:
    """Shift every bias so that the mean of its channel, behind its leaky ReLU if any, is that of the float network.

    From the first convolution to the last, each measured with the ones before it already corrected: all at once would
    correct the same error again at every depth. Means are taken inside what int8 can represent, for what clipping
    cuts off is meant to be lost. `tick` gets the number of convolutions done.
    """
    convolutions = [operation for operation in graph.operations if isinstance(operation, Convolution)]
    names = [operation.outputs[0] for operation in convolutions]
    leaky = {operation.inputs[0] for operation in graph.operations if isinstance(operation, LeakyRelu)}
    limits = {name: quantization.tensors[name].limits for name in names}
    pictures = list(inputs)
    wanted = {name: np.zeros(graph.shapes[name][2]) for name in names}
    slopes = {name: np.zeros(graph.shapes[name][2]) for name in names}
    for tensors in Observer(graph, names).run(pictures):
        for name, values in tensors.items():
            wanted[name] += _mean(np.clip(values, *limits[name]), name in leaky) / len(pictures)
            slopes[name] += _mean_slope(values, name in leaky) / len(pictures)
    for done, operation in enumerate(convolutions, start=1):
        name = operation.outputs[0]
        upto = replace(graph, operations=graph.operations[: graph.operations.index(operation) + 1], heads=())
        found = np.zeros(graph.shapes[name][2])
        for tensors in Observer(upto, [name], quantization).run(pictures):
            found += _mean(tensors[name], name in leaky) / len(pictures)
        numbers = quantization.convolutions[name]
        error = (wanted[name] - found) / slopes[name]
        shift = store_bias(error, quantization.tensors[operation.inputs[0]].scale, numbers.scales)
        corrected = replace(numbers, bias=numbers.bias + shift)
        quantization = replace(quantization, convolutions={**quantization.convolutions, name: corrected})
        tick(done)
    return quantization


def _mean(values: Float32Array, leaky: bool) -> Float64Array:
    """Mean of each channel of (1, rows, columns, channels), seen through the leaky ReLU if there is one."""
    if leaky:
        values = np.where(values > 0, values, np.float32(LEAKY_SLOPE) * values)
    return np.asarray(values.mean(axis=(0, 1, 2), dtype=np.float64))


def _mean_slope(values: Float32Array, leaky: bool) -> Float64Array:
    """How much the mean of each channel moves when its bias does."""
    if not leaky:
        return np.ones(values.shape[-1])
    return np.asarray(np.where(values > 0, 1.0, LEAKY_SLOPE).mean(axis=(0, 1, 2)))
