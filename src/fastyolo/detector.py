"""The only composer: `Detector(model)(image) -> Detections`."""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from fastyolo.detections import Detections
from fastyolo.errors import ModelError, OptionError
from fastyolo.frames.colors import PixelFormat, Pixels, YuvMatrix, YuvRange, check_color, view_pixels
from fastyolo.frames.picture import MAX_PIXELS, ImageSource, read_picture
from fastyolo.frames.reduced import Extent
from fastyolo.letterbox import ResizeMode, placed_size
from fastyolo.metadata import find_metadata
from fastyolo.postprocess import (
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    DEFAULT_SCORE_THRESHOLD,
    Decoder,
    NmsKind,
)
from fastyolo.preprocess import Preprocessor, to_rgb
from fastyolo.runtime.session import Session, TensorInfo, open_session
from fastyolo.spec import ModelSpec, fitting_spec

BUNDLED_MODEL = Path(__file__).with_name("models") / "yolov4-tiny_416_int8.tflite"
"""The int8 COCO YOLOv4-tiny that comes with the package."""


class Detector:
    """An object detector: a model, a runtime, and everything around them.

    Args:
        model: path of a .tflite file; None takes the bundled int8 COCO YOLOv4-tiny.
        spec: describes a model that carries no metadata, or overrides what it carries. Its input size is the model's.
        runtime: "auto", "litert", "tflite-runtime" or "tensorflow".
        device: "cpu", or an external delegate as ``LIB.so[,key=value...]``.
        threads: CPU threads; None takes every core this process may use.
        resize: "stretch" or "letterbox"; None takes what the model was calibrated for.
        yuv_matrix: "bt601" or "bt709", and yuv_range: "limited" or "full": what nv12 and yuyv images mean.
        score_threshold, iou_threshold, max_detections, nms, class_agnostic, multi_label: see `Decoder`.
        classes: report only these, as ids or names.
        clip: limit boxes to the image.
        max_pixels: refuse picture files with more pixels than this.

    Raises:
        ModelError, RuntimeUnavailableError, SpecError, OptionError: each in one line.

    Safe to share between threads; calls take turns.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        spec: ModelSpec | None = None,
        runtime: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        resize: ResizeMode | None = None,
        yuv_matrix: YuvMatrix = "bt601",
        yuv_range: YuvRange = "limited",
        score_threshold: float = DEFAULT_SCORE_THRESHOLD,
        iou_threshold: float = DEFAULT_IOU_THRESHOLD,
        max_detections: int = DEFAULT_MAX_DETECTIONS,
        nms: NmsKind = "iou",
        class_agnostic: bool = False,
        multi_label: bool = False,
        classes: Iterable[int | str] | None = None,
        clip: bool = True,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.model = Path(model) if model is not None else BUNDLED_MODEL
        self.max_pixels = max_pixels
        self._clip = clip
        self._lock = threading.Lock()
        self._session = open_session(self.model, runtime=runtime, device=device, threads=threads)
        metadata = find_metadata(self.model)
        self.spec = _resolve_spec(self.model, self._session, metadata, spec)
        self.resize: ResizeMode = resize or self.spec.resize
        self._heads = match_outputs(self._session.outputs, self.spec, (metadata or {}).get("outputs"))
        self._preprocess = Preprocessor(
            self.spec.input_size,
            dtype=self._session.input.dtype,
            quantization=self._session.input.quantization,
            resize=self.resize,
            yuv_matrix=yuv_matrix,
            yuv_range=yuv_range,
        )
        self._to_rgb = partial(to_rgb, yuv_matrix=yuv_matrix, yuv_range=yuv_range)
        self._needed = partial(placed_size, input_size=self.spec.input_size, letterbox=self.resize == "letterbox")
        self._decode = Decoder(
            self.spec,
            quantization=[tensor.quantization for tensor in self._heads],
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            nms=nms,
            class_agnostic=class_agnostic,
            multi_label=multi_label,
            classes=None if classes is None else class_ids(self.spec.names, classes),
            letterbox=self.resize == "letterbox",
            clip=clip,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Every class the model knows."""
        return self.spec.names

    @property
    def session(self) -> Session:
        """The loaded model: which runtime, device and threads, which tensors."""
        return self._session

    def __call__(self, image: ImageSource, *, color: PixelFormat = "rgb") -> Detections:
        """Detect objects in one image.

        A JPEG file much larger than the network's input is decoded at a reduced size, which is faster; boxes and
        `orig_shape` are those of the full picture all the same.

        Args:
            image: path, bytes of an image file, Pillow image, or uint8 array.
            color: the format of an array: "rgb", "bgr" (what OpenCV gives), "rgba", "bgra", "grey", "nv12" or "yuyv";
                `PixelFormat` has the shapes.

        Raises:
            ImageError: the image cannot be used.
        """
        started = perf_counter()
        # Checked before any view of the interpreter's memory exists: an error that kept one alive would block invoke().
        check_color(color)
        pixels, extent = self._read(image, color)
        with self._lock:
            read = perf_counter()
            self._preprocess.fill(pixels, self._session.input_view())
            prepared = perf_counter()
            self._session.invoke()
            inferred = perf_counter()
            result = self._decode([self._session.output_view(tensor) for tensor in self._heads], extent.covered)
            xyxy = extent.in_full(result.xyxy, clip=self._clip)
            finished = perf_counter()
        speed = {
            "read": (read - started) * 1e3,
            "preprocess": (prepared - read) * 1e3,
            "inference": (inferred - prepared) * 1e3,
            "postprocess": (finished - inferred) * 1e3,
        }
        source: ImageSource | Callable[[], ImageSource] = image
        if isinstance(image, np.ndarray) and color != "rgb":
            source = partial(self._to_rgb, image, color)
        return Detections(xyxy, result.confidence, result.class_id, self.spec.names, extent.size, speed, source)

    def _read(self, image: ImageSource, color: PixelFormat) -> tuple[Pixels, Extent]:
        if isinstance(image, np.ndarray):
            pixels = view_pixels(image, color)
            return pixels, Extent.full(pixels.size)
        picture = read_picture(image, needed=self._needed, max_pixels=self.max_pixels)
        return view_pixels(picture.pixels, picture.color), picture.extent


def class_ids(names: Sequence[str], classes: Iterable[int | str]) -> list[int]:
    """Class names or ids (also as text) -> ids. Names match whatever their case."""
    known = {name.casefold(): class_id for class_id, name in reversed(list(enumerate(names)))}
    ids = []
    for wanted in [classes] if isinstance(classes, str) else classes:
        text = str(wanted).strip()
        class_id = known.get(text.casefold(), int(text) if text.isdecimal() else -1)
        if not 0 <= class_id < len(names):
            raise OptionError(_unknown_class(text, names))
        ids.append(class_id)
    return ids


def match_outputs(
    outputs: Sequence[TensorInfo], spec: ModelSpec, output_names: Sequence[str] | None = None
) -> list[TensorInfo]:
    """The output tensor of every head of `spec`: by shape, and by name (from metadata) where shapes are alike.

    Never by position: TFLite's order is not the training order.
    """
    matched = []
    for index, shape in enumerate(spec.head_shapes):
        fitting = [tensor for tensor in outputs if tensor.shape[-3:] == shape and tensor.shape[:-3] in ((), (1,))]
        if len(fitting) > 1 and output_names is not None and len(output_names) == len(spec.heads):
            fitting = [tensor for tensor in fitting if tensor.name == output_names[index]]
        if len(fitting) > 1:
            names = ", ".join(tensor.name for tensor in fitting)
            raise ModelError(f"outputs {names} all have shape {shape}, and no metadata names the one of head {index}")
        if not fitting:
            found = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in outputs)
            suggestion = fitting_spec(tensor.shape[-3:] for tensor in outputs)
            hint = f"; {suggestion} would fit" if suggestion else ""
            raise ModelError(f"the model must have an output of shape (1, {_sides(shape)}), got {found}{hint}")
        matched.append(fitting[0])
    if len(outputs) != len(matched):
        extra = ", ".join(f"{tensor.name} {tensor.shape}" for tensor in outputs if tensor not in matched)
        raise ModelError(f"the model must have {len(matched)} outputs, got {len(outputs)}; unexpected: {extra}")
    return matched


def _resolve_spec(
    model: Path, session: Session, metadata: dict[str, object] | None, spec: ModelSpec | None
) -> ModelSpec:
    """What was given wins over what the file says, with a warning where they differ."""
    embedded = ModelSpec.from_dict(metadata) if metadata is not None else None
    if spec is None:
        if embedded is None:
            suggestion = fitting_spec(tensor.shape[-3:] for tensor in session.outputs)
            hint = f"; its heads would fit {suggestion}" if suggestion else ""
            cure = "describe the network with spec= (--cfg and --names on the command line)"
            raise ModelError(f"{model} carries no metadata; {cure}{hint}")
        spec = embedded
        if spec.input_size != session.input_size:
            raise ModelError(f"{model} has input {session.input_size}, but its metadata says {spec.input_size}")
        return spec
    # Darknet's anchors are network pixels at any input size, so one .cfg serves exports of several sizes.
    spec = dataclasses.replace(spec, input_size=session.input_size)
    for field in ("heads", "names") if embedded is not None else ():
        if getattr(spec, field) != getattr(embedded, field):
            warnings.warn(f"the given {field} differ from those in {model}; using the given ones", stacklevel=3)
    return spec


def _unknown_class(text: str, names: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(text.casefold(), [name.casefold() for name in names], 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; the model knows {len(names)}, such as {names[0]!r}"
    return f"classes must be names or ids of the model, got {text!r}{hint}"


def _sides(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
