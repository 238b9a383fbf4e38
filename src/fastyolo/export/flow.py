"""What flows into every convolution, and how much an error of what it puts out matters: moments of each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastyolo.export.calibrate import Statistics, activated_tensors
from fastyolo.export.equalise import Channels, loudness
from fastyolo.export.graph import INPUT_NAME, Graph, Logistic, Maximum
from fastyolo.export.ranges import leaky

Float64Array = npt.NDArray[np.float64]

INPUT_VARIANCE = 1 / 12
"""Of a pixel, 0..1, and of what a logistic puts out; it decides nothing, for no factor applies to either."""


@dataclass(frozen=True, eq=False)
class Flow:
    """By class of channels that share a factor (`equalise.Channels.ids`), before any factor is applied.

    Attributes:
        variance: of the values that convolutions read.
        relevance: of all errors of what convolutions put out, behind their activation; by tensor, float64 (channels,).
        reach: how far the values of each channel commonly go; by tensor, float64 (channels,).
    """

    variance: Float64Array
    relevance: Mapping[str, Float64Array]
    reach: Mapping[str, Float64Array]


def measure_flow(graph: Graph, statistics: Mapping[str, Statistics], channels: Channels) -> Flow:
    """Gather the moments from calibration's histograms."""
    behind = activated_tensors(graph)
    variance = np.zeros(len(channels.fixed))
    variance[channels.ids[INPUT_NAME]] = INPUT_VARIANCE
    for operation in graph.operations:
        if isinstance(operation, Logistic):
            variance[channels.ids[operation.outputs[0]]] = INPUT_VARIANCE
    relevance, reach = {}, {}
    for name, found in statistics.items():
        activated = name in behind
        np.maximum.at(variance, channels.ids[name], _variance(found, activated))
        weights = found.weights if found.weights.any() else found.counts.astype(np.float64)
        relevance[name] = weights.sum(axis=1)
        reach[name] = loudness(found, activated)
    for operation in graph.operations:
        if isinstance(operation, Maximum):
            one, tenth = operation.inputs
            relevance[tenth] = relevance[one]
    return Flow(variance, relevance, reach)


def _variance(found: Statistics, activated: bool) -> Float64Array:
    values = leaky(found.centres) if activated else found.centres
    counts = found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
    mean = (values * counts).sum(axis=1, keepdims=True)
    return np.asarray((counts * (values - mean) ** 2).sum(axis=1))
