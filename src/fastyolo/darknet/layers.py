"""The layers of a .cfg with their shapes, as exporting needs them: every one must be known in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastyolo.darknet.cfg import MAX_INTEGER, Cfg, Section, shorten
from fastyolo.darknet.grids import Grid, earlier
from fastyolo.darknet.heads import read_head
from fastyolo.darknet.windows import Window, convolution_window, pooling_window
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
    filters: int
    size: int
    stride: int
    padding: int
    batch_normalize: bool
    activation: str
    input_channels: int

    @property
    def multiply_accumulates(self) -> int:
        """How often a product is added up for one picture."""
        rows, columns, filters = self.shape
        return rows * columns * filters * self.input_channels * self.size**2


@dataclass(frozen=True)
class MaxPool(_Layer):
    size: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Route(_Layer):
    groups: int
    group_id: int


@dataclass(frozen=True)
class Upsample(_Layer):
    stride: int


@dataclass(frozen=True)
class Shortcut(_Layer):
    activation: str


@dataclass(frozen=True)
class Yolo(_Layer):
    head: HeadSpec
    classes: int


Layer = Convolutional | MaxPool | Route | Upsample | Shortcut | Yolo


class _Walk:
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


def network_layers(cfg: Cfg) -> tuple[Layer, ...]:
    """Walk the sections and return typed layers with output shapes.

    Raises:
        SpecError: a layer type fastyolo does not know, an option out of its domain, layers that do not fit together.
    """
    walk = _Walk(cfg)
    for section in cfg.sections:
        read = LAYER_READERS.get(section.type)
        if read is None:
            raise section.error("a layer of the YOLO-tiny family", f"[{shorten(section.type)[1:-1]}]")
        if walk.layers and isinstance(walk.layers[-1], Yolo) and section.type not in ("route", "yolo"):
            raise section.error("[route] after a [yolo] layer", f"[{section.type}]")
        layer = read(section, walk)
        if any(index >= 0 and isinstance(walk.layers[index], Yolo) for index in layer.inputs):
            raise section.error("a layer that is not [yolo] as input", "a [yolo] layer")
        # Nothing this large is a network for this library; it would only exhaust memory later.
        if not all(1 <= side <= MAX_INTEGER for side in layer.shape):
            raise section.error(f"an output of 1 to {MAX_INTEGER} each way", "x".join(map(str, layer.shape)))
        walk.layers.append(layer)
    return tuple(walk.layers)


def _convolutional(section: Section, walk: _Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    filters = section.integer("filters", 1, low=1)
    window = convolution_window(section)
    shape = (*window.positions(rows, columns), filters)
    batch_normalize = section.integer("batch_normalize", 0) > 0 or section.integer("cbn", 0) > 0
    activation = section.text("activation", "logistic")
    inputs = (walk.previous,)
    stride, padding = _one_stride(section, window), window.padding // 2
    return Convolutional(
        section, inputs, shape, filters, window.size, stride, padding, batch_normalize, activation, channels
    )


def _maxpool(section: Section, walk: _Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    window = pooling_window(section)
    shape = (*window.positions(rows, columns), channels)
    return MaxPool(section, (walk.previous,), shape, window.size, _one_stride(section, window), window.padding)


def _one_stride(section: Section, window: Window) -> int:
    if window.stride_y != window.stride_x:
        key = "stride_x" if "stride_x" in section.options else "stride_y"
        got = f"stride_y={window.stride_y} and stride_x={window.stride_x}"
        raise section.error("one stride down and across", got, key=key)
    return window.stride_y


def _route(section: Section, walk: _Walk) -> Layer:
    indices = section.integers("layers", low=-MAX_INTEGER, high=MAX_INTEGER)
    if not indices:
        raise section.error("layers= in [route]", "none")
    inputs = tuple(walk.reference(section, "layers", index) for index in indices)
    groups = section.integer("groups", 1, low=1)
    group_id = section.integer("group_id", 0, high=groups - 1)
    shapes = [walk.shape(index) for index in inputs]
    for shape in shapes:
        if shape[:2] != shapes[0][:2]:
            sizes = " and ".join(f"{other[0]}x{other[1]}" for other in (shapes[0], shape))
            raise section.error("layers of one size", sizes, key="layers")
        if shape[2] % groups:
            raise section.error(f"channels divisible by groups={groups}", str(shape[2]), key="groups")
    channels = sum(shape[2] // groups for shape in shapes)
    return Route(section, inputs, (shapes[0][0], shapes[0][1], channels), groups, group_id)


def _upsample(section: Section, walk: _Walk) -> Layer:
    stride = section.integer("stride", 2, low=1, high=255)
    if section.number("scale", 1.0) != 1.0:
        raise section.error("scale=1", section.text("scale", ""), key="scale")
    rows, columns, channels = walk.shape(walk.previous)
    return Upsample(section, (walk.previous,), (rows * stride, columns * stride, channels), stride)


def _shortcut(section: Section, walk: _Walk) -> Layer:
    if section.text("weights_type", "none") != "none":
        raise section.error("weights_type=none", shorten(section.text("weights_type", "")), key="weights_type")
    indices = section.integers("from", low=-MAX_INTEGER, high=MAX_INTEGER)
    if len(indices) != 1:
        raise section.error("from= one layer in [shortcut]", f"{len(indices)} layers", key="from")
    other = walk.reference(section, "from", indices[0])
    shape = walk.shape(walk.previous)
    # Darknet adds tensors of different shape by striding; no network of this family does that.
    if walk.shape(other) != shape:
        sizes = " and ".join("x".join(map(str, side)) for side in (shape, walk.shape(other)))
        raise section.error("two layers of one shape", sizes, key="from")
    return Shortcut(section, (walk.previous, other), shape, section.text("activation", "linear"))


def _yolo(section: Section, walk: _Walk) -> Layer:
    shape = walk.shape(walk.previous)
    head, classes = read_head(section, walk.input_shape[:2], Grid(*shape))
    return Yolo(section, (walk.previous,), shape, head, classes)


LAYER_READERS: Mapping[str, Callable[[Section, _Walk], Layer]] = {
    "conv": _convolutional,
    "convolutional": _convolutional,
    "max": _maxpool,
    "maxpool": _maxpool,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "yolo": _yolo,
}
