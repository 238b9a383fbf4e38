"""A picture twice: with what is in it, and with what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from fastyolo.frames.frame import UInt8Array
from fastyolo.results.render import LabelStyle, Mark, Rgb, draw_marks, label_style

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["right", "wrong", "neither"]

# Blue and orange differ for every kind of eyes; grey is what does not count.
COLORS: dict[Kind, Rgb] = {"right": (86, 180, 233), "wrong": (255, 128, 0), "neither": (170, 170, 170)}
_BACKGROUND, _TEXT = (24, 24, 24), (240, 240, 240)
# Of the longer side of each of the two, in pixels: labels are legible, and a file is not too large to look through.
_SHORTEST, _LONGEST = 640, 1280
_GAP = 8


class Compared(NamedTuple):
    """One box: (x1, y1, x2, y2) in the picture's pixels, what it is called, and how the other side agrees."""

    xyxy: tuple[float, float, float, float]
    label: str
    kind: Kind


class Panel(NamedTuple):
    """One of the two: what stands above it, and what is drawn on it."""

    title: str
    boxes: Sequence[Compared]


def draw_comparison(pixels: UInt8Array, panels: Sequence[Panel]) -> Image:
    """Draw boxes on copies of an RGB picture (height, width, 3), beside each other; of a wide one, below each other.

    What is wrong is orange and lies on top, what is right blue, what counts for neither grey.
    """
    from PIL import Image

    scale = _scale(max(pixels.shape[:2]))
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    drawn = [_panel(picture, panel, scale) for panel in panels]
    return _together(drawn, below=picture.width > 1.6 * picture.height)


def _together(parts: Sequence[Image], *, below: bool) -> Image:
    from PIL import Image

    width, height = parts[0].size
    across, down = (0, height + _GAP) if below else (width + _GAP, 0)
    last = len(parts) - 1
    canvas = Image.new("RGB", (width + last * across, height + last * down), _TEXT)
    for index, part in enumerate(parts):
        canvas.paste(part, (index * across, index * down))
    return canvas


def _scale(longest: int) -> float:
    return min(max(longest, _SHORTEST), _LONGEST) / longest


def _panel(picture: Image, panel: Panel, scale: float) -> Image:
    """The picture with its boxes, below a strip with the title."""
    from PIL import Image

    canvas = picture.copy()
    order: dict[Kind, int] = {"wrong": 0, "right": 1, "neither": 2}
    boxes = sorted(panel.boxes, key=lambda one: order[one.kind])
    xyxy = np.array([one.xyxy for one in boxes], np.float32).reshape(-1, 4) * np.float32(scale)
    draw_marks(canvas, xyxy, [Mark((one.label,), COLORS[one.kind]) for one in boxes])
    style = label_style(picture)
    strip = _strip(panel.title, picture.width, style)
    whole = Image.new("RGB", (picture.width, picture.height + strip.height))
    whole.paste(strip, (0, 0))
    whole.paste(canvas, (0, strip.height))
    return whole


def _strip(title: str, width: int, style: LabelStyle) -> Image:
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, style.height + 2 * style.pad_y), _BACKGROUND)
    at = (style.pad_x, 2 * style.pad_y - style.top)
    ImageDraw.Draw(strip).text(at, style.drawable(title), font=style.font, fill=_TEXT)
    return strip
