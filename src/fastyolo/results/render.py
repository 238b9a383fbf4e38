"""How detections look: boxes and labels drawn on a picture, and the picture written to a file."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from fastyolo.errors import FastYoloError, OptionError
from fastyolo.files import atomic_write, shown
from fastyolo.frames.colors import Color
from fastyolo.frames.frame import Frame, UInt8Array, view_frame
from fastyolo.frames.picture import load_image, picture_software
from fastyolo.frames.reading import ImageLike
from fastyolo.preprocess import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from fastyolo.detections import Detections

Rgb = tuple[int, int, int]
Boxes = npt.NDArray[np.int64]
"""(N, 4) whole pixels x1, y1, x2, y2; x2 and y2 lie just outside."""

SOFTWARE = "fastyolo"
"""What our pictures carry as EXIF Software or PNG text, by which a later run knows that it may overwrite them."""

_EXIF_SOFTWARE = 0x0131
_JPEG_QUALITY = 92

_DARK = (16, 16, 16)
_LIGHT = (255, 255, 255)
_SHADOW = (0, 0, 0, 96)


def plot(detections: Detections, image: ImageLike | None = None, *, color: Color = "rgb") -> Image:
    """Return an RGB copy of the picture with boxes and labels such as "person 0.87" drawn on it.

    `image` is what was detected on; by default the file at `detections.source` is read again. A class has one colour in
    every picture; lines and letters grow with the picture, and a picture too small to hold a label gets the boxes only.
    Boxes are clipped to the picture.

    Raises:
        FastYoloError: there is no picture to draw on, or it has another size than the one detected on.
        ImageError: the picture cannot be read.
    """
    from PIL import Image

    pixels = _pixels_of(detections, image, color)
    canvas = Image.fromarray(np.ascontiguousarray(pixels))
    marks = [
        Mark((f"{found.name} {found.confidence:.2f}", found.name), class_color(found.class_id)) for found in detections
    ]
    draw_marks(canvas, detections.xyxy, marks)
    return canvas


class Mark(NamedTuple):
    """How one box is drawn: its label, of several the first that fits, and the colour of both."""

    texts: tuple[str, ...]
    color: Rgb


def draw_marks(canvas: Image, xyxy: npt.NDArray[np.float32], marks: Sequence[Mark]) -> None:
    """Draw boxes (N, 4) with their labels on an RGB picture; the first lie on top."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas, "RGBA")  # blends translucent colours into the RGB picture
    boxes, rows = _pixel_boxes(xyxy, canvas.width, canvas.height)
    visible = [marks[row] for row in rows.tolist()]
    line_width = max(1, round(_side(canvas) / 280))
    # Best first in the arrays, so last on the picture: what is most certain lies on top.
    for box, mark in zip(boxes[::-1].tolist(), visible[::-1], strict=True):
        _draw_box(draw, box, mark.color, line_width)
    _draw_labels(draw, boxes, visible, canvas)


def _pixels_of(detections: Detections, image: ImageLike | None, color: Color) -> UInt8Array:
    """The full picture as RGB."""
    if image is None:
        if detections.source is None:
            raise FastYoloError("these detections keep no picture to draw on; pass it: plot(image)")
        # Detecting on it has already decided that it is not too large.
        pixels = load_image(detections.source, max_pixels=sys.maxsize)
    elif isinstance(image, Frame):
        pixels = to_rgb(image)
    elif isinstance(image, np.ndarray | list | tuple):
        pixels = to_rgb(view_frame(image, color))
    else:
        pixels = load_image(image)
    height, width = pixels.shape[:2]
    if detections.orig_shape not in ((height, width), (0, 0)):
        full_height, full_width = detections.orig_shape
        raise FastYoloError(
            f"plot() needs the picture that was detected on, {full_width} x {full_height}, got one of "
            f"{width} x {height}"
        )
    return pixels


def save_plot(image: Image, path: str | os.PathLike[str]) -> None:
    """Write an annotated picture as JPEG or PNG, whichever the suffix says, completely or not at all.

    Raises:
        OptionError: the suffix is not .jpg, .jpeg or .png.
        FastYoloError: the file cannot be written.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in (".jpg", ".jpeg", ".png"):
        raise OptionError(f"an annotated picture must be called .jpg, .jpeg or .png, got {shown(path)}")
    with atomic_write(path) as file:
        try:
            if suffix == ".png":
                from PIL.PngImagePlugin import PngInfo

                text = PngInfo()
                text.add_text("Software", SOFTWARE)
                image.save(file, "PNG", pnginfo=text)
            else:
                from PIL.Image import Exif

                exif = Exif()
                exif[_EXIF_SOFTWARE] = SOFTWARE
                # 4:4:4: with halved colour resolution, thin coloured lines and letters would smear.
                image.convert("RGB").save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0, exif=exif)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            # The encoder's own: a side beyond 65535 pixels, a mode PNG does not have.
            raise FastYoloError(f"cannot write {shown(path)}: {error}") from None


def is_own_picture(path: str | os.PathLike[str]) -> bool:
    """Whether `save_plot` wrote this file."""
    return picture_software(path) == SOFTWARE


@lru_cache(maxsize=1024)
def class_color(class_id: int) -> Rgb:
    """The sRGB colour of a class: fixed by its number alone, far from its neighbours', bright enough for any picture.

    Hues advance by the golden angle, which never comes back close to a recent one; three levels of lightness tell hues
    apart that meet after many steps. Both are steps of the OKLCH colour space, where equal steps look equally large.
    """
    lightness = (0.74, 0.83, 0.65)[class_id % 3]
    hue = math.radians((25 + 137.50776 * class_id) % 360)
    # The most vivid colour of this hue and lightness that a screen can show.
    for chroma in (0.20, 0.18, 0.16, 0.14, 0.12, 0.10, 0.08):
        linear = _oklab_to_linear(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if all(0 <= channel <= 1 for channel in linear):
            break
    red, green, blue = (round(255 * _gamma(min(1.0, max(0.0, channel)))) for channel in linear)
    return red, green, blue


def _oklab_to_linear(lightness: float, a: float, b: float) -> tuple[float, float, float]:
    """OKLab to linear sRGB, with the matrices of Björn Ottosson's definition (2020)."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055


def _ungamma(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def _text_color(background: Rgb) -> Rgb:
    """Dark or light, whichever contrasts more (WCAG 2 relative luminance)."""
    red, green, blue = (_ungamma(channel / 255) for channel in background)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return _DARK if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else _LIGHT


def _side(canvas: Image) -> float:
    """Side of the square with the picture's area: what lines and letters scale with."""
    return math.sqrt(canvas.width * canvas.height)


def _pixel_boxes(xyxy: npt.NDArray[np.float32], width: int, height: int) -> tuple[Boxes, npt.NDArray[np.intp]]:
    """Round boxes to whole pixels inside the picture, at least one pixel each.

    Also gives the row each came from, as boxes that are NaN or wholly outside the picture are left out.
    """
    size = np.array([width, height])
    low = np.minimum(xyxy[:, :2], xyxy[:, 2:]).astype(np.float64)
    high = np.maximum(xyxy[:, :2], xyxy[:, 2:]).astype(np.float64)
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(((low < size) & (high >= 0)).all(axis=1))
    first = np.clip(np.rint(np.clip(low[rows], -1, size)), 0, size - 1).astype(np.int64)
    last = np.clip(np.rint(np.clip(high[rows], 0, size)).astype(np.int64), first + 1, size)
    return np.concatenate([first, last], axis=1), rows


def _draw_box(draw: ImageDraw, box: list[int], color: Rgb, line_width: int) -> None:
    x1, y1, x2, y2 = box
    # Small objects get thinner lines, which would otherwise hide them.
    width = max(1, min(line_width, min(x2 - x1, y2 - y1) // 12))
    edge = max(1, width // 3)
    # A thin shadow on both sides keeps the line apart from a background of its own colour.
    _frame(draw, x1 - edge, y1 - edge, x2 + edge, y2 + edge, edge, _SHADOW)
    if min(x2 - x1, y2 - y1) > 2 * (width + edge) + 4:
        _frame(draw, x1 + width, y1 + width, x2 - width, y2 - width, edge, _SHADOW)
    _frame(draw, x1, y1, x2, y2, width, color)


def _frame(draw: ImageDraw, x1: int, y1: int, x2: int, y2: int, width: int, color: tuple[int, ...]) -> None:
    # Pillow's rectangles include their last pixel.
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=color, width=width)


class LabelStyle(NamedTuple):
    """The font of labels, and the space around it."""

    font: FreeTypeFont | ImageFont
    top: int  # what the font leaves free above its tallest letters
    pad_x: int
    pad_y: int
    height: int

    def drawable(self, text: str) -> str:
        """The text with "?" for what would break the line or, in the bitmap font, cannot be drawn."""
        from PIL.ImageFont import ImageFont

        text = "".join(char if char.isprintable() else "?" for char in text)
        return text.encode("latin-1", "replace").decode("latin-1") if isinstance(self.font, ImageFont) else text

    def width(self, text: str) -> int:
        return math.ceil(self.font.getlength(text)) + 2 * self.pad_x


def label_style(canvas: Image) -> LabelStyle:
    """What labels look like on a picture of this size."""
    from PIL import ImageFont

    font_size = max(11, round(_side(canvas) / 42))
    try:
        font = ImageFont.load_default(size=font_size)
    except ImportError:
        font = ImageFont.load_default()  # a Pillow built without FreeType has one small bitmap font
    _, top, _, bottom = font.getbbox("Ag0")
    pad_x, pad_y = max(3, round(font_size * 0.34)), max(2, round(font_size * 0.18))
    return LabelStyle(font, round(top), pad_x, pad_y, round(bottom - top) + 2 * pad_y)


def _draw_labels(draw: ImageDraw, boxes: Boxes, marks: Sequence[Mark], canvas: Image) -> None:
    style = label_style(canvas)
    if style.height * 6 > canvas.height:
        return  # a thumbnail: letters large enough to read would hide what they name
    edge = max(1, style.height // 16)
    placed = np.empty((0, 4), np.int64)
    labels = []
    # The best detection chooses its place first ...
    for box, mark in zip(boxes, marks, strict=True):
        for text in map(style.drawable, mark.texts):
            width = style.width(text)
            if width <= canvas.width:
                label = _place_label(width, style.height, box, placed, boxes, canvas)
                placed = np.concatenate([placed, label[np.newaxis]])
                labels.append((text, label.tolist(), box.tolist(), mark.color))
                break
    # ... and is drawn last, on top of those that found no free place.
    for text, (x1, y1, x2, y2), (_, box_top, _, box_bottom), color in reversed(labels):
        # A shadow keeps neighbouring labels of one colour apart; it spares the line of the label's own box.
        top = y1 if y1 == box_bottom else y1 - edge
        bottom = y2 if y2 == box_top else y2 + edge
        _frame(draw, x1 - edge, top, x2 + edge, bottom, edge, _SHADOW)
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
        draw.text((x1 + style.pad_x, y1 + style.pad_y - style.top), text, font=style.font, fill=_text_color(color))


def _place_label(
    width: int, height: int, box: npt.NDArray[np.int64], placed: Boxes, boxes: Boxes, canvas: Image
) -> npt.NDArray[np.int64]:
    """Return (x1, y1, x2, y2) for a label: the candidate inside the picture that hides least."""
    x1, y1, x2, y2 = box.tolist()
    tops = (y1 - height, y1, y2, y2 - height)  # above the box, inside at its top, below, inside at its bottom
    lefts = (x1, x2 - width)
    corners = np.array([(left, top) for left in lefts for top in tops])
    limit = np.array([canvas.width - width, canvas.height - height])
    inside = np.clip(corners, 0, limit)
    candidates = np.concatenate([inside, np.add(inside, (width, height))], axis=1)
    # Above is where people look; the others cost a little more each, a place moved off its box much more.
    cost = np.array([0.0, 0.1, 0.15, 0.2, 0.05, 0.15, 0.2, 0.25])
    cost += np.abs(corners - inside).sum(axis=1) / height
    # Labels must not hide each other, and should not hide objects: a large box loses little under a label, a small all.
    cost += 4 * _overlap(candidates, placed).sum(axis=1) / (width * height)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    cost += (_overlap(candidates, boxes) / areas).sum(axis=1)
    best: npt.NDArray[np.int64] = candidates[np.argmin(cost)]
    return best


def _overlap(boxes: Boxes, others: Boxes) -> npt.NDArray[np.int64]:
    """Common area in pixels of each of N boxes with each of M others: (N, M)."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    area: npt.NDArray[np.int64] = np.clip(high - low, 0, None).prod(axis=2)
    return area
