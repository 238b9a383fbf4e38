"""How windows slide over a layer: size, strides and padding of [convolutional] and pools, as Darknet reads them."""

from __future__ import annotations

from typing import NamedTuple

from fastyolo.darknet.cfg import Section

MAX_WINDOW = 255


class Window(NamedTuple):
    """A square window in pixels; `padding` is that of both sides together."""

    size: int
    stride_y: int
    stride_x: int
    padding: int

    def positions(self, rows: int, columns: int) -> tuple[int, int]:
        """How many windows fit, down and across."""
        spare = self.padding - self.size
        return (rows + spare) // self.stride_y + 1, (columns + spare) // self.stride_x + 1


def convolution_window(section: Section) -> Window:
    size = section.integer("size", 1, low=1, high=MAX_WINDOW)
    stride = section.integer("stride", 1, low=1, high=MAX_WINDOW)
    # Below 1 they mean stride=.
    stride_y, stride_x = (section.integer(key, -1, low=-1, high=MAX_WINDOW) for key in ("stride_y", "stride_x"))
    # pad=1 means "half the kernel"; padding= gives pixels.
    half = size // 2 if section.integer("pad", 0) else None
    padding = section.integer("padding", 0, high=MAX_WINDOW) if half is None else half
    return Window(size, stride if stride_y < 1 else stride_y, stride if stride_x < 1 else stride_x, 2 * padding)


def pooling_window(section: Section) -> Window:
    """The smaller half of the padding goes left and above."""
    stride = section.integer("stride", 1, low=1, high=MAX_WINDOW)
    stride_y, stride_x = (section.integer(key, stride, low=1, high=MAX_WINDOW) for key in ("stride_y", "stride_x"))
    size = section.integer("size", stride, low=1, high=MAX_WINDOW)
    return Window(size, stride_y, stride_x, section.integer("padding", size - 1, high=MAX_WINDOW))
