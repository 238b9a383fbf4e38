"""What a network is made of on its way to TFLite: a few kinds of operation between named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.darknet.kinds import Shape

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
    """2-D convolution: weights (filters, rows, columns, channels), "same" padding as TFLite defines it, or none.

    With `groups` the filters are split into as many parts, each of which sees its share of the input's channels alone.
    `relu6` cuts what is above 6 as well as what is below 0.
    """

    weights: Float32Array
    bias: Float32Array
    stride: int
    same: bool
    relu: bool
    groups: int = 1
    relu6: bool = False

    @property
    def depthwise(self) -> bool:
        """Whether every filter sees one channel of several."""
        return self.groups > 1 and self.weights.shape[3] == 1

    def by_filter(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(input channels,) -> (filters, channels of a filter), the numbers of those that each filter sees."""
        shares = values.reshape(self.groups, -1)
        return np.repeat(shares, len(self.weights) // self.groups, axis=0)


@dataclass(frozen=True, eq=False)
class Pad(Operation):
    """Zeros around the picture: (before, after) for rows and for columns; and channels of zeros behind the last."""

    rows: tuple[int, int]
    columns: tuple[int, int]
    channels: int = 0


@dataclass(frozen=True, eq=False)
class Slice(Operation):
    """Some rows, columns and channels of the input, each from its first on, to leave `shape` of the output.

    `starts` is for (rows, columns, channels), `steps` for (rows, columns).
    """

    starts: tuple[int, int, int] = (0, 0, 0)
    steps: tuple[int, int] = (1, 1)


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
class HardSwish(Operation):
    """x * min(max(x + 3, 0), 6) / 6."""


@dataclass(frozen=True, eq=False)
class Mean(Operation):
    """The mean of each channel over the whole picture, which leaves one row and one column."""


@dataclass(frozen=True, eq=False)
class Multiply(Operation):
    """The product of two tensors; the second may have one number for each channel."""

    relu: bool = False
    relu6: bool = False


@dataclass(frozen=True, eq=False)
class Maximum(Operation):
    """The larger of two numbers: here of a convolution and its tenth, which is their leaky ReLU."""


@dataclass(frozen=True, eq=False)
class Complement(Operation):
    """2 - x."""


@dataclass(frozen=True, eq=False)
class Divide(Operation):
    """The first tensor divided by the second."""


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
    relu6: bool = False


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


FLOAT_ONLY = Complement | Divide
"""Operations that TFLite's runtimes have for real numbers alone."""

KEEPS_SCALE = Maximum | Pad | Slice | Split | MaxPool | Upsample | Concatenation
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
