"""How much of a small error of what a convolution puts out comes through the activation behind it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastyolo.export.graph import LEAKY_SLOPE, Convolution, Graph, HardSwish, LeakyRelu, Logistic, Maximum, Multiply

Float32Array = npt.NDArray[np.float32]


def passing_shares(graph: Graph, operation: Convolution, values: Float32Array) -> npt.NDArray[np.floating]:
    """The slope of the activation at each of the values, without its sign."""
    name = operation.outputs[0]
    kinds = {type(reader) for reader in graph.operations if name in reader.inputs}
    if operation.relu:
        return np.where(values > 0, 1.0, 0.0)
    if operation.relu6:
        return np.where((values > 0) & (values < 6), 1.0, 0.0)
    if Maximum in kinds:
        first = any(name == reader.inputs[0] for reader in graph.operations if isinstance(reader, Maximum))
        return np.where(values > 0, 1.0, 0.0) if first else np.where(values < 0, 1.0, 0.0)
    if LeakyRelu in kinds:
        return np.where(values > 0, 1.0, LEAKY_SLOPE)
    if HardSwish in kinds:
        return np.abs(hard_swish_slope(values))
    if Logistic in kinds:
        gate = 1 / (1 + np.exp(-np.clip(values.astype(np.float64), -60, 60)))
        slope = gate * (1 - gate)
        return np.asarray(np.abs(gate + values * slope) if Multiply in kinds else slope)
    return np.ones(values.shape)


def hard_swish_slope(values: Float32Array) -> Float32Array:
    """The derivative of x * min(max(x + 3, 0), 6) / 6."""
    between = (2 * values + 3) / np.float32(6)
    return np.asarray(np.where(values <= -3, np.float32(0), np.where(values >= 3, np.float32(1), between)))
