"""The last step of quantisation: convolution by convolution, each given what the int8 network really feeds it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Observer, Tick, UInt8Array
from fastyolo.export.graph import Convolution, Graph
from fastyolo.export.grouped import by_group
from fastyolo.export.int8 import Int8Convolution, Quantization
from fastyolo.export.passing import passing_shares
from fastyolo.export.quantise import store_bias
from fastyolo.export.rounding import round_to_least_error
from fastyolo.export.windows import windows_at

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

CELLS = 100
"""Output cells looked at per picture and convolution: neighbours say nearly the same, and there may be 40,000."""


@dataclass(frozen=True, eq=False)
class _Samples:
    """Some output cells of each picture, and what the float network puts out there, by convolution."""

    cells: dict[str, list[npt.NDArray[np.intp]]]
    wanted: dict[str, Float32Array]


def refine(
    graph: Graph,
    quantization: Quantization,
    pictures: Collection[UInt8Array],
    *,
    learned_rounding: bool,
    tick: Tick = lambda done: None,
) -> Quantization:
    """Choose biases, and with `learned_rounding` weights too, from the first convolution to the last.

    Each is measured with everything before it already final, so that it makes up for what came before instead of
    making it worse. `tick` gets the number of convolutions done.
    """
    samples = _sample(graph, pictures)
    convolutions = [operation for operation in graph.operations if isinstance(operation, Convolution)]
    for done, operation in enumerate(convolutions, start=1):
        name, source = operation.outputs[0], operation.inputs[0]
        before = graph.operations[: graph.operations.index(operation)]
        seen = _inputs(replace(graph, operations=before, heads=()), source, quantization, pictures)
        windows = _windows(operation, seen, samples.cells[name])
        mean = windows.mean(axis=0, dtype=np.float64)
        windows -= mean.astype(np.float32)
        numbers = quantization.convolutions[name]
        if learned_rounding:
            numbers = _rounded(operation, numbers, windows)
        wanted = samples.wanted[name]
        scales = np.float32(quantization.tensors[source].scale) * numbers.scales
        shares = passing_shares(graph, operation, wanted)
        numbers = _with_bias(operation, numbers, windows, mean, wanted, shares, scales)
        quantization = replace(quantization, convolutions={**quantization.convolutions, name: numbers})
        tick(done)
    return quantization


def _sample(graph: Graph, pictures: Collection[UInt8Array]) -> _Samples:
    random = np.random.default_rng(0)
    names = [operation.outputs[0] for operation in graph.operations if isinstance(operation, Convolution)]
    cells: dict[str, list[npt.NDArray[np.intp]]] = {name: [] for name in names}
    wanted: dict[str, list[Float32Array]] = {name: [] for name in names}
    for tensors in Observer(graph, names).run(pictures):
        for name, values in tensors.items():
            flat = values.reshape(-1, values.shape[-1])
            at = np.sort(random.choice(len(flat), min(CELLS, len(flat)), replace=False))
            cells[name].append(at)
            wanted[name].append(flat[at])
    return _Samples(cells, {name: np.concatenate(parts) for name, parts in wanted.items()})


def _inputs(
    graph: Graph, name: str, quantization: Quantization, pictures: Collection[UInt8Array]
) -> Iterator[Float32Array]:
    """What the int8 network has in a tensor on each picture, (rows, columns, channels)."""
    if not graph.operations:
        return (pixels.astype(np.float32) / np.float32(255) for pixels in pictures)
    return (tensors[name][0] for tensors in Observer(graph, [name], quantization).run(pictures))


def _windows(operation: Convolution, seen: Iterator[Float32Array], cells: list[npt.NDArray[np.intp]]) -> Float32Array:
    """The windows of all pictures' cells, float32 (cells, columns)."""
    size, stride, same = operation.weights.shape[1], operation.stride, operation.same
    windows = np.empty((sum(map(len, cells)), operation.weights[0].size * operation.groups), np.float32)
    row = 0
    for values, at in zip(seen, cells, strict=True):
        windows[row : row + len(at)] = windows_at(values, at, size, stride, same)
        row += len(at)
    return windows


def _rounded(operation: Convolution, numbers: Int8Convolution, centred: Float32Array) -> Int8Convolution:
    """With weights rounded for the windows that occur, less their mean: the bias makes up for that."""
    weights = operation.weights.reshape(len(operation.weights), -1).astype(np.float64)
    scales = np.broadcast_to(numbers.scales.astype(np.float64), len(weights))
    parts = []
    for filters, seen in by_group(operation, centred):
        moments = (seen.T @ seen).astype(np.float64) / len(seen)
        parts.append(round_to_least_error(weights[filters], scales[filters], moments))
    return replace(numbers, weights=np.concatenate(parts).reshape(operation.weights.shape))


def _with_bias(
    operation: Convolution,
    numbers: Int8Convolution,
    centred: Float32Array,
    mean: Float64Array,
    wanted: Float32Array,
    shares: npt.NDArray[np.floating],
    scales: Float32Array,
) -> Int8Convolution:
    """With a bias that makes up for the mean of what is missing, before anything is cut off by the output's range.

    What is missing weighs by its share that comes through the activation, of the shape of what is `wanted`. `centred`
    are windows less their `mean`; `scales` are those of the bias.
    """
    weights = numbers.weights.reshape(len(numbers.weights), -1) * numbers.scales[:, None].astype(np.float64)
    bias = numbers.bias * scales.astype(np.float64)
    groups = zip(by_group(operation, centred), by_group(operation, mean), strict=True)
    found = [
        seen @ weights[at].T.astype(np.float32) + (weights[at] @ level + bias[at]) for (at, seen), (_, level) in groups
    ]
    missing = wanted - np.concatenate(found, axis=1)
    correction: Float64Array = (shares * missing).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-9)
    return replace(numbers, bias=store_bias(bias + correction, scales))
