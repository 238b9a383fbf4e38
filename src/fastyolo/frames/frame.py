"""The `Frame`: what any picture, array, camera buffer or video frame becomes before preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ImageError
from fastyolo.frames.colors import LAYOUTS, Color, Layout, Plane, YuvMatrix, YuvRange, check_color, has_even_width

UInt8Array = npt.NDArray[np.uint8]
Float32Array = npt.NDArray[np.float32]
Pixels: TypeAlias = "UInt8Array | tuple[UInt8Array, ...] | list[UInt8Array]"
"""An array with all planes of a frame, or a list or tuple of its planes, each of any strides."""

MAX_SIDE = 2**24
"""Largest height or width of a frame: so far whole pixels are exact in float32, and offsets in a row fit in 32 bits."""

_MIRRORED: dict[Color, Color] = {"rgb": "bgr", "bgr": "rgb"}


class Extent(NamedTuple):
    """Where decoded pixels lie in the full picture.

    Attributes:
        size: (height, width) of the upright picture in full.
        covered: (height, width) of what the pixels stand for, in pixels of the full picture. A little more than `size`
            where a side is no multiple of `scale`.
        scale: how many pixels of the full picture one stands for, each way.
        left, above: how far the pixels begin before the picture: what is too much lies there if it was turned.
    """

    size: tuple[int, int]
    covered: tuple[int, int]
    scale: int = 1
    left: int = 0
    above: int = 0

    @classmethod
    def full(cls, size: tuple[int, int]) -> Extent:
        """All of it, at its own size."""
        return cls(size, size)

    def in_full(self, xyxy: Float32Array, *, clip: bool) -> Float32Array:
        """Boxes (N, 4) in pixels of what is `covered` -> in pixels of the picture, clipped to it on request."""
        if self.covered == self.size:
            return xyxy
        boxes = xyxy - np.array([self.left, self.above] * 2, np.float32)
        return boxes.clip(0, np.array(self.size[::-1] * 2, np.float32)) if clip else boxes


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Pixels in memory, upright, ready for preprocessing. `view_frame` makes one of an array and checks it.

    Attributes:
        planes: uint8 (rows, columns, bytes) each, as `color` has them; views of whatever memory, of any strides.
        color: the pixel format.
        size: (height, width) of the pixels.
        extent: where they lie in the full picture.
        yuv_matrix, yuv_range: what Y'CbCr means, where the frame's source says so.
        index: its number in its source, from 0.
        timestamp: when it is to be shown, in seconds from its source's beginning or of its source's clock.
    """

    planes: tuple[UInt8Array, ...]
    color: Color
    size: tuple[int, int]
    extent: Extent
    yuv_matrix: YuvMatrix | None = None
    yuv_range: YuvRange | None = None
    index: int | None = None
    timestamp: float | None = None

    @property
    def layout(self) -> Layout:
        """The row of its format in the table."""
        return LAYOUTS[self.color]


def view_frame(pixels: Pixels, color: Color = "rgb", extent: Extent | None = None) -> Frame:
    """Check that `pixels` are of the format `color`, and look at them as a `Frame`. Nothing is copied.

    Raises:
        OptionError: there is no such format.
        ImageError: they are not of it; one line with the cure.
    """
    layout = LAYOUTS[check_color(color)]
    if not isinstance(pixels, np.ndarray):
        planes = _given_planes(pixels, color, layout)
    elif len(layout.planes) > 1:
        planes = _split(pixels, color, layout)
    else:
        planes = (_only_plane(pixels, color),)
    height, width = planes[0].shape[:2]
    if max(height, width) > MAX_SIDE:
        raise ImageError(f"an image must be at most {MAX_SIDE} pixels high and wide, got {height} x {width}")
    if color in _MIRRORED and planes[0].strides[2] == -1:  # image[..., ::-1]: packed pixels of the other order
        planes, color = (planes[0][..., ::-1],), _MIRRORED[color]
    return Frame(planes, color, (height, width), extent or Extent.full((height, width)))


def check_rgb(array: npt.NDArray[np.generic]) -> UInt8Array:
    """Return the array if it is uint8 (height, width, 3), else say how to make it so."""
    shape = array.shape
    if array.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0:
        return array  # type: ignore[return-value]
    if len(shape) == 4:
        cure = "pass one image at a time, such as images[0]"
    elif len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        cure = "say color='grey' if it is one, or repeat the channel with np.stack([grey] * 3, axis=-1)"
    elif len(shape) == 3 and shape[2] == 4:
        cure = "drop the alpha channel with image[..., :3], or say color='rgba' or 'bgra'"
    elif len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] != 3:
        cure = "move the channels last with image.transpose(1, 2, 0)"
    elif len(shape) != 3 or shape[2] != 3 or min(shape) == 0:
        cure = "it holds no RGB picture"
    elif array.dtype.kind == "f":
        cure = "for values from 0 to 1 pass (image * 255).round().astype(np.uint8), else image.astype(np.uint8)"
    elif array.dtype == np.uint16:
        cure = "scale it with (image // 257).astype(np.uint8)"
    else:
        cure = "convert it with image.astype(np.uint8)"
    raise ImageError(f"an image array must be uint8 (height, width, 3), got {array.dtype} {shape}; {cure}")


def _only_plane(array: UInt8Array, color: Color) -> UInt8Array:
    if color in _MIRRORED:
        return check_rgb(array)
    bytes_ = LAYOUTS[color].planes[0].bytes
    plane = array[..., np.newaxis] if array.ndim == 2 and bytes_ == 1 else array
    if array.dtype != np.uint8 or plane.ndim != 3 or plane.shape[2] != bytes_ or 0 in array.shape:
        raise _unfit(color, f"{array.dtype} {array.shape}")
    if has_even_width(color) and array.shape[1] % 2:
        raise _unfit(color, str(array.shape))
    return plane


def _split(array: UInt8Array, color: Color, layout: Layout) -> tuple[UInt8Array, ...]:
    """The planes of one array that has them below each other."""
    shape = array.shape
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and shape[2] != 1):
        raise _unfit(color, f"{array.dtype} {shape}")
    rows, width = shape[:2]
    of_all, of_picture = layout.rows_of_all
    height, left = divmod(rows * of_picture, of_all)
    if left or height % layout.group[0] or width % layout.group[1]:
        raise _unfit(color, str(shape))
    luma, chroma = array[:height].reshape(height, width, 1), array[height:]
    if len(layout.planes) == 2:
        return luma, chroma.reshape(-1, width // 2, 2)
    if not array.flags.c_contiguous:
        # Two rows of chroma lie side by side in one of the array.
        raise ImageError(f"with color={color!r} one array must be C-contiguous; pass the planes: (y, u, v)")
    first, second = chroma.reshape(2, -1, width // 2, 1)
    return luma, first, second


def _given_planes(planes: Sequence[UInt8Array], color: Color, layout: Layout) -> tuple[UInt8Array, ...]:
    if not isinstance(planes, list | tuple) or len(planes) != len(layout.planes):
        number = len(planes) if isinstance(planes, list | tuple) else type(planes).__name__
        raise ImageError(f"with color={color!r} an image must have {len(layout.planes)} planes, got {number}")
    for index, plane in enumerate(planes):
        if not isinstance(plane, np.ndarray) or plane.dtype != np.uint8 or plane.ndim not in (2, 3):
            got = f"{plane.dtype} {plane.shape}" if isinstance(plane, np.ndarray) else type(plane).__name__
            raise ImageError(f"plane {index} of an image must be a uint8 array, got {got}")
    height, width = planes[0].shape[:2]
    if len(planes) == 1:
        return (_only_plane(planes[0], color),)
    viewed = []
    for index, (plane, expected) in enumerate(zip(planes, layout.planes, strict=True)):
        shape = _plane_shape(expected, height, width)
        # Chroma in turn is often given as rows of bytes.
        if plane.ndim == 2 and plane.shape[1] == shape[1] * shape[2]:
            plane = plane.reshape(plane.shape[0], shape[1], shape[2])
        if plane.shape != shape or 0 in shape:
            raise ImageError(
                f"with color={color!r} plane {index} of a {width} x {height} image must have shape {shape}, "
                f"got {plane.shape}"
            )
        viewed.append(plane)
    return tuple(viewed)


def _plane_shape(plane: Plane, height: int, width: int) -> tuple[int, int, int]:
    return -(-height // plane.down), -(-width // plane.across), plane.bytes


def _unfit(color: Color, got: str) -> ImageError:
    layout = LAYOUTS[color]
    if len(layout.planes) > 1:
        of_all, of_picture = layout.rows_of_all
        rows = f"height * {of_all}" + (f" / {of_picture}" if of_picture > 1 else "")
        sides = "height and width even" if layout.group[0] > 1 else "width even"
        expected = f"({rows}, width) array, {sides}, or its planes as a tuple"
    elif layout.planes[0].bytes == 1:
        expected = "(height, width) array"
    else:
        even = ", width even" if has_even_width(color) else ""
        expected = f"(height, width, {layout.planes[0].bytes}) array{even}"
    return ImageError(f"with color={color!r} an image must be a uint8 {expected}, got {got}")
