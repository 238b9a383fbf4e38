"""What a network is made of on its way to TFLite: a few kinds of operation between named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastyolo.darknet.layers import Shape

Float32Array = npt.NDArray[np.float32]

LEAKY_SLOPE = 0.1
INPUT_NAME = "input"


@dataclass(frozen=True, eq=False)
class Operation:
    """Names of the tensors read and written."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Convolution(Operation):
    """2-D convolution: weights (filters, rows, columns, channels), "same" padding as TFLite defines it, or none."""

    weights: Float32Array
    bias: Float32Array
    stride: int
    same: bool
    relu: bool


@dataclass(frozen=True, eq=False)
class Pad(Operation):
    """Zeros around the picture: (before, after) for rows and for columns."""

    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MaxPool(Operation):
    size: int
    stride: int
    same: bool


@dataclass(frozen=True, eq=False)
class LeakyRelu(Operation):
    """x where positive, `LEAKY_SLOPE` * x elsewhere."""


@dataclass(frozen=True, eq=False)
class Logistic(Operation):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, eq=False)
class Split(Operation):
    """Equal groups of channels, one output each."""


@dataclass(frozen=True, eq=False)
class Concatenation(Operation):
    """Channels of all inputs, one after the other."""


@dataclass(frozen=True, eq=False)
class Upsample(Operation):
    """Every pixel repeated to fill the larger output."""


@dataclass(frozen=True, eq=False)
class Add(Operation):
    relu: bool


@dataclass(frozen=True, eq=False)
class Graph:
    """Operations in order of computation.

    Attributes:
        shapes: (rows, columns, channels) by tensor name, `INPUT_NAME` included.
        operations: each reads only tensors written before it.
        heads: the output tensors, in the order of the .cfg.
    """

    shapes: Mapping[str, Shape]
    operations: tuple[Operation, ...]
    heads: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The heads as a file lists them: the finest grid first."""
        return tuple(sorted(self.heads, key=lambda name: -self.shapes[name][0] * self.shapes[name][1]))


KEEPS_SCALE = Pad | Split | MaxPool | Upsample | Concatenation
"""Operations that move values without computing: all tensors they touch share one scale."""


def scale_groups(graph: Graph) -> dict[str, str]:
    """For every tensor, the one that stands for all tensors it must share a scale with."""
    parent = {name: name for name in graph.shapes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for operation in graph.operations:
        if isinstance(operation, KEEPS_SCALE):
            first, *others = (*operation.inputs, *operation.outputs)
            for other in others:
                parent[root(other)] = root(first)
    return {name: root(name) for name in graph.shapes}
