"""What was found: a frozen struct of arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from fastyolo.errors import OptionError

if TYPE_CHECKING:
    from PIL.Image import Image

    from fastyolo.frames.colors import Color
    from fastyolo.frames.reading import ImageLike

Float32Array = npt.NDArray[np.float32]
Int32Array = npt.NDArray[np.int32]
Selection = slice | Sequence[int] | Sequence[bool] | npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]


class Detection(NamedTuple):
    """One object: `xyxy` is (x1, y1, x2, y2) in image pixels."""

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    name: str


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one image, best first.

    Attributes:
        xyxy: float32 (N, 4), corners (x1, y1, x2, y2) in image pixels.
        confidence: float32 (N,), between 0 and 1.
        class_id: int32 (N,), an index into `names`.
        names: every class name the network knows.
        orig_shape: (height, width) of the upright image.
        speed: milliseconds by stage: "read" (file to pixels), "preprocess", "inference", "postprocess".
        source: the path that was given to `Detector`, for `plot()`; None for anything else, which is not kept.
        index: the frame's number in its video or stream, from 0; None for a picture.
        timestamp: when the frame is to be shown, in seconds from the first one; None for a picture.
        age: seconds from when a camera took the frame, or it came in, to when its boxes were known; None elsewhere.
    """

    xyxy: Float32Array
    confidence: Float32Array
    class_id: Int32Array
    names: tuple[str, ...] = ()
    orig_shape: tuple[int, int] = (0, 0)
    speed: Mapping[str, float] = field(default_factory=dict)
    source: str | None = field(default=None, repr=False)
    index: int | None = field(default=None, repr=False)
    timestamp: float | None = field(default=None, repr=False)
    age: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        count = len(self.confidence)
        if self.xyxy.shape != (count, 4) or self.confidence.shape != (count,) or self.class_id.shape != (count,):
            raise OptionError(
                f"detections need xyxy (N, 4), confidence (N,) and class_id (N,), got {self.xyxy.shape}, "
                f"{self.confidence.shape} and {self.class_id.shape}"
            )

    @classmethod
    def empty(cls, names: Sequence[str] = (), orig_shape: tuple[int, int] = (0, 0)) -> Detections:
        """No detections: arrays of the right dtype and length 0."""
        return cls(
            np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int32), tuple(names), orig_shape
        )

    def __len__(self) -> int:
        return len(self.confidence)

    def __iter__(self) -> Iterator[Detection]:
        for xyxy, confidence, class_id in zip(
            self.xyxy.tolist(), self.confidence.tolist(), self.class_id.tolist(), strict=True
        ):
            yield Detection(tuple(xyxy), confidence, class_id, self.name_of(class_id))

    @overload
    def __getitem__(self, index: SupportsIndex) -> Detections: ...
    @overload
    def __getitem__(self, index: Selection) -> Detections: ...
    def __getitem__(self, index: SupportsIndex | Selection) -> Detections:
        """Select by int, slice, index list or boolean mask; always gives `Detections`, so `len(r[0]) == 1`."""
        rows: Selection
        if isinstance(index, slice | Sequence | np.ndarray) and not (isinstance(index, np.ndarray) and index.ndim == 0):
            # An empty list would become a float array, which cannot index.
            rows = index if isinstance(index, slice) or len(index) else slice(0)
        else:
            row = operator.index(index)
            if not -len(self) <= row < len(self):
                raise IndexError(f"detection {row} of {len(self)}")
            rows = [row]
        return Detections(
            self.xyxy[rows],
            self.confidence[rows],
            self.class_id[rows],
            self.names,
            self.orig_shape,
            self.speed,
            self.source,
            self.index,
            self.timestamp,
            self.age,
        )

    def name_of(self, class_id: int) -> str:
        """The class name, or "class 7" where `names` has none for it."""
        return self.names[class_id] if 0 <= class_id < len(self.names) else f"class {class_id}"

    def __str__(self) -> str:
        """What `summary` says, and the boxes, best first, in a few lines."""
        from fastyolo.results.text import listing

        return listing(self)

    def summary(self) -> str:
        """One line for people, such as "2 persons, 1 tie": the most frequent class first."""
        from fastyolo.results.text import summary

        return summary(self)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict: width, height, detections (name, class_id, confidence, xyxy) and speed, rounded."""
        from fastyolo.results.json import to_dict

        return to_dict(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        from fastyolo.results.json import to_json

        return to_json(self, indent=indent)

    def to_coco(self, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """COCO results entries: bbox is [x, y, width, height] in image pixels.

        `category_ids[class_id]` gives the category; by default the 91-category ids of COCO for the 80 COCO names,
        else class_id + 1.
        """
        from fastyolo.results.coco import to_coco

        return to_coco(self, image_id, category_ids)

    def to_supervision(self) -> Any:
        """A `supervision.Detections` of the same boxes. Needs the supervision package."""
        from fastyolo.results.supervision import to_supervision

        return to_supervision(self)

    def plot(self, image: ImageLike | None = None, *, color: Color = "rgb") -> Image:
        """A Pillow image with boxes and labels drawn on a copy of `image`, which is what was detected on.

        Without `image` the file at `source` is read again; an array or a Pillow image must be passed, as results keep
        none. `color` is the pixel format of an array, as for `Detector`.
        """
        from fastyolo.results.render import plot

        return plot(self, image, color=color)
