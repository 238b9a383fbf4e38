"""What quantisation chose for every tensor, and what it cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fastyolo.export.calibrate import Observer, UInt8Array
from fastyolo.export.graph import Graph
from fastyolo.export.int8 import Quantization
from fastyolo.files import atomic_write

LEAST_NOISE = 1e-12
"""Noise relative to the signal that counts as none, in power: 120 dB."""


@dataclass(frozen=True)
class TensorReport:
    """One tensor of the int8 file, measured on calibration pictures.

    Attributes:
        name, operation, shape: as in the file; (rows, columns, channels).
        scale, zero_point: real = scale * (stored - zero_point).
        low, high: the range that this covers. Channels may have been divided by factors of their own, see `equalise`.
        seen_low, seen_high: the extremes of the float network's values; what lies outside the range is cut off.
        snr_db: power of the float values over that of the int8 network's error, all that came before included.
    """

    name: str
    operation: str
    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    low: float
    high: float
    seen_low: float
    seen_high: float
    snr_db: float


@dataclass(frozen=True)
class QuantisationReport:
    """Every tensor that an operation puts out, in order of computation.

    Attributes:
        pictures: how many were measured.
        tensors: each tensor's numbers.
        most_score: no score of the int8 file can be above this, because its outputs' ranges end there.
    """

    pictures: int
    tensors: tuple[TensorReport, ...]
    most_score: float

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def to_markdown(self) -> str:
        lines = [
            f"Measured on {self.pictures} calibration pictures. No score can be above {self.most_score:.3f}.",
            "",
            "| tensor | operation | shape | range | values seen | scale | zero point | SNR, dB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for one in self.tensors:
            cells = (
                one.name,
                one.operation,
                "x".join(map(str, one.shape)),
                f"{one.low:.3f} to {one.high:.3f}",
                f"{one.seen_low:.3f} to {one.seen_high:.3f}",
                f"{one.scale:.6g}",
                str(one.zero_point),
                f"{one.snr_db:.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def write(self, path: str | os.PathLike[str]) -> None:
        """As JSON where the name ends in .json, else as Markdown.

        Raises:
            FastYoloError: the file cannot be written.
        """
        text = self.to_json() + "\n" if Path(path).suffix.lower() == ".json" else self.to_markdown()
        with atomic_write(path, text=True) as file:
            file.write(text)


def measure(
    graph: Graph, quantization: Quantization, pictures: Iterable[UInt8Array], *, sigmoid_outputs: bool
) -> QuantisationReport:
    """Compare every tensor of the int8 network with the float one's.

    Args:
        graph: as `quantise` returned it.
        sigmoid_outputs: the outputs are logits, not probabilities.
    """
    operations = {name: type(operation).__name__ for operation in graph.operations for name in operation.outputs}
    names = list(operations)
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    lows, highs = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
    runs = (Observer(graph, names, numbers).run(pictures) for numbers in (None, quantization))
    count = 0
    for wanted, found in zip(*runs, strict=True):
        count += 1
        for name in names:
            signal[name] += float(np.square(wanted[name], dtype=np.float64).sum())
            noise[name] += float(np.square(wanted[name] - found[name], dtype=np.float64).sum())
            lows[name] = min(lows[name], float(wanted[name].min()))
            highs[name] = max(highs[name], float(wanted[name].max()))
    tensors = []
    for name in names:
        affine = quantization.tensors[name]
        power = max(signal[name], 1e-30)
        snr = -10 * float(np.log10(max(noise[name] / power, LEAST_NOISE)))
        low, high = affine.limits
        tensors.append(
            TensorReport(
                name, operations[name], graph.shapes[name], affine.scale, affine.zero_point, low, high,
                lows[name], highs[name], snr,
            )
        )  # fmt: skip
    ends = [quantization.tensors[head].limits[1] for head in graph.heads]
    most = max(1 / (1 + np.exp(-end)) if sigmoid_outputs else min(end, 1.0) for end in ends)
    return QuantisationReport(count, tuple(tensors), float(most**2))
