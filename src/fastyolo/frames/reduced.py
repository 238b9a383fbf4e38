"""How small a JPEG may be decoded, and where its pixels then lie in the full picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from fastyolo.frames.frame import Extent
from fastyolo.frames.upright import turned_margin, turned_size

if TYPE_CHECKING:
    import PIL.Image

Needed: TypeAlias = Callable[[tuple[int, int]], tuple[int, int]]
"""(height, width) of the upright picture in full -> (height, width) that it is going to be resized to."""

SPARE = 1.5
"""A picture is decoded at a reduced size only if that is so many times what is needed: the means that libjpeg computes
are softer than what our resize picks, which costs AP where little is left to pick from. Measured in bench/filters."""

REDUCIBLE = ("JPEG", "MPO")
"""Formats that Pillow decodes at 1/2, 1/4 or 1/8 on request. MPO is JPEG with more pictures behind, as of phones."""


def reduce(image: PIL.Image.Image, orientation: int, needed: Needed) -> Extent:
    """Have a `REDUCIBLE` image that is not loaded yet decoded at 1/2, 1/4 or 1/8 if it is much larger than needed.

    The smallest of them that is at least `SPARE` times what is needed, each way. The mode stays what it is.
    """
    width, height = image.size
    full_width, full_height = turned_size(width, height, orientation)
    least_height, least_width = (math.ceil(side * SPARE) for side in needed((full_height, full_width)))
    drafted = image.draft(None, turned_size(least_width, least_height, orientation))
    scale = 1 if drafted is None else round(width / drafted[1][2])
    covered_width, covered_height = (side * scale for side in turned_size(*image.size, orientation))
    left, above = turned_margin(image.width * scale - width, image.height * scale - height, orientation)
    return Extent((full_height, full_width), (covered_height, covered_width), scale, left, above)
