"""What decoding must know of a .cfg: [net], [yolo], and the grid of each head; of other layers only the size counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from fastyolo.darknet.cfg import MAX_INTEGER, MAX_SIDE, Cfg, Option
from fastyolo.darknet.grids import head_grids
from fastyolo.darknet.heads import OTHER_HEADS, read_head, read_nms
from fastyolo.darknet.options import check_options
from fastyolo.errors import OptionError, SpecError
from fastyolo.letterbox import ResizeMode
from fastyolo.spec import ModelSpec


def spec_from_cfg(cfg: Cfg, names: Sequence[str] | None = None) -> ModelSpec:
    """Describe the network of a .cfg, heads in its order. Without `names`, classes are called "class 0", "class 1", ...

    Warns of options in [net] and [yolo] that Darknet does not know.

    Raises:
        SpecError: the .cfg describes no network fastyolo can decode, or `names` has the wrong number of names.
    """
    for section in cfg.sections:
        if section.type in OTHER_HEADS:
            kind = f"[{section.type}], of {OTHER_HEADS[section.type]}"
            raise section.error("heads of type [yolo] only", kind)
    check_options([cfg.net, *(section for section in cfg.sections if section.type == "yolo")])
    height, width, channels = cfg.input_shape
    inputs = cfg.net.integer("inputs", height * width * channels, high=1 << 62)
    if inputs != height * width * channels:
        expected = f"inputs={height * width * channels}, height x width x channels"
        raise cfg.net.error(expected, str(inputs), key="inputs")
    grids = head_grids(cfg)
    if not grids:
        raise SpecError(f"{cfg.file} must have at least one [yolo] layer, got none")
    heads = [read_head(section, (height, width), grid) for section, grid in grids]
    classes = heads[0][1]
    for (section, _), (_, others) in zip(grids, heads, strict=True):
        if others != classes:
            raise section.error(f"classes={classes} as in the first [yolo] layer", str(others), key="classes")
    if names is None:
        names = [f"class {index}" for index in range(classes)]
    elif len(names) != classes:
        raise SpecError(f"{cfg.file} has {classes} classes, so expected {classes} class names, got {len(names)}")
    nms = read_nms(grids[-1][0])
    return ModelSpec(
        (height, width), tuple(head for head, _ in heads), tuple(names), _resize(cfg), nms, channels=channels
    )


def with_input_size(cfg: Cfg, input_size: tuple[int, int]) -> Cfg:
    """The same network for pictures of another (height, width). Anchors stay: they are in network pixels.

    Raises:
        OptionError: a size that is no multiple of every stride, or not positive.
        SpecError: a grid that cannot be known.
    """
    height, width, _ = cfg.input_shape
    strides = [read_head(section, (height, width), grid)[0].stride for section, grid in head_grids(cfg)]
    multiple = math.lcm(*strides)
    if not all(0 < side <= MAX_SIDE and side % multiple == 0 for side in input_size):
        height, width = input_size
        expected = f"a multiple of {multiple} up to {MAX_SIDE} each way"
        raise OptionError(f"the input size of {cfg.file} must be {expected}, got {height}x{width}")
    net = cfg.net
    sides = zip(("height", "width"), input_size, strict=True)
    options = {**net.options, **{key: Option(str(side), net.line) for key, side in sides}}
    options.pop("inputs", None)
    return replace(cfg, net=replace(net, options=options))


def _resize(cfg: Cfg) -> ResizeMode:
    return "letterbox" if cfg.net.integer("letter_box", 0, low=-MAX_INTEGER) else "stretch"
