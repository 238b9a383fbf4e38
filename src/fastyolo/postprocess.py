"""Heads -> arrays: `decode_nms` and the reusable `Decoder`.

The formulas are Darknet's (AlexeyAB/darknet, ``yolo_layer.c`` and ``box.c``). A head is a tensor
(rows, columns, anchors * (5 + classes)); with the terms ``tx ty tw th objectness class[0] class[1] ...`` of one anchor
and s = scale_x_y::

    centre_x = (sigmoid(tx) * s - (s - 1) / 2 + column) * stride      width  = exp(tw) * anchor_width
    centre_y = (sigmoid(ty) * s - (s - 1) / 2 + row) * stride         height = exp(th) * anchor_height
    score[c] = sigmoid(objectness) * sigmoid(class[c])

With ``new_coords`` the network has already applied the sigmoids: terms are used as they are (limited to 0..1) and
``width = (2 * tw) ** 2 * anchor_width``.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastyolo.errors import DecoderBusyError, HeadError, OptionError
from fastyolo.heads import match_heads
from fastyolo.kernels import postprocess as kernel
from fastyolo.letterbox import Affine, ResizeMode, check_resize, network_to_image
from fastyolo.spec import HEAD_TYPES, NMS_KINDS, HeadSpec, ModelSpec, NmsKind
from fastyolo.texts import brief

HeadArray = npt.NDArray[np.float32] | npt.NDArray[np.int8] | npt.NDArray[np.uint8]
Quantization = Sequence[tuple[float, int] | None]
"""(scale, zero_point) of each head, ``real = scale * (q - zero_point)``; None for a float32 head."""

DEFAULT_SCORE_THRESHOLD = 0.25
DEFAULT_IOU_THRESHOLD = 0.45
DEFAULT_MAX_DETECTIONS = 300

_BYTE_RANGES = {"|i1": (-128, 127), "|u1": (0, 255)}
_FLOAT32 = np.dtype(np.float32).str
_SMALLEST_SCALE, _LARGEST_SCALE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
_LARGEST_IMAGE = 2**24
# Of `decode_nms`, for each thread: pipelines alternate a few networks, and a decoder holds some 100 kB.
_MOST_DECODERS = 8
_NO_SIZE = object()
# A NamedTuple's own constructor is written in Python and costs as much as a small array.
_new_result = tuple.__new__


class DecodeResult(NamedTuple):
    """Best first: `xyxy` float32 (N, 4), `confidence` float32 (N,), `class_id` int32 (N,)."""

    xyxy: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]
    class_id: npt.NDArray[np.int32]


class Decoder:
    """Decoding and NMS for one network, with all memory allocated once.

    Args:
        spec: the network.
        quantization: (scale, zero_point) per head, in the order the heads will be passed; None for float32 heads.
        score_threshold: keep scores of at least this, 0 to 1.
        iou_threshold: suppress a box whose overlap with a better one is above this, 0 to 1.
        max_detections: keep at most this many, the best ones.
        nms: "iou", or "diou" for what Darknet's ``nms_kind=greedynms`` computes: IoU - (d2 / c2) ** 0.6, with d the
            distance of the centres and c the diagonal of the enclosing box, in image pixels; None is what `spec` says.
        class_agnostic: let boxes of different classes suppress each other.
        multi_label: report every class of a box that passes, not only its best one. For evaluation.
        classes: report only these class ids.
        resize: how the image was fitted into the network input, "stretch" or "letterbox"; None is what `spec` says.
        clip: limit boxes to the image, after NMS.

    Raises:
        OptionError: an option is outside its domain.
        HeadError: `quantization` cannot belong to this network.

    One decoder serves one thread at a time; a second one that enters gets `DecoderBusyError`.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        quantization: Quantization | None = None,
        score_threshold: float = DEFAULT_SCORE_THRESHOLD,
        iou_threshold: float = DEFAULT_IOU_THRESHOLD,
        max_detections: int = DEFAULT_MAX_DETECTIONS,
        nms: NmsKind | None = None,
        class_agnostic: bool = False,
        multi_label: bool = False,
        classes: Iterable[int] | None = None,
        resize: ResizeMode | None = None,
        clip: bool = False,
    ) -> None:
        if not isinstance(spec, ModelSpec):
            raise OptionError(f"spec must be a ModelSpec, such as ModelSpec.yolov4_tiny(), got {type(spec).__name__}")
        if nms is not None and (not isinstance(nms, str) or nms not in NMS_KINDS):
            raise OptionError(f"nms must be 'iou' or 'diou', got {brief(nms)}")
        score_threshold = _fraction("score_threshold", score_threshold)
        iou_threshold = _fraction("iou_threshold", iou_threshold)
        max_detections = _whole_number("max_detections", max_detections)
        self.spec = spec
        self.quantization = _check_quantization(quantization)
        if self.quantization is not None and len(self.quantization) != len(spec.heads):
            raise HeadError(
                f"quantization must hold one (scale, zero_point) per head, expected {len(spec.heads)}, "
                f"got {len(self.quantization)}"
            )
        self.resize: ResizeMode = spec.resize if resize is None else check_resize(resize)
        self.nms: NmsKind = spec.nms if nms is None else nms
        self.clip = clip
        self._transform: tuple[object, tuple[float, ...]] = (_NO_SIZE, ())
        grids, num_classes = tuple(_grids(spec)), spec.num_classes
        num_boxes = sum(rows * columns * len(head.anchors) for head, rows, columns in grids)
        if num_boxes * num_classes >= 2**32:
            raise OptionError(f"boxes x classes must stay below 2**32, got {num_boxes} x {num_classes}")
        # Room for the worst case; the system backs it with memory only when it is touched.
        num_candidates = num_boxes * (num_classes if multi_label else 1)
        num_kept = min(max_detections, num_candidates)
        self._workspace = kernel.Workspace(
            len(grids),
            score_threshold,
            iou_threshold,
            self.nms == "diou",
            class_agnostic,
            multi_label,
            clip,
            np.array([anchor for head, _, _ in grids for anchor in head.anchors], np.float32),
            np.empty((num_boxes, 4), np.float32),
            np.empty((2, num_candidates), np.uint64),
            _class_mask(classes, num_classes),
            np.empty(num_classes, np.int32),
            np.empty((num_kept, 4), np.float32),
            np.empty(num_kept, np.float32),
            np.empty(num_kept, np.int32),
            partial(_plan, spec, self.quantization),
            np.empty,
            np.dtype(np.float32),
            np.dtype(np.int32),
        )
        for index, (head, rows, columns) in enumerate(grids):
            self._workspace.set_head(
                index, rows, columns, len(head.anchors), head.stride, head.scale_x_y, HEAD_TYPES.index(head.type)
            )

    def __call__(self, heads: Sequence[HeadArray], image_size: tuple[int, int] | None = None) -> DecodeResult:
        """Decode one frame.

        Args:
            heads: float32, int8 or uint8 arrays (rows, columns, anchors * (5 + classes)), with or without a batch axis
                of 1, or (1, rows, columns, anchors, 5 + classes), in any order: they are told apart by shape. Heads of
                equal shape are taken in spec order.
            image_size: (height, width) of the image the boxes shall be in; None gives network pixels.

        Returns:
            Fresh arrays, best first; ties keep the order of `spec`'s heads, then cells by row, anchors, classes.

        Raises:
            HeadError: the heads do not fit the spec, or lack their quantisation.
            DecoderBusyError: another thread is using this decoder.
        """
        # One object for both, so that a thread that comes in between sees a pair that belongs together.
        size, transform = self._transform
        if image_size != size:
            # A copy: a list may change before the next call, and what counts as a number even before this one ends.
            size = None if image_size is None else _whole_size(image_size)
            transform = self._image_transform(size)
            self._transform = (size, transform)
        # Not even a subclass: whatever code of the heads runs while they are read, it finds nothing to change.
        if type(heads) is not tuple:
            heads = tuple(heads) if isinstance(heads, list | tuple) else _as_tuple(heads)
        try:
            return _new_result(DecodeResult, self._workspace.run(heads, transform))
        except kernel.Busy:
            raise DecoderBusyError("this Decoder is in use in another thread; give each thread its own") from None
        except TypeError as error:
            _plan(self.spec, self.quantization, heads)  # says which of them is no array
            raise HeadError(f"heads must be NumPy arrays, got {error}") from None
        except BufferError as error:
            raise HeadError(f"heads must be NumPy arrays that can be read, got {error or 'other memory'}") from None

    def _image_transform(self, image_size: tuple[int, int] | None) -> tuple[float, ...]:
        """scale_x, scale_y, offset_x, offset_y, width and height, for boxes in an image of that size."""
        if image_size is None:
            if self.resize == "letterbox":
                raise OptionError(
                    "resize='letterbox' needs image_size=(height, width) to undo the bars, got None; "
                    "pass resize='stretch' for boxes in network pixels"
                )
            height, width = self.spec.input_size
            return (*Affine(1.0, 1.0, 0.0, 0.0), float(width), float(height))
        height, width = image_size
        if not (1 <= height <= _LARGEST_IMAGE and 1 <= width <= _LARGEST_IMAGE):
            raise OptionError(
                f"image_size must be between 1 and {_LARGEST_IMAGE} pixels each way, got height {brief(height)}, "
                f"width {brief(width)}"
            )
        affine = network_to_image((height, width), self.spec.input_size, resize=self.resize)
        return (*affine, float(width), float(height))


def decode_nms(
    heads: Sequence[HeadArray],
    *,
    spec: ModelSpec | None = None,
    quantization: Quantization | None = None,
    score_threshold: float = DEFAULT_SCORE_THRESHOLD,
    iou_threshold: float = DEFAULT_IOU_THRESHOLD,
    max_detections: int = DEFAULT_MAX_DETECTIONS,
    nms: NmsKind | None = None,
    class_agnostic: bool = False,
    multi_label: bool = False,
    classes: Iterable[int] | None = None,
    image_size: tuple[int, int] | None = None,
    resize: ResizeMode | None = None,
    clip: bool = False,
) -> DecodeResult:
    """Decode the raw outputs of a YOLO network and suppress overlapping boxes.

    `spec` defaults to the COCO YOLOv4-tiny at 416x416; every other argument is `Decoder`'s, and so are the errors.
    Safe to call from many threads at once: each keeps decoders of its own, for the arguments it used last.

    Returns:
        `DecodeResult`: xyxy float32 (N, 4), confidence float32 (N,), class_id int32 (N,); best first, fresh arrays.
    """
    # The caller may change its lists between calls, so the key needs copies.
    if quantization is not None:
        try:
            quantization = tuple(map(tuple, quantization))  # type: ignore[arg-type]
        except TypeError:
            quantization = _check_quantization(quantization)
    if classes is not None and isinstance(classes, Iterable) and not isinstance(classes, str):
        classes = tuple(classes)
    key = (
        quantization, score_threshold, iou_threshold, max_detections, nms, class_agnostic, multi_label, classes, resize,
        clip,
    )  # fmt: skip
    decoder = _recent_decoder(spec, key)
    if decoder is None:
        decoder = Decoder(
            spec if spec is not None else ModelSpec.yolov4_tiny(),
            quantization=quantization,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            nms=nms,
            class_agnostic=class_agnostic,
            multi_label=multi_label,
            classes=classes,
            resize=resize,
            clip=clip,
        )
        _recent.entries = [(spec, key, decoder), *_recent.entries[: _MOST_DECODERS - 1]]
    return decoder(heads, image_size)


class _Recent(threading.local):
    """The decoders that `decode_nms` used last in this thread, with their arguments; the latest two first."""

    def __init__(self) -> None:
        self.entries: list[tuple[ModelSpec | None, tuple[object, ...], Decoder]] = []


_recent = _Recent()


def _recent_decoder(spec: ModelSpec | None, key: tuple[object, ...]) -> Decoder | None:
    entries = _recent.entries
    try:
        for place, (known, options, decoder) in enumerate(entries):
            # Most often it is the very spec of an earlier call; to compare two takes as long as decoding.
            if options == key and (known is spec or known == spec):
                if place > 1:  # two that alternate stay where they are
                    entries.insert(0, entries.pop(place))
                return decoder
    except ValueError:
        pass  # an array where a number should be: `Decoder` says so
    return None


# A thread that was decoding is not in the child of a fork, and would never be done with its decoder there.
os.register_at_fork(after_in_child=kernel.forked)


def _grids(spec: ModelSpec) -> Iterator[tuple[HeadSpec, int, int]]:
    """Every head with its rows and columns."""
    for head, (rows, columns, _) in zip(spec.heads, spec.head_shapes, strict=True):
        yield head, rows, columns


def _whole_size(image_size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = (operator.index(side) for side in image_size)
    except (TypeError, ValueError):
        raise OptionError(f"image_size must be (height, width) in whole pixels, got {brief(image_size)}") from None
    return height, width


def _fraction(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise OptionError(f"{name} must be a number between 0 and 1, got {brief(value)}") from None
    if not 0 <= number <= 1:
        raise OptionError(f"{name} must be between 0 and 1, got {brief(value)}")
    return number


def _whole_number(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise OptionError(f"{name} must be a whole number, got {brief(value)}") from None
    if number < 1:
        raise OptionError(f"{name} must be at least 1, got {brief(value)}")
    return number


def _class_mask(classes: Iterable[int] | None, num_classes: int) -> npt.NDArray[np.uint8]:
    if classes is None:
        return np.ones(num_classes, np.uint8)
    mask = np.zeros(num_classes, np.uint8)
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise OptionError(f"classes must be a list of class ids, got {brief(classes)}")
    for class_id in classes:
        try:
            row = operator.index(class_id)
        except TypeError:
            raise OptionError(f"classes must be class ids, got {brief(class_id)}") from None
        if not 0 <= row < num_classes:
            raise OptionError(f"classes must be ids between 0 and {num_classes - 1}, got {brief(row)}")
        mask[row] = 1
    return mask


def _check_quantization(quantization: Quantization | None) -> tuple[tuple[float, int] | None, ...] | None:
    if quantization is None:
        return None
    try:
        pairs = tuple(quantization)
    except TypeError:
        raise HeadError(f"quantization must hold one (scale, zero_point) per head, got {brief(quantization)}") from None
    return tuple(_check_pair(position, pair) for position, pair in enumerate(pairs))


def _check_pair(position: int, pair: tuple[float, int] | None) -> tuple[float, int] | None:
    if pair is None:
        return None
    try:
        scales, zero_points = pair
        if np.size(scales) > 1 or np.size(zero_points) > 1:
            raise HeadError(
                f"quantization[{position}] must be one (scale, zero_point) for the whole head, got {np.size(scales)} "
                f"scales, one per channel; quantise the network's outputs per tensor"
            )
        scale, zero_point = (float(np.asarray(number).item()) for number in pair)
        if not zero_point.is_integer():
            raise ValueError
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, HeadError):
            raise
        raise HeadError(f"quantization[{position}] must be (scale, whole zero_point), got {brief(pair)}") from None
    # TFLite reports (0.0, 0) for a tensor that is not quantised.
    if scale == 0 and zero_point == 0:
        return None
    if not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE:
        raise HeadError(f"quantization[{position}]: scale must be a positive float32 number, got {brief(scale)}")
    return scale, int(zero_point)


def _as_tuple(heads: Sequence[HeadArray]) -> tuple[HeadArray, ...]:
    if isinstance(heads, np.ndarray) or not isinstance(heads, Sequence):
        raise HeadError(f"heads must be a list of arrays, one per detection head, got {type(heads).__name__}")
    return tuple(heads)


def _plan(
    spec: ModelSpec, quantization: tuple[tuple[float, int] | None, ...] | None, heads: tuple[HeadArray, ...]
) -> tuple[tuple[int, float, int], ...]:
    """For every head of `spec` the position of its array in `heads`, and the (scale, zero_point) of an integer one.

    The kernel asks when the arrays are in another order or of other types than before.
    """
    arrays = [_as_array(position, head) for position, head in enumerate(heads)]
    order = match_heads(spec, [array.shape for array in arrays])
    return tuple((position, *_quantization_of(position, arrays[position].dtype, quantization)) for position in order)


def _as_array(position: int, head: object) -> HeadArray:
    """One head as an array of a type that the kernel reads."""
    if not isinstance(head, np.ndarray):
        try:
            head = np.asarray(memoryview(head))  # type: ignore[arg-type]
        except (TypeError, ValueError, BufferError):
            name = type(head).__name__
            raise HeadError(f"head {position} must be a NumPy array, got {name}; pass np.asarray(head)") from None
    if head.dtype.str != _FLOAT32 and head.dtype.str not in _BYTE_RANGES:
        raise HeadError(
            f"head {position} must be float32, int8 or uint8, got {head.dtype}; pass head.astype(np.float32)"
        )
    if head.ndim in (4, 5) and head.shape[0] != 1:
        raise HeadError(f"head {position} must hold one image, got a batch of {head.shape[0]}; pass head[i] for each")
    return head


def _quantization_of(
    position: int, dtype: np.dtype[Any], quantization: tuple[tuple[float, int] | None, ...] | None
) -> tuple[float, int]:
    if dtype.str == _FLOAT32:
        return 1.0, 0
    pair = quantization[position] if quantization else None
    if pair is None:
        raise HeadError(f"head {position} is {dtype}: pass quantization=[(scale, zero_point), ...], one pair per head")
    lowest, highest = _BYTE_RANGES[dtype.str]
    if not lowest <= pair[1] <= highest:
        raise HeadError(
            f"quantization[{position}]: zero_point must be in {lowest}..{highest} for {dtype}, got {brief(pair[1])}"
        )
    return pair
