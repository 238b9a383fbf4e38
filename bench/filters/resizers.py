"""Ways to bring a picture to the network's size: file -> uint8 (height, width, 3) RGB."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fastyolo.preprocess import Preprocessor

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""(height, width)."""

BASELINE = "ours"


def ours(pixels: Pixels, size: Size) -> Pixels:
    """The package's own kernel: bilinear, no antialias."""
    return np.asarray(Preprocessor(size, dtype=np.uint8)(pixels)[0])


def opencv(method: int, pixels: Pixels, size: Size) -> Pixels:
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=method), np.uint8)


def pillow(method: Image.Resampling, pixels: Pixels, size: Size) -> Pixels:
    """Pillow's filters grow with the scale, so all of them are antialiasing ones."""
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], method))


def boxes(factors: Callable[[float], int], pixels: Pixels, size: Size, *, axes: str = "yx") -> Pixels:
    """Average blocks of whole pixels, `factors(scale)` of them along each axis, and give the rest to our kernel."""
    scale_y, scale_x = (pixels.shape[axis] / size[axis] for axis in (0, 1))
    block = (factors(scale_x) if "x" in axes else 1, factors(scale_y) if "y" in axes else 1)
    return ours(np.asarray(Image.fromarray(pixels).reduce(block)), size)


def supersampled(times: int, pixels: Pixels, size: Size) -> Pixels:
    """Our kernel at `times` the size, then the mean of every block: times x times samples of every target pixel."""
    large = ours(pixels, (size[0] * times, size[1] * times))
    return np.asarray(Image.fromarray(large).reduce(times))


def at_most(factor: int, scale: float) -> int:
    """`factor`, or as much of it as leaves the picture no smaller than the target."""
    return max(1, min(factor, int(scale)))


def leaving(rest: float, scale: float) -> int:
    """The largest whole factor that leaves the picture at least `rest` times the target."""
    return max(1, int(scale / rest))


def of_pixels(resize: Callable[[Pixels, Size], Pixels]) -> Callable[[Path, Size], Pixels]:
    """The same from a file, decoded in full."""
    return lambda path, size: resize(_decoded(path), size)


def drafted(rest: float, path: Path, size: Size) -> Pixels:
    """libjpeg's decoding at 1/2, 1/4 or 1/8 while that gives `rest` times the target both ways, then our kernel."""
    with Image.open(path) as image:
        wanted = [max(1, int(side * rest)) for side in size[::-1]]
        if image.format == "JPEG" and image.mode == "RGB":
            image.draft("RGB", (wanted[0], wanted[1]))
        return ours(np.asarray(image.convert("RGB")), size)


def _decoded(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


RESIZERS: dict[str, Callable[[Path, Size], Pixels]] = {
    BASELINE: of_pixels(ours),
    "cv2 INTER_LINEAR": of_pixels(partial(opencv, cv2.INTER_LINEAR)),
    "cv2 INTER_AREA": of_pixels(partial(opencv, cv2.INTER_AREA)),
    "Pillow BOX": of_pixels(partial(pillow, Image.Resampling.BOX)),
    "Pillow BILINEAR": of_pixels(partial(pillow, Image.Resampling.BILINEAR)),
    "Pillow HAMMING": of_pixels(partial(pillow, Image.Resampling.HAMMING)),
    "Pillow BICUBIC": of_pixels(partial(pillow, Image.Resampling.BICUBIC)),
    "Pillow LANCZOS": of_pixels(partial(pillow, Image.Resampling.LANCZOS)),
    "2x2 means, then ours": of_pixels(partial(boxes, partial(at_most, 2))),
    "whole means to 1x, then ours": of_pixels(partial(boxes, partial(leaving, 1))),
    "whole means to 1.5x, then ours": of_pixels(partial(boxes, partial(leaving, 1.5))),
    "whole means to 2x, then ours": of_pixels(partial(boxes, partial(leaving, 2))),
    "means along x only, then ours": of_pixels(partial(boxes, partial(leaving, 1), axes="x")),
    "ours at 2x, 2x2 means": of_pixels(partial(supersampled, 2)),
    "ours at 3x, 3x3 means": of_pixels(partial(supersampled, 3)),
    "JPEG draft to 1x, then ours": partial(drafted, 1),
    "JPEG draft to 1.5x, then ours": partial(drafted, 1.5),
    "JPEG draft to 2x, then ours": partial(drafted, 2),
}
