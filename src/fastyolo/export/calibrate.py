"""What values flow through the network on real pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export.graph import Add, Convolution, Graph
from fastyolo.export.int8 import Quantization
from fastyolo.export.tflite import write_tflite

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
Tick = Callable[[int], None]
"""Called with the number of pictures done."""

BINS = 8192


class Statistics:
    """Values of one tensor over all pictures, gathered in one pass and constant memory.

    Attributes:
        minimum, maximum: the exact extremes.
        counts: int64 (BINS,), a histogram over [-limit, limit); `limit` doubles, and bins merge in pairs, whenever
            larger values arrive.
    """

    def __init__(self) -> None:
        self.minimum = np.inf
        self.maximum = -np.inf
        self.limit = 2.0**-10
        self.counts = np.zeros(BINS, np.int64)

    def add(self, values: Float32Array) -> None:
        """Take in one picture's tensor, (1, rows, columns, channels)."""
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ExportError("the network must compute finite numbers on every calibration picture, got others")
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        while max(-self.minimum, self.maximum) >= self.limit:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(pairs, BINS // 4)
            self.limit *= 2
        scale = np.float32(BINS / 2 / self.limit)
        bins = (values * scale + np.float32(BINS / 2)).astype(np.intp)
        # Rounding may lift the largest value just below the limit onto it.
        self.counts += np.bincount(np.minimum(bins, BINS - 1).ravel(), minlength=BINS)

    @property
    def centres(self) -> Float64Array:
        """The value each bin stands for, float64 (BINS,)."""
        return np.asarray((np.arange(BINS) + 0.5) * (2 * self.limit / BINS) - self.limit, np.float64)


@dataclass(frozen=True)
class Observer:
    """Runs a graph on pictures and hands out inner tensors; int8 when a quantisation is given."""

    graph: Graph
    names: Sequence[str]
    quantization: Quantization | None = None

    def run(self, inputs: Iterable[UInt8Array]) -> Iterator[dict[str, Float32Array]]:
        """Yield, per uint8 (height, width, 3) picture, the named tensors as float32 (1, rows, columns, channels)."""
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
    """The tensors whose values cannot be derived from others: what convolutions and additions put out."""
    return tuple(op.outputs[0] for op in graph.operations if isinstance(op, Convolution | Add))


def calibrate(graph: Graph, inputs: Iterable[UInt8Array], tick: Tick = lambda done: None) -> dict[str, Statistics]:
    """Run the float network over uint8 (height, width, 3) pictures; return statistics of every measured tensor."""
    names = measured_tensors(graph)
    statistics = {name: Statistics() for name in names}
    for done, tensors in enumerate(Observer(graph, names).run(inputs), start=1):
        for name, values in tensors.items():
            statistics[name].add(values)
        tick(done)
    return statistics
