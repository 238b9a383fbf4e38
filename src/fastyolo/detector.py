"""The only composer: `Detector(model)(image) -> Detections`."""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Literal, NoReturn

from fastyolo.detections import Detections
from fastyolo.errors import ModelError
from fastyolo.frames.colors import Color, YuvMatrix, YuvRange
from fastyolo.frames.frame import Frame
from fastyolo.frames.picture import MAX_PIXELS
from fastyolo.frames.reading import ImageLike, as_frame
from fastyolo.heads import fitting_hint
from fastyolo.input_range import InputRange
from fastyolo.letterbox import ResizeMode, placed_size
from fastyolo.metadata import find_metadata
from fastyolo.names import class_ids, common_name, renamed, shown_ids
from fastyolo.postprocess import (
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    DEFAULT_SCORE_THRESHOLD,
    Decoder,
)
from fastyolo.preprocess import Preprocessor, Tensor
from fastyolo.runtime.limits import MAX_MEMORY
from fastyolo.runtime.outputs import match_outputs
from fastyolo.runtime.session import Session, open_session
from fastyolo.spec import ModelSpec, NmsKind

BUNDLED_MODEL = Path(__file__).with_name("models") / "yolov4-tiny_416_int8.tflite"
"""The int8 COCO YOLOv4-tiny that comes with the package."""

STAGES = ("read", "preprocess", "inference", "postprocess")
"""What `Detections.speed` tells the milliseconds of, in order."""


class Detector:
    """An object detector: a model, a runtime, and everything around them.

    Args:
        model: path of a .tflite file; None takes the bundled int8 COCO YOLOv4-tiny.
        spec: describes a model that carries no metadata, or overrides what it carries. Its input size and channels are
            the model's.
        names: what classes are called instead: "coco" for COCO's own spelling (Darknet says motorbike, aeroplane, sofa,
            pottedplant, diningtable, tvmonitor), or one name per class.
        runtime: "auto", "litert", "tflite-runtime" or "tensorflow".
        device: "cpu"; "npu", the NPU of this chip; "auto", that or else the CPU; "vx", "ethosu", "neutron" or "teflon";
            or an external delegate's library, ``LIB.so``; options of a delegate follow as ``,key=value``.
        threads: CPU threads; None takes every core this process may use.
        resize: "stretch" or "letterbox"; None takes what the model was calibrated for. So for `nms`.
        input_range: the real numbers (low, high) that the network wants for pixel 0 and 255, such as (0, 255) or
            (-1, 1); None takes what the spec says, else see `Preprocessor`.
        yuv_matrix: "bt601" or "bt709", and yuv_range: "limited" or "full": what Y'CbCr images mean; None takes what a
            frame says of itself, else "bt601" and "limited".
        score_threshold, iou_threshold, max_detections, nms, class_agnostic, multi_label: see `Decoder`.
        classes: report only these, as ids or names, in COCO's spelling or Darknet's. None: all, except that a class
            called "dont_show NAME" is hidden, as Darknet does.
        show_hidden: report those too.
        clip: limit boxes to the image.
        max_pixels: refuse picture files with more pixels than this.
        max_memory: refuse a model whose tensors take more bytes than this at one time, by default 1 GiB. A few changed
            bytes in a file can make a runtime ask for all there is, so this is looked up before it sees the model.
        allow_cpu: run on the CPU where the device takes no operator of the model, which is an error otherwise.
        graph_cache: keep the graph that the vx delegate compiles in the first inference, for the next start.

    Raises:
        ModelError, RuntimeUnavailableError, SpecError, OptionError: each in one line.

    Safe to share between threads; calls take turns. Not to be carried over a fork: make one in each process.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        spec: ModelSpec | None = None,
        names: Sequence[str] | Literal["coco"] | None = None,
        runtime: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        resize: ResizeMode | None = None,
        input_range: InputRange | None = None,
        yuv_matrix: YuvMatrix | None = None,
        yuv_range: YuvRange | None = None,
        score_threshold: float = DEFAULT_SCORE_THRESHOLD,
        iou_threshold: float = DEFAULT_IOU_THRESHOLD,
        max_detections: int = DEFAULT_MAX_DETECTIONS,
        nms: NmsKind | None = None,
        class_agnostic: bool = False,
        multi_label: bool = False,
        classes: Iterable[int | str] | None = None,
        show_hidden: bool = False,
        clip: bool = True,
        max_pixels: int = MAX_PIXELS,
        max_memory: int = MAX_MEMORY,
        allow_cpu: bool = False,
        graph_cache: bool = True,
    ) -> None:
        self.model = Path(model) if model is not None else BUNDLED_MODEL
        self.max_pixels = max_pixels
        self._clip = clip
        self._lock = threading.Lock()
        self._session = open_session(
            self.model,
            runtime=runtime,
            device=device,
            threads=threads,
            max_memory=max_memory,
            allow_cpu=allow_cpu,
            graph_cache=graph_cache,
        )
        metadata = find_metadata(self.model)
        self.spec = _resolve_spec(self.model, self._session, metadata, spec)
        if names is not None:
            self.spec = dataclasses.replace(self.spec, names=renamed(self.spec.names, names))
        self.resize: ResizeMode = resize or self.spec.resize
        self._heads = match_outputs(self._session.outputs, self.spec, (metadata or {}).get("outputs"))
        self._new_preprocessor = partial(
            Preprocessor,
            self.spec.input_size,
            channels=self.spec.channels,
            dtype=self._session.input.dtype,
            quantization=self._session.input.affine,
            input_range=self.spec.input_range if input_range is None else input_range,
            resize=self.resize,
            yuv_matrix=yuv_matrix,
            yuv_range=yuv_range,
        )
        self._preprocess = self._new_preprocessor()
        self._needed = partial(placed_size, input_size=self.spec.input_size, resize=self.resize)
        self._decode = Decoder(
            self.spec,
            quantization=[tensor.quantization for tensor in self._heads],
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            nms=nms,
            class_agnostic=class_agnostic,
            multi_label=multi_label,
            classes=_reported(self.spec.names, classes, show_hidden),
            resize=self.resize,
            clip=clip,
        )
        self.nms: NmsKind = self._decode.nms

    @property
    def names(self) -> tuple[str, ...]:
        """Every class the model knows."""
        return self.spec.names

    @property
    def session(self) -> Session:
        """The loaded model: which runtime, device and threads, which tensors."""
        return self._session

    def __repr__(self) -> str:
        session = self._session
        return (
            f"<Detector {self.model.name}: {self.spec.num_classes} classes, {session.input_size[0]}x"
            f"{session.input_size[1]}, {session.runtime} {session.version}, {session.device}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Detector cannot be pickled or copied, for it holds a loaded model; make one in each process")

    def __call__(self, image: ImageLike, *, color: Color = "rgb") -> Detections:
        """Detect objects in one image; arrays are RGB, so one of OpenCV's needs color="bgr".

        A network of one channel takes the same images; see `Preprocessor` for what is grey.

        A JPEG file much larger than the network's input is decoded at a reduced size, which is faster; boxes and
        `orig_shape` are those of the full picture all the same.

        Args:
            image: path, bytes of an image file, Pillow image, uint8 array, tuple of planes, or a `Frame`.
            color: the pixel format of an array or of planes, such as "rgb", "bgr" or "nv12"; `frames.Color` lists all
                with their shapes.

        Raises:
            ImageError: the image cannot be used.
            OptionError: there is no such pixel format.
        """
        self._session.check_process()
        started = perf_counter()
        frame = as_frame(image, color=color, needed=self._needed, max_pixels=self.max_pixels)
        read = (perf_counter() - started) * 1e3
        path = os.fsdecode(image) if isinstance(image, str | os.PathLike) else None
        return self.run(frame, speed={"read": read}, source=path)

    def run(
        self,
        frame: Frame,
        *,
        fill: Callable[[Tensor], object] | None = None,
        speed: Mapping[str, float] | None = None,
        source: str | None = None,
    ) -> Detections:
        """Detect objects in a frame, which another thread may have prepared already.

        Args:
            frame: what to look at.
            fill: writes into the input tensor what a `preprocessor` made of the frame; by default that is done here.
            speed: milliseconds of the stages that came before.
            source: the path it was read from.
        """
        # Before anything waits for a lock, which a thread that is not here may hold.
        self._session.check_process()
        with self._lock:
            laps = [perf_counter()]
            if fill is None:
                self._preprocess.fill(frame, self._session.input_view())
            else:
                fill(self._session.input_view())
            laps.append(perf_counter())
            self._session.invoke()
            laps.append(perf_counter())
            # Views of the interpreter's memory keep no name: a live one would make the next invoke() refuse.
            found = self._decode(tuple(map(self._session.output_view, self._heads)), frame.extent.covered)
            xyxy = frame.extent.in_full(found.xyxy, clip=self._clip)
            laps.append(perf_counter())
        spent = dict.fromkeys(STAGES, 0.0) | dict(speed or {})
        for stage, (start, end) in zip(STAGES[1:], pairwise(laps), strict=True):
            spent[stage] += (end - start) * 1e3
        return Detections(
            xyxy,
            found.confidence,
            found.class_id,
            self.spec.names,
            frame.extent.size,
            spent,
            source,
            frame.index,
            frame.timestamp,
        )

    def preprocessor(self) -> Preprocessor:
        """A `Preprocessor` for this detector's input, of its own: for a thread that prepares the next frame."""
        return self._new_preprocessor()


def _reported(names: Sequence[str], classes: Iterable[int | str] | None, show_hidden: bool) -> list[int] | None:
    """The ids of the classes to report, None for all."""
    if classes is not None:
        return class_ids(names, classes)
    return None if show_hidden else shown_ids(names)


def _resolve_spec(
    model: Path, session: Session, metadata: dict[str, object] | None, spec: ModelSpec | None
) -> ModelSpec:
    """What was given wins over what the file says, with a warning where they differ."""
    embedded = ModelSpec.from_dict(metadata) if metadata is not None else None
    if spec is None:
        if embedded is None:
            hint = fitting_hint(tensor.shape[-3:] for tensor in session.outputs)
            cure = "describe the network with spec= (--cfg and --names on the command line)"
            raise ModelError(f"{model} carries no metadata; {cure}{hint}")
        spec = embedded
        session.check_input(spec, model)
        return spec
    # Darknet's anchors are network pixels at any input size, so one .cfg serves exports of several sizes. What the
    # network wants for black and white, no .cfg says.
    input_range = spec.input_range or (embedded.input_range if embedded is not None else None)
    spec = dataclasses.replace(spec, input_size=session.input_size, channels=session.channels, input_range=input_range)
    if embedded is None or metadata is None:
        return spec
    # COCO's spelling of Darknet's names is no difference.
    same_names = [*map(common_name, spec.names)] == [*map(common_name, embedded.names)]
    for field, same in (("heads", spec.heads == embedded.heads), ("names", same_names)):
        if not same:
            warnings.warn(f"the given {field} differ from those in {model}; using the given ones", stacklevel=3)
    for field in ("resize", "nms"):
        given, said = getattr(spec, field), getattr(embedded, field)
        if field in metadata and given != said:
            warnings.warn(f"{field}={said!r} in {model}, but {given!r} is given; using {given!r}", stacklevel=3)
    return spec
