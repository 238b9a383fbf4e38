"""Whatever a user hands over -> a `Frame`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from fastyolo.frames.colors import Color, check_color
from fastyolo.frames.frame import Frame, Pixels, view_frame
from fastyolo.frames.picture import MAX_PIXELS, PictureLike, read_picture
from fastyolo.frames.reduced import Needed

ImageLike: TypeAlias = "PictureLike | Pixels | Frame"
"""What `Detector` takes: a path, the bytes of an image file, a Pillow image, a uint8 array, planes, or a `Frame`."""


def as_frame(image: ImageLike, *, color: Color, needed: Needed, max_pixels: int = MAX_PIXELS) -> Frame:
    """Return the frame that `image` is or shows; pixels of arrays and Pillow images are looked at, not copied.

    Args:
        image: see `ImageLike`; arrays and planes are of the format `color`.
        needed: how large the network needs a picture; see `read_picture`.
        max_pixels: refuse picture files with more pixels than this.

    Raises:
        ImageError: it cannot be used, in one line.
        OptionError: there is no such format.
    """
    check_color(color)  # whatever `image` is: a wrong word must not pass in silence
    if isinstance(image, Frame):
        return image
    if isinstance(image, np.ndarray | list | tuple):
        return view_frame(image, color)
    return read_picture(image, needed=needed, max_pixels=max_pixels)
