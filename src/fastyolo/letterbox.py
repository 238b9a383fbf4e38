"""Image <-> network coordinates, both directions side by side."""

from __future__ import annotations

from typing import Literal, NamedTuple

from fastyolo.errors import OptionError
from fastyolo.texts import brief

ResizeMode = Literal["stretch", "letterbox"]
RESIZE_MODES: tuple[ResizeMode, ...] = ("stretch", "letterbox")

LETTERBOX_GREY = 128
"""Pixel value of the letterbox bars (Darknet's 0.5 grey)."""


class Placement(NamedTuple):
    """Where the resized image lies inside the network input, in whole network pixels."""

    x: int
    y: int
    width: int
    height: int


class Affine(NamedTuple):
    """Per-axis map ``image = network * scale + offset``, in pixels."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def check_resize(resize: str) -> ResizeMode:
    """Return `resize` if it names a geometry, else raise `OptionError`."""
    for mode in RESIZE_MODES:
        if resize == mode:
            return mode
    raise OptionError(f"resize must be 'stretch' or 'letterbox', got {brief(resize)}")


def place(image_size: tuple[int, int], input_size: tuple[int, int], *, resize: ResizeMode) -> Placement:
    """Place an image in the network input; sizes are (height, width).

    Stretching fills the input. Letterboxing keeps the aspect ratio and centres, the odd pixel of a bar going right or
    below. The side that does not fill the input is cut to whole pixels (at least 1), as in Darknet's ``image.c``::

        height = image_height * input_width / image_width       in integers: 427 * 416 / 640 = 277.55 -> 277
    """
    image_height, image_width = image_size
    input_height, input_width = input_size
    if resize == "stretch":
        return Placement(0, 0, input_width, input_height)
    # Integers, so that the side which fills the input does so exactly, on every machine.
    if input_width * image_height <= input_height * image_width:
        width = input_width
        height = max(1, image_height * input_width // image_width)
    else:
        height = input_height
        width = max(1, image_width * input_height // image_height)
    return Placement((input_width - width) // 2, (input_height - height) // 2, width, height)


def placed_size(image_size: tuple[int, int], input_size: tuple[int, int], *, resize: ResizeMode) -> tuple[int, int]:
    """(height, width) that an image is resized to in the network input; sizes are (height, width)."""
    placement = place(image_size, input_size, resize=resize)
    return placement.height, placement.width


def network_to_image(image_size: tuple[int, int], input_size: tuple[int, int], *, resize: ResizeMode) -> Affine:
    """Return the map from network pixels back to image pixels: the inverse of `place`. Sizes are (height, width)."""
    placement = place(image_size, input_size, resize=resize)
    scale_x = image_size[1] / placement.width
    scale_y = image_size[0] / placement.height
    return Affine(scale_x, scale_y, -placement.x * scale_x, -placement.y * scale_y)
