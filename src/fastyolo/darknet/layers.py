"""The layers of a .cfg with their shapes, and the `ModelSpec` they amount to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fastyolo.darknet.cfg import MAX_INTEGER, MAX_SIDE, Cfg, Option, Section, shorten
from fastyolo.errors import OptionError, SpecError
from fastyolo.spec import HeadSpec, ModelSpec

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
        absolute = index + len(self.layers) if index < 0 else index
        if not 0 <= absolute < len(self.layers):
            raise section.error(f"{key} to name an earlier layer of this layer {len(self.layers)}", str(index), key=key)
        return absolute


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


def with_input_size(cfg: Cfg, input_size: tuple[int, int]) -> Cfg:
    """The same network for pictures of another (height, width). Anchors stay: they are in network pixels.

    Raises:
        OptionError: a size that is no multiple of every stride, or not positive.
        SpecError: see `spec_from_cfg`.
    """
    strides = [head.stride for head in spec_from_cfg(cfg).heads]
    multiple = math.lcm(*strides)
    if not all(0 < side <= MAX_SIDE and side % multiple == 0 for side in input_size):
        height, width = input_size
        expected = f"a multiple of {multiple} up to {MAX_SIDE} each way"
        raise OptionError(f"the input size of {cfg.file} must be {expected}, got {height}x{width}")
    net = cfg.net
    sides = zip(("height", "width"), input_size, strict=True)
    options = {**net.options, **{key: Option(str(side), net.line) for key, side in sides}}
    return replace(cfg, net=replace(net, options=options))


def spec_from_cfg(cfg: Cfg, names: Sequence[str] | None = None) -> ModelSpec:
    """Describe the network of a .cfg, heads in its order. Without `names`, classes are called "class 0", "class 1", ...

    Raises:
        SpecError: the .cfg describes no network fastyolo can decode, or `names` has the wrong number of names.
    """
    heads = [layer for layer in network_layers(cfg) if isinstance(layer, Yolo)]
    if not heads:
        raise SpecError(f"{cfg.file} must have at least one [yolo] layer, got none")
    classes = heads[0].classes
    for layer in heads:
        if layer.classes != classes:
            raise layer.section.error(
                f"classes={classes} as in the first [yolo] layer", str(layer.classes), key="classes"
            )
    if names is None:
        names = [f"class {index}" for index in range(classes)]
    elif len(names) != classes:
        raise SpecError(f"{cfg.file} has {classes} classes, so expected {classes} class names, got {len(names)}")
    height, width, _ = cfg.input_shape
    return ModelSpec((height, width), tuple(layer.head for layer in heads), tuple(names))


def _convolutional(section: Section, walk: _Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    filters = section.integer("filters", 1, low=1)
    size = section.integer("size", 1, low=1, high=255)
    stride = section.integer("stride", 1, low=1, high=255)
    for key in ("stride_x", "stride_y"):
        if section.integer(key, stride, low=1, high=255) != stride:
            raise section.error(f"{key} equal to stride={stride}", section.text(key, ""), key=key)
    # Darknet's pad=1 means "half the kernel"; padding= gives pixels.
    half = size // 2 if section.integer("pad", 0) else None
    padding = section.integer("padding", 0, high=255) if half is None else half
    shape = ((rows + 2 * padding - size) // stride + 1, (columns + 2 * padding - size) // stride + 1, filters)
    batch_normalize = section.integer("batch_normalize", 0) > 0 or section.integer("cbn", 0) > 0
    activation = section.text("activation", "logistic")
    inputs = (walk.previous,)
    return Convolutional(section, inputs, shape, filters, size, stride, padding, batch_normalize, activation, channels)


def _maxpool(section: Section, walk: _Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    stride = section.integer("stride", 1, low=1, high=255)
    size = section.integer("size", stride, low=1, high=255)
    # Total padding over both sides; the smaller half goes left and above.
    padding = section.integer("padding", size - 1, high=255)
    shape = ((rows + padding - size) // stride + 1, (columns + padding - size) // stride + 1, channels)
    return MaxPool(section, (walk.previous,), shape, size, stride, padding)


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
    rows, columns, channels = walk.shape(walk.previous)
    classes = section.integer("classes", 20, low=1)
    anchors = section.numbers("anchors")
    total = section.integer("num", 1, low=1)
    if len(anchors) < 2 * total:
        raise section.error(f"{2 * total} numbers in anchors= for num={total}", str(len(anchors)), key="anchors")
    if not all(0 < side < 1e6 for side in anchors):
        raise section.error("anchors of positive pixel sizes", shorten(section.text("anchors", "")), key="anchors")
    mask = section.integers("mask", low=0, high=total - 1) or tuple(range(total))
    if channels != len(mask) * (5 + classes):
        expected = f"{len(mask)} * (5 + {classes}) = {len(mask) * (5 + classes)} filters before this [yolo]"
        raise section.error(expected, str(channels))
    height, width, _ = walk.input_shape
    stride = height // rows
    if (rows * stride, columns * stride) != (height, width):
        raise section.error("an input that is a multiple of the stride", f"{height}x{width} and {rows}x{columns} cells")
    scale_x_y = section.number("scale_x_y", 1.0)
    if not scale_x_y > 0:
        raise section.error("a positive scale_x_y", section.text("scale_x_y", ""), key="scale_x_y")
    pairs = tuple((anchors[2 * index], anchors[2 * index + 1]) for index in mask)
    head = HeadSpec(stride, pairs, scale_x_y, section.integer("new_coords", 0) > 0)
    return Yolo(section, (walk.previous,), (rows, columns, channels), head, classes)


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
