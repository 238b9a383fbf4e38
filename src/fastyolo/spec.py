"""What network is this: input size, heads (stride, anchors, scale_x_y) and class names."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastyolo.errors import OptionError, SpecError
from fastyolo.input_range import InputRange, check_input_range
from fastyolo.letterbox import RESIZE_MODES, ResizeMode
from fastyolo.names import COCO_NAMES, coco_names
from fastyolo.texts import brief

MAX_SIDE = 16384
"""Largest height or width of a network's input, in pixels."""

PICTURE_CHANNELS = (3, 1)
"""Channels of an input that pictures can be made into: RGB, or grey."""

MAX_CHANNELS = 1024
"""Most channels of a network's input that a description may name."""

YOLOV4_TINY_ANCHORS: tuple[tuple[float, float], ...] = (
    (10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319),
)  # fmt: skip
"""(width, height) in network pixels, from the official yolov4-tiny.cfg."""


NmsKind = Literal["iou", "diou"]
NMS_KINDS: tuple[NmsKind, ...] = ("iou", "diou")
"""How overlapping boxes suppress each other; see `fastyolo.Decoder`."""

HeadType = Literal["darknet", "new_coords"]
HEAD_TYPES: tuple[HeadType, ...] = ("darknet", "new_coords")
"""What the terms of a head are, in the kernel's order: its `HeadType` has one case for each."""


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """One detection head.

    Attributes:
        stride: network pixels per grid cell.
        anchors: (width, height) in network pixels, one pair per box of a cell.
        scale_x_y: how far a centre may leave its cell (1.05 in YOLOv4-tiny).
        new_coords: the network ends in logistic layers (Darknet's ``new_coords=1``), so nothing is passed through
            a sigmoid or exp again.
    """

    stride: int
    anchors: tuple[tuple[float, float], ...]
    scale_x_y: float = 1.0
    new_coords: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.stride, int) or not 1 <= self.stride <= MAX_SIDE:
            raise SpecError(f"stride must be a whole number between 1 and {MAX_SIDE}, got {brief(self.stride)}")
        try:
            anchors = tuple((float(width), float(height)) for width, height in self.anchors)
        except (TypeError, ValueError, OverflowError):
            raise SpecError(f"anchors must be (width, height) pairs, got {brief(self.anchors)}") from None
        if not anchors or not all(0 < side < 1e6 for pair in anchors for side in pair):
            raise SpecError(f"anchors must be one or more pairs of positive pixel sizes, got {brief(self.anchors)}")
        try:
            scale_x_y = float(self.scale_x_y)
        except (TypeError, ValueError, OverflowError):
            scale_x_y = math.nan
        if not 0 < scale_x_y < 1e6:
            raise SpecError(f"scale_x_y must be a positive number, got {brief(self.scale_x_y)}")
        object.__setattr__(self, "anchors", anchors)
        object.__setattr__(self, "scale_x_y", scale_x_y)

    @property
    def type(self) -> HeadType:
        """Which of the `HEAD_TYPES` it is."""
        return "new_coords" if self.new_coords else "darknet"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything decoding must know about a network. Immutable and hashable.

    Attributes:
        input_size: (height, width) of the network input in pixels.
        heads: in the order of the .cfg (stride 32 first for YOLOv4-tiny); this order breaks ties between equal scores.
        names: one class name per class; "coco" stands for the 80 COCO classes in COCO's own spelling.
        resize: the geometry the network was calibrated for, "stretch" or "letterbox".
        nms: what its .cfg asks for: "iou", or "diou" for Darknet's ``nms_kind=greedynms``.
        input_range: the real numbers (low, high) that the network wants for pixel 0 and 255; None: (0, 1) for a float
            input, what its quantisation represents for an integer one.
        channels: of the network's input: 3 for RGB, 1 for grey. Decoding is the same whatever they are.
    """

    input_size: tuple[int, int]
    heads: tuple[HeadSpec, ...]
    names: tuple[str, ...]
    resize: ResizeMode = "stretch"
    nms: NmsKind = "iou"
    input_range: InputRange | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        try:
            height, width = (int(side) for side in self.input_size)
        except (TypeError, ValueError, OverflowError):
            raise SpecError(f"input_size must be (height, width), got {brief(self.input_size)}") from None
        if isinstance(self.names, str) and self.names == "coco":
            object.__setattr__(self, "names", coco_names())
        names, heads = _as_tuple(self.names), _as_tuple(self.heads)
        if names is None or not all(isinstance(name, str) for name in names):
            raise SpecError("names must be a sequence of strings, one per class")
        if heads is None or not all(isinstance(head, HeadSpec) for head in heads):
            raise SpecError(f"heads must be a sequence of HeadSpec, got {brief(self.heads)}")
        object.__setattr__(self, "input_size", (height, width))
        object.__setattr__(self, "heads", heads)
        object.__setattr__(self, "names", names)
        if not self.names:
            raise SpecError("names must hold at least one class name, got none")
        if not self.heads:
            raise SpecError("a network needs at least one detection head, got none")
        if not isinstance(self.resize, str) or self.resize not in RESIZE_MODES:
            raise SpecError(f"resize must be 'stretch' or 'letterbox', got {brief(self.resize)}")
        if not isinstance(self.nms, str) or self.nms not in NMS_KINDS:
            raise SpecError(f"nms must be 'iou' or 'diou', got {brief(self.nms)}")
        if self.input_range is not None:
            try:
                object.__setattr__(self, "input_range", check_input_range(self.input_range))
            except OptionError as error:
                raise SpecError(str(error)) from None
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise SpecError(
                f"input_size must be between 1 and {MAX_SIDE} pixels each way, got {brief(height)}x{brief(width)}"
            )
        if type(self.channels) is not int or not 1 <= self.channels <= MAX_CHANNELS:
            expected = f"a whole number between 1 and {MAX_CHANNELS}, 3 for RGB or 1 for grey"
            raise SpecError(f"channels must be {expected}, got {brief(self.channels)}")
        for head in self.heads:
            if height % head.stride or width % head.stride:
                raise SpecError(
                    f"input_size must be a multiple of every stride, got {height}x{width} with stride {head.stride}"
                )

    @property
    def num_classes(self) -> int:
        return len(self.names)

    @property
    def head_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, columns, anchors * (5 + classes)) of each head, in spec order."""
        height, width = self.input_size
        return tuple(
            (height // head.stride, width // head.stride, len(head.anchors) * (5 + self.num_classes))
            for head in self.heads
        )

    @classmethod
    def yolov4_tiny(
        cls,
        *,
        names: Sequence[str] | Literal["coco"] = COCO_NAMES,
        anchors: Sequence[tuple[float, float]] = YOLOV4_TINY_ANCHORS,
        input_size: tuple[int, int] = (416, 416),
        resize: ResizeMode = "stretch",
        nms: NmsKind = "iou",
    ) -> ModelSpec:
        """The YOLOv4-tiny of the official .cfg, with your own classes, anchors and (height, width) if you give them.

        Stride 32 takes anchors 3, 4, 5 and stride 16 takes 1, 2, 3: the official file's masks, which use anchor 3
        twice and anchor 0 never. Its NMS is "diou"; here "iou" unless you say so, which costs nothing measured.
        """
        if len(anchors) != 6:
            raise SpecError(f"YOLOv4-tiny has 6 anchors, got {len(anchors)}")
        heads = (HeadSpec(32, tuple(anchors[3:6]), 1.05), HeadSpec(16, tuple(anchors[1:4]), 1.05))
        return cls(input_size, heads, names, resize, nms)  # type: ignore[arg-type]  # made a tuple on the way in

    @classmethod
    def from_cfg(
        cls, path: str | os.PathLike[str], *, names: Sequence[str] | Literal["coco"] | None = None
    ) -> ModelSpec:
        """Read a Darknet .cfg: input size, heads, ``letter_box`` and ``nms_kind``; docs/darknet.md lists every option.

        Without `names` the classes are called "class 0", "class 1", ...: a .cfg names none. Options of [net] and [yolo]
        that Darknet does not know are a warning.

        Raises:
            SpecError: no network of this family, or an option that would change what is found; with its line.
        """
        from fastyolo.darknet import read_cfg, spec_from_cfg

        return spec_from_cfg(read_cfg(path), coco_names() if names == "coco" else names)

    @classmethod
    def from_model(cls, path: str | os.PathLike[str]) -> ModelSpec:
        """Read the metadata that ``fastyolo export`` embeds in a .tflite file."""
        from fastyolo.metadata import read_metadata

        return cls.from_dict(read_metadata(path))

    @classmethod
    def from_dict(cls, metadata: Mapping[str, Any]) -> ModelSpec:
        """The inverse of `to_dict`; keys it does not know are ignored."""
        try:
            height, width = metadata["input_size"]
            heads = tuple(
                HeadSpec(
                    int(head["stride"]),
                    tuple((float(w), float(h)) for w, h in head["anchors"]),
                    float(head.get("scale_x_y", 1.0)),
                    bool(head.get("new_coords", False)),
                )
                for head in metadata["heads"]
            )
            return cls(
                (int(height), int(width)),
                heads,
                metadata["names"],
                metadata.get("resize", "stretch"),
                metadata.get("nms", "iou"),
                metadata.get("input_range"),
                metadata.get("channels", 3),
            )
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
            if isinstance(error, SpecError):
                raise
            raise SpecError(f"metadata does not describe a network: {type(error).__name__}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description, as embedded in exported models."""
        return {
            "input_size": list(self.input_size),
            "resize": self.resize,
            "nms": self.nms,
            "input_range": None if self.input_range is None else list(self.input_range),
            # RGB goes without saying, as in all files from before there were others.
            **({} if self.channels == 3 else {"channels": self.channels}),
            "names": list(self.names),
            "heads": [
                {
                    "stride": head.stride,
                    "anchors": [list(pair) for pair in head.anchors],
                    "scale_x_y": head.scale_x_y,
                    "new_coords": head.new_coords,
                }
                for head in self.heads
            ],
        }


def _as_tuple(values: object) -> tuple[Any, ...] | None:
    """A copy, which no code of the values can change any more; None for what is no sequence, or a single text."""
    if isinstance(values, str | bytes | Mapping):
        return None
    try:
        return tuple(values)  # type: ignore[arg-type]
    except TypeError:
        return None
