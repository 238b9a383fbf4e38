"""What values flow through the network on real pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export.graph import Add, Convolution, Graph, HardSwish, LeakyRelu, Maximum, Mean, Multiply
from fastyolo.export.int8 import Quantization
from fastyolo.export.relevance import tensor_relevance
from fastyolo.export.tflite import write_tflite
from fastyolo.spec import ModelSpec

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Tick = Callable[[int], None]
"""Called with the number of pictures done."""

BINS = 2048
SMALLEST_LIMIT = 2.0**-10

MOST_CELLS = 4096
"""Of a picture's tensor in a histogram, evenly spread: neighbours say nearly the same."""


class Statistics:
    """Values of each channel of one tensor over all pictures, gathered in one pass and constant memory.

    Attributes:
        minimum, maximum: float64 (channels,), the exact extremes.
        limits: float64 (channels,); a limit doubles, and the bins of its channel merge in pairs, whenever larger
            values arrive.
        counts: int64 (channels, BINS), a histogram over [-limit, limit) for each channel, of up to `MOST_CELLS` cells.
        weights: float64 (channels, BINS), the relevance of the values in each bin, from the pictures that gave it.
    """

    def __init__(self, channels: int) -> None:
        self.minimum = np.full(channels, np.inf)
        self.maximum = np.full(channels, -np.inf)
        self.limits = np.full(channels, SMALLEST_LIMIT)
        self.counts = np.zeros((channels, BINS), np.int64)
        self.weights = np.zeros((channels, BINS))

    def add(self, values: Float32Array, relevance: Float32Array | None = None) -> None:
        """Take in one picture's tensor, (rows, columns, channels), and how much an error of each value matters."""
        flat = values.reshape(-1, values.shape[-1])
        low, high = flat.min(axis=0), flat.max(axis=0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ExportError("the network must compute finite numbers on every calibration picture, got others")
        self.minimum, self.maximum = np.minimum(self.minimum, low), np.maximum(self.maximum, high)
        # The next power of two above the extremes, or the limit so far.
        _, exponents = np.frexp(np.maximum(-self.minimum, self.maximum))
        self._widen(np.maximum(self.limits, 2.0**exponents))
        step = -(-len(flat) // MOST_CELLS)
        flat = flat[::step]
        # Rounding may lift the largest value just below the limit onto it.
        bins = (flat * (BINS / 2 / self.limits).astype(np.float32) + np.float32(BINS / 2)).astype(np.int32)
        bins = (np.minimum(bins, BINS - 1) + np.arange(len(low), dtype=np.int32) * BINS).ravel()
        self.counts += np.bincount(bins, minlength=self.counts.size).reshape(self.counts.shape)
        if relevance is not None:
            picked = relevance.reshape(-1, relevance.shape[-1])[::step] * np.float32(step)
            weights = np.bincount(bins, weights=picked.ravel(), minlength=self.weights.size)
            self.weights += weights.reshape(self.weights.shape)

    def update(self, other: Statistics) -> None:
        """Take in what another object gathered on other pictures. The other's bins are widened to match."""
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)
        limits = np.maximum(self.limits, other.limits)
        for one in (self, other):
            one._widen(limits)
        self.counts += other.counts
        self.weights += other.weights

    def common_range(self, share: float) -> tuple[Float64Array, Float64Array]:
        """For each channel, the bins' values that at most 1 - `share` of all values lie below, and above."""
        rare = (1 - share) * self.counts.sum(axis=1, keepdims=True)
        below = (np.cumsum(self.counts, axis=1) <= rare).sum(axis=1)
        above = (np.cumsum(self.counts[:, ::-1], axis=1) <= rare).sum(axis=1)
        rows = np.arange(len(self.counts))
        last = BINS - 1
        return self.centres[rows, np.minimum(below, last)], self.centres[rows, last - np.minimum(above, last)]

    @property
    def centres(self) -> Float64Array:
        """The value each bin stands for, float64 (channels, BINS)."""
        return np.asarray(((np.arange(BINS) + 0.5) * (2 / BINS) - 1) * self.limits[:, None], np.float64)

    def _widen(self, limits: Float64Array) -> None:
        """Double limits, and merge bins in pairs, up to the given limits."""
        while (small := self.limits < limits).any():
            if self.counts.any():
                self.counts[small] = _merged_pairs(self.counts[small])
                self.weights[small] = _merged_pairs(self.weights[small])
            self.limits[small] *= 2


def _merged_pairs(histograms: npt.NDArray[Any]) -> npt.NDArray[Any]:
    pairs = histograms.reshape(len(histograms), -1, 2).sum(axis=2)
    return np.pad(pairs, ((0, 0), (BINS // 4, BINS // 4)))


@dataclass(frozen=True)
class Observer:
    """Runs a graph on pictures and hands out inner tensors; int8 when a quantisation is given."""

    graph: Graph
    names: Sequence[str]
    quantization: Quantization | None = None

    def run(self, inputs: Iterable[UInt8Array]) -> Iterator[dict[str, Float32Array]]:
        """Yield, per uint8 (height, width, channels) picture, the named tensors: float32 (1, rows, columns, n)."""
        from ai_edge_litert.interpreter import Interpreter

        content = write_tflite(self.graph, self.quantization, also_output=self.names)
        interpreter = Interpreter(model_content=content, num_threads=len(os.sched_getaffinity(0)))
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        indices = [output["index"] for output in interpreter.get_output_details()][-len(self.names) :]
        for pixels in inputs:
            interpreter.set_tensor(source, self._input(pixels))
            interpreter.invoke()
            tensors = zip(self.names, indices, strict=True)
            yield {name: self._real(name, interpreter.get_tensor(index)) for name, index in tensors}

    def _input(self, pixels: UInt8Array) -> npt.NDArray[np.generic]:
        if self.quantization is None:
            return np.asarray(pixels[None].astype(np.float32) / np.float32(255))
        # Scale 1/255 and zero point -128 make the stored value of a pixel u equal to u - 128.
        return np.asarray(pixels[None] ^ np.uint8(0x80)).view(np.int8)

    def _real(self, name: str, stored: npt.NDArray[np.generic]) -> Float32Array:
        values = stored.astype(np.float32)
        if self.quantization is not None:
            affine = self.quantization.tensors[name]
            values = (values - np.float32(affine.zero_point)) * np.float32(affine.scale)
        return np.asarray(values)


def measured_tensors(graph: Graph) -> tuple[str, ...]:
    """The tensors whose values cannot be derived from the histograms of others, and whose scale is free."""
    kinds = Convolution | Add | Multiply | Mean | HardSwish
    return tuple(op.outputs[0] for op in graph.operations if isinstance(op, kinds))


def activated_tensors(graph: Graph) -> dict[str, str]:
    """What a leaky ReLU makes of a tensor, by the tensor it reads."""
    return {op.inputs[0]: op.outputs[0] for op in graph.operations if isinstance(op, LeakyRelu | Maximum)}


def calibrate(
    graph: Graph,
    spec: ModelSpec,
    inputs: Iterable[UInt8Array],
    tick: Tick = lambda done: None,
    *,
    relevance_step: int = 1,
    seed: int = 0,
) -> dict[str, Statistics]:
    """Run the float network over uint8 (height, width, channels) pictures; return statistics of every measured tensor.

    The relevance of a value in front of a leaky ReLU is that of the value behind it. Every `relevance_step`-th picture
    gives relevances, beginning with the first; `seed` is that of the signs they take.
    """
    measured = measured_tensors(graph)
    behind = activated_tensors(graph)
    statistics = {name: Statistics(graph.shapes[name][2]) for name in measured}
    every = [name for operation in graph.operations for name in operation.outputs]
    random = np.random.default_rng(seed)
    for done, tensors in enumerate(Observer(graph, every).run(inputs), start=1):
        values = {name: found[0] for name, found in tensors.items()}
        relevances: Mapping[str, Float32Array] = {}
        if (done - 1) % relevance_step == 0 and _finite(graph, values):
            relevances = tensor_relevance(graph, spec, values, random)
        for name in measured:
            statistics[name].add(values[name], relevances.get(behind.get(name, name)))
        tick(done)
    return statistics


def _finite(graph: Graph, values: Mapping[str, Float32Array]) -> bool:
    return all(bool(np.isfinite(values[head]).all()) for head in graph.heads)
