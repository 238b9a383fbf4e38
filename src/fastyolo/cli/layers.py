"""A network's layers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastyolo.darknet import Convolutional, Layer, MaxPool
    from fastyolo.darknet.kinds import Shape

HEADINGS = ("layer", "type", "", "input", "output", "parameters", "multiply-adds")
NUMBERS = (0, 5, 6)
"""Columns of numbers, aligned on the right."""


def layer_table(layers: Sequence[Layer], input_shape: Shape) -> list[str]:
    """The lines of a table: shapes as height x width x channels, parameters as trained, totals last."""
    from fastyolo.darknet import Convolutional, count_numbers

    rows: list[tuple[str, ...]] = [HEADINGS]
    operations = 0
    for index, layer in enumerate(layers):
        count = layer.multiply_accumulates if isinstance(layer, Convolutional) else 0
        operations += count
        shapes = [input_shape if source < 0 else layers[source].shape for source in layer.inputs]
        rows.append(
            (
                str(index),
                layer.section.type,
                _detail(layer),
                " + ".join(dict.fromkeys(_shape(shape) for shape in shapes)),
                _shape(layer.shape),
                f"{count_numbers([layer]):,}",
                f"{count:,}",
            )
        )
    rows.append(("", "total", "", "", "", f"{count_numbers(layers):,}", f"{operations:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.rjust(width) if column in NUMBERS else text.ljust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _detail(layer: Layer) -> str:
    """What tells this layer from others of its type."""
    from fastyolo.darknet import Convolutional, MaxPool, Product, Route, Shortcut, Upsample, Yolo

    detail = ""

    match layer:
        case Convolutional(size=size, activation=activation, groups=groups):
            of_groups = f" in {groups} groups" if groups > 1 else ""
            detail = f"{size}x{size}/{_strides(layer)} {activation}{of_groups}"
        case MaxPool(size=size):
            detail = f"{size}x{size}/{_strides(layer)}"
        case Route(inputs=inputs, groups=groups, group_id=group):
            detail = " ".join(map(str, inputs)) + (f" part {group + 1} of {groups}" if groups > 1 else "")
        case Upsample(stride=stride):
            detail = f"x{stride}"
        case Shortcut(inputs=inputs, activation=activation) | Product(inputs=inputs, activation=activation):
            detail = f"{' '.join(map(str, inputs[1:]))} {activation}"
        case Yolo(head=head, classes=classes):
            detail = f"stride {head.stride}, {len(head.anchors)} anchors, {classes} classes"
    return detail


def _strides(layer: Convolutional | MaxPool) -> str:
    return str(layer.stride) if layer.stride == layer.stride_x else f"{layer.stride}x{layer.stride_x}"
