"""What Darknet's ``detector test -out result.json`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastyolo.results.json import ArrayWriter
from fastyolo.results.numbers import rounded
from fastyolo.results.writer import Output, Result

if TYPE_CHECKING:
    from fastyolo.detections import Detections

_DECIMALS = 6


class DarknetWriter(ArrayWriter):
    """One JSON array, an element for each picture: frame_id from 1, filename, objects with sides relative to it.

    A picture that failed has no element, as in Darknet.
    """

    pictures_only = True

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._pictures = 0

    def write(self, result: Result) -> None:
        self._pictures += 1
        if result.detections is None:
            return
        entry = {"frame_id": self._pictures, "filename": result.source, "objects": _objects(result.detections)}
        self.append(entry)


def _objects(found: Detections) -> list[dict[str, Any]]:
    height, width = found.orig_shape
    objects = []
    for detection in found:
        x1, y1, x2, y2 = detection.xyxy
        sides = {
            "center_x": (x1 + x2) / 2 / width,
            "center_y": (y1 + y2) / 2 / height,
            "width": (x2 - x1) / width,
            "height": (y2 - y1) / height,
        }
        objects.append(
            {
                "class_id": detection.class_id,
                "name": detection.name,
                "relative_coordinates": {name: rounded(value, _DECIMALS) for name, value in sides.items()},
                "confidence": rounded(detection.confidence, _DECIMALS),
            }
        )
    return objects
