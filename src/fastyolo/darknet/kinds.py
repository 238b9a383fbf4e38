"""The kinds of layers that exporting knows: what is said of each, and how they refer to each other."""

from __future__ import annotations

from dataclasses import dataclass

from fastyolo.darknet.cfg import Cfg, Section
from fastyolo.darknet.grids import earlier
from fastyolo.spec import HeadSpec

Shape = tuple[int, int, int]
"""(rows, columns, channels)."""

NETWORK_INPUT = -1
"""The layer index that stands for the network input."""


@dataclass(frozen=True)
class _Layer:
    """What every layer has: its section, the absolute indices of the layers it reads, and its output shape."""

    section: Section
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Convolutional(_Layer):
    """`stride` is that down, `stride_x` that across; each of the `groups` of filters sees its share of channels."""

    filters: int
    size: int
    stride: int
    padding: int
    batch_normalize: bool
    activation: str
    input_channels: int
    groups: int
    stride_x: int

    @property
    def filter_channels(self) -> int:
        """How many channels one filter sees."""
        return self.input_channels // self.groups

    @property
    def multiply_accumulates(self) -> int:
        """How often a product is added up for one picture."""
        rows, columns, filters = self.shape
        return rows * columns * filters * self.filter_channels * self.size**2


@dataclass(frozen=True)
class MaxPool(_Layer):
    """`padding` is that of both sides together, the smaller half of it left and above."""

    size: int
    stride: int
    padding: int
    stride_x: int


@dataclass(frozen=True)
class AveragePool(_Layer):
    """The mean of each channel over the whole picture."""


@dataclass(frozen=True)
class Route(_Layer):
    groups: int
    group_id: int


@dataclass(frozen=True)
class Upsample(_Layer):
    stride: int


@dataclass(frozen=True)
class Shortcut(_Layer):
    """The sum of all inputs in the channels of the first: where others have fewer, nothing is added to the rest."""

    activation: str


@dataclass(frozen=True)
class Product(_Layer):
    """[scale_channels] and [sam]: the two inputs multiplied; the first may be one number for each channel."""

    activation: str


@dataclass(frozen=True)
class Dropout(_Layer):
    """Outside training it hands on what it reads."""


@dataclass(frozen=True)
class Yolo(_Layer):
    head: HeadSpec
    classes: int


Layer = Convolutional | MaxPool | AveragePool | Route | Upsample | Shortcut | Product | Dropout | Yolo


class Walk:
    """The layers so far, as the next section sees them."""

    def __init__(self, cfg: Cfg) -> None:
        self.input_shape: Shape = cfg.input_shape
        self.layers: list[Layer] = []

    @property
    def previous(self) -> int:
        return len(self.layers) - 1

    def shape(self, index: int) -> Shape:
        return self.input_shape if index == NETWORK_INPUT else self.layers[index].shape

    def reference(self, section: Section, key: str, index: int) -> int:
        """The absolute index of an earlier layer, from an absolute or a negative (relative) one."""
        return earlier(section, key, index, len(self.layers))
