"""The filter itself, without NNStreamer: options in, shapes agreed on, then heads -> tensors once a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import FastYoloError, HeadError
from fastyolo.names import class_ids, shown_ids
from fastyolo.nnstreamer.messages import say
from fastyolo.nnstreamer.network import match, read_network
from fastyolo.nnstreamer.options import Options, parse_options
from fastyolo.nnstreamer.tensors import SSD_LIMIT, JsonTensor, Layout, SsdTensors, YoloV5Tensor
from fastyolo.postprocess import DEFAULT_MAX_DETECTIONS, Decoder
from fastyolo.spec import ModelSpec

_TYPES = ("float32", "int8", "uint8")


class Filter:
    """Decodes and suppresses the heads of one network in a pipeline.

    Args:
        words: what ``custom=`` says, split at blanks; see `parse_options`.

    Raises:
        FastYoloError: in one line, here, in `negotiate` and in `invoke`.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._options = parse_options(words)
        self._network = read_network(self._options)
        # What is wrong with the options is said before any frame flows.
        spec = self._network.spec or ModelSpec.yolov4_tiny()
        Decoder(spec, **self._options.decoder)
        _tensors(self._options, spec)
        if self._network.spec is not None and self._options.classes is not None:
            class_ids(spec.names, self._options.classes)
        self._decoder: Decoder | None = None
        self._heads: list[tuple[int, tuple[int, ...]]] = []
        self._dtypes: list[np.dtype[Any]] = []

    def negotiate(self, came: Sequence[tuple[Sequence[int], npt.DTypeLike]]) -> Layout:
        """The dimensions (innermost first) and types of the heads -> those of the tensors that `invoke` returns.

        Raises:
            HeadError: they are not the network's.
        """
        shapes = [_shape(dims) for dims, _ in came]
        dtypes = [_type_name(position, dtype) for position, (_, dtype) in enumerate(came)]
        options = self._options
        spec, heads = match(self._network, options, shapes, dtypes)
        if spec.resize == "letterbox" and options.image_size is None:
            say(
                "warning: this network takes letterboxed frames; boxes are of its input, bars included, until "
                "image_size:HEIGHTxWIDTH says what the frames measure without them"
            )
        self._tensors = _tensors(options, spec)
        self._decoder = Decoder(
            spec,
            quantization=[head.quantization for head in heads],
            classes=shown_ids(spec.names) if options.classes is None else class_ids(spec.names, options.classes),
            resize="stretch" if options.image_size is None else None,
            clip=True,
            **{**options.decoder, "max_detections": _max_detections(options, spec)},
        )
        self._heads = [(head.position, head.shape) for head in heads]
        self._dtypes = [np.dtype(name) for name in dtypes]
        return self._tensors.layout

    def invoke(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """One frame: flat arrays in the order of `negotiate` -> the tensors.

        They are memory of earlier frames that nobody holds any more.

        Raises:
            HeadError: they are not what was agreed on.
        """
        decoder = self._decoder
        if decoder is None:
            raise HeadError("the filter must be told what comes before frames do: call setInputDim first")
        try:
            if [array.dtype for array in arrays] != self._dtypes:
                raise ValueError
            heads = tuple([arrays[position].reshape(shape) for position, shape in self._heads])
            return self._tensors.fill(decoder(heads, self._options.image_size))
        except FastYoloError:
            raise
        except Exception as error:
            raise HeadError(self._problem(arrays, error)) from None

    def _problem(self, arrays: Sequence[npt.NDArray[Any]], error: Exception) -> str:
        """The one line about a frame that is not what was agreed on."""
        sizes = {position: int(np.prod(shape)) for position, shape in self._heads}
        expected = [f"{dtype} ({sizes[position]},)" for position, dtype in enumerate(self._dtypes)]
        got = [
            f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            for array in arrays
        ]
        if got == expected:
            return f"this frame cannot be decoded: {type(error).__name__}: {error}"
        return f"this frame must have heads {', '.join(expected)}, got {', '.join(got) or 'none'}"


def _described(array: object) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def _tensors(options: Options, spec: ModelSpec) -> SsdTensors | YoloV5Tensor | JsonTensor:
    size = options.image_size or spec.input_size
    if options.output == "ssd":
        return SsdTensors(size, _max_detections(options, spec))
    if options.output == "yolov5":
        return YoloV5Tensor(size, spec.input_size, spec.num_classes)
    return JsonTensor(size, spec, _max_detections(options, spec))


def _max_detections(options: Options, spec: ModelSpec) -> int:
    default = SSD_LIMIT if options.output == "ssd" else DEFAULT_MAX_DETECTIONS
    most = int(options.decoder.get("max_detections", default))
    if options.output == "ssd":
        return most
    # No more than there are boxes; and the smallest inputs have fewer rows for them.
    boxes = sum(rows * columns * channels for rows, columns, channels in spec.head_shapes) // (5 + spec.num_classes)
    return min(most, boxes, YoloV5Tensor.rows_of(spec.input_size)) if options.output == "yolov5" else min(most, boxes)


def _shape(dims: Sequence[int]) -> tuple[int, ...]:
    """NNStreamer's dimensions, which are filled up with 1 or 0 -> (rows, columns, channels), or more where it is."""
    shape = [int(side) for side in dims]
    while shape and (shape[-1] == 0 or (shape[-1] == 1 and len(shape) > 3)):
        shape.pop()
    shape += [1] * (3 - len(shape))
    if len(shape) == 4:  # anchors apart: only so many axes can have lost a batch axis of 1
        shape.append(1)
    return tuple(reversed(shape))


def _type_name(position: int, dtype: npt.DTypeLike) -> str:
    name = str(np.dtype(dtype))
    if name not in _TYPES:
        raise HeadError(f"head {position} must be float32, int8 or uint8, got {name}")
    return name
