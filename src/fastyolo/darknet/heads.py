"""What a [yolo] section says of its head."""

from __future__ import annotations

import warnings

from fastyolo.darknet.cfg import MAX_INTEGER, Section, shorten
from fastyolo.darknet.grids import Grid
from fastyolo.spec import HeadSpec, NmsKind

OTHER_HEADS = {"region": "YOLOv2", "Gaussian_yolo": "Gaussian YOLOv3", "detection": "YOLOv1"}
"""Sections that end networks whose outputs mean something else."""

BETA = 0.6
"""The exponent of the distance in "diou". For greedynms it is fixed in Darknet; diounms reads beta_nms=."""


def read_head(section: Section, input_size: tuple[int, int], grid: Grid) -> tuple[HeadSpec, int]:
    """The head and its number of classes, from the grid of the layer before it; sizes are (height, width)."""
    classes = section.integer("classes", 20, low=1)
    anchors = section.numbers("anchors")
    total = section.integer("num", 1, low=1)
    if len(anchors) < 2 * total:
        raise section.error(f"{2 * total} numbers in anchors= for num={total}", str(len(anchors)), key="anchors")
    if not all(0 < side < 1e6 for side in anchors):
        raise section.error("anchors of positive pixel sizes", shorten(section.text("anchors", "")), key="anchors")
    mask = section.integers("mask", low=0, high=total - 1) or tuple(range(total))
    if grid.channels != len(mask) * (5 + classes):
        expected = f"{len(mask)} * (5 + {classes}) = {len(mask) * (5 + classes)} filters before this [yolo]"
        raise section.error(expected, str(grid.channels))
    height, width = input_size
    stride = height // grid.rows
    if stride < 1 or (grid.rows * stride, grid.columns * stride) != (height, width):
        cells = f"{grid.rows}x{grid.columns} cells"
        raise section.error("an input that is a multiple of the stride", f"{height}x{width} and {cells}")
    scale_x_y = section.number("scale_x_y", 1.0)
    if not scale_x_y > 0:
        raise section.error("a positive scale_x_y", section.text("scale_x_y", ""), key="scale_x_y")
    pairs = tuple((anchors[2 * index], anchors[2 * index + 1]) for index in mask)
    new_coords = section.integer("new_coords", 0, low=-MAX_INTEGER) != 0
    return HeadSpec(stride, pairs, scale_x_y, new_coords), classes


def read_nms(section: Section) -> NmsKind:
    """How Darknet suppresses boxes if this is its last head: that one's words count for all of them."""
    kind = section.text("nms_kind", "default")
    if kind == "greedynms":
        return "diou"
    if kind == "diounms":
        if section.number("beta_nms", BETA) != BETA:
            expected = f"beta_nms={BETA} with nms_kind=diounms, the only one that is computed"
            raise section.error(expected, section.text("beta_nms", ""), key="beta_nms")
        return "diou"
    if kind != "default":
        where = f"{section.file} line {section.options['nms_kind'].line}"
        warnings.warn(f"{where}: Darknet takes nms_kind={shorten(kind)} for default, NMS by IoU", stacklevel=3)
    return "iou"
