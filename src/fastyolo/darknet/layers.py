"""The layers of a .cfg with their shapes, as exporting needs them: every one must be known in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastyolo.darknet.cfg import MAX_INTEGER, Cfg, Section, shorten
from fastyolo.darknet.grids import Grid
from fastyolo.darknet.heads import read_head
from fastyolo.darknet.joins import read_route, read_sam, read_scale_channels, read_shortcut
from fastyolo.darknet.kinds import (
    AveragePool,
    Convolutional,
    Dropout,
    Layer,
    MaxPool,
    Shape,
    Upsample,
    Walk,
    Yolo,
)
from fastyolo.darknet.windows import convolution_window, pooling_window

MAX_LAYERS = 2000
"""YOLOv4 has 162; thousands would only keep a runtime busy with preparing."""

MAX_NUMBERS = 1 << 28
"""Of one layer's output: a gigabyte in float32, far beyond any board."""


def network_layers(cfg: Cfg) -> tuple[Layer, ...]:
    """Walk the sections and return typed layers with output shapes.

    Raises:
        SpecError: a layer type fastyolo does not know, an option out of its domain, layers that do not fit together,
            or more of them, or larger ones, than a network has.
    """
    if len(cfg.sections) > MAX_LAYERS:
        section = cfg.sections[MAX_LAYERS]
        raise section.error(f"at most {MAX_LAYERS} layers", f"{len(cfg.sections)}")
    walk = Walk(cfg)
    _check_shape(cfg.net, cfg.input_shape)
    for section in cfg.sections:
        read = LAYER_READERS.get(section.type)
        if read is None:
            raise section.error("a layer of the YOLO-tiny family", f"[{shorten(section.type)[1:-1]}]")
        if walk.layers and isinstance(walk.layers[-1], Yolo) and section.type not in ("route", "yolo"):
            raise section.error("[route] after a [yolo] layer", f"[{section.type}]")
        layer = read(section, walk)
        if any(index >= 0 and isinstance(walk.layers[index], Yolo) for index in layer.inputs):
            raise section.error("a layer that is not [yolo] as input", "a [yolo] layer")
        _check_shape(section, layer.shape)
        walk.layers.append(layer)
    return tuple(walk.layers)


def _check_shape(section: Section, shape: Shape) -> None:
    # Nothing this large is a network for this library; it would only exhaust memory later.
    rows, columns, channels = shape
    got = "x".join(map(str, shape))
    if not all(1 <= side <= MAX_INTEGER for side in shape):
        raise section.error(f"an output of 1 to {MAX_INTEGER} each way", got)
    if rows * columns * channels > MAX_NUMBERS:
        raise section.error(f"an output of at most {MAX_NUMBERS} numbers", got)


def _convolutional(section: Section, walk: Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    filters = section.integer("filters", 1, low=1)
    groups = section.integer("groups", 1, low=1)
    for count, what in ((channels, "channels before this layer"), (filters, "filters")):
        if count % groups:
            raise section.error(f"groups that divide the {count} {what}", f"groups={groups}", key="groups")
    window = convolution_window(section)
    return Convolutional(
        section,
        (walk.previous,),
        (*window.positions(rows, columns), filters),
        filters=filters,
        size=window.size,
        stride=window.stride_y,
        padding=window.padding // 2,
        batch_normalize=section.integer("batch_normalize", 0) > 0 or section.integer("cbn", 0) > 0,
        activation=section.text("activation", "logistic"),
        input_channels=channels,
        groups=groups,
        stride_x=window.stride_x,
    )


def _maxpool(section: Section, walk: Walk) -> Layer:
    rows, columns, channels = walk.shape(walk.previous)
    window = pooling_window(section)
    # A window that lies outside of the picture has no maximum.
    if window.padding >= window.size:
        raise section.error(f"padding from 0 to {window.size - 1}", str(window.padding), key="padding")
    shape = (*window.positions(rows, columns), channels)
    return MaxPool(section, (walk.previous,), shape, window.size, window.stride_y, window.padding, window.stride_x)


def _avgpool(section: Section, walk: Walk) -> Layer:
    return AveragePool(section, (walk.previous,), (1, 1, walk.shape(walk.previous)[2]))


def _dropout(section: Section, walk: Walk) -> Layer:
    return Dropout(section, (walk.previous,), walk.shape(walk.previous))


def _upsample(section: Section, walk: Walk) -> Layer:
    stride = section.integer("stride", 2, low=1, high=255)
    if section.number("scale", 1.0) != 1.0:
        raise section.error("scale=1", section.text("scale", ""), key="scale")
    rows, columns, channels = walk.shape(walk.previous)
    return Upsample(section, (walk.previous,), (rows * stride, columns * stride, channels), stride)


def _yolo(section: Section, walk: Walk) -> Layer:
    shape = walk.shape(walk.previous)
    head, classes = read_head(section, walk.input_shape[:2], Grid(*shape))
    return Yolo(section, (walk.previous,), shape, head, classes)


LAYER_READERS: Mapping[str, Callable[[Section, Walk], Layer]] = {
    "avg": _avgpool,
    "avgpool": _avgpool,
    "conv": _convolutional,
    "convolutional": _convolutional,
    "dropout": _dropout,
    "max": _maxpool,
    "maxpool": _maxpool,
    "route": read_route,
    "sam": read_sam,
    "scale_channels": read_scale_channels,
    "shortcut": read_shortcut,
    "upsample": _upsample,
    "yolo": _yolo,
}
