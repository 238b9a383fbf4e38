"""What the decoders get: the outputs of real networks on real pictures, and synthetic ones that are marked so."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo import Detector, ModelSpec
from fastyolo.metadata import find_metadata
from fastyolo.preprocess import Preprocessor
from fastyolo.runtime.outputs import match_outputs
from pictures import Image

Heads = tuple[npt.NDArray[Any], ...]
SYNTHETIC_QUANTIZATION = (0.09, 12)


@dataclass
class Frames:
    """Outputs of one network for many pictures, in the order of its spec's heads."""

    name: str
    spec: ModelSpec
    heads: list[Heads]
    quantization: tuple[tuple[float, int], ...] | None
    all_pass: bool = False

    @property
    def dtype(self) -> str:
        return str(self.heads[0][0].dtype)


class Network:
    """The bundled int8 model, whose output memory can be read while the next frame runs.

    A live view of a tensor makes `invoke()` refuse to run, so `buffers` are made from the tensors' addresses.
    """

    def __init__(self) -> None:
        detector = Detector()
        self.spec = detector.spec
        self._session = detector.session
        self._preprocess = Preprocessor(detector.spec.input_size, quantization=detector.session.input.quantization)
        names = (find_metadata(detector.model) or {}).get("outputs")
        outputs = match_outputs(self._session.outputs, detector.spec, names)
        self.quantization = tuple(output.quantization for output in outputs if output.quantization)
        self._session.invoke()
        self.buffers = tuple(_at_address(self._session.output_view(output)) for output in outputs)

    def tensor(self, image: Image) -> npt.NDArray[np.int8]:
        return self._preprocess(image)

    def invoke(self, tensor: npt.NDArray[np.int8]) -> None:
        self._session.input_view()[...] = tensor
        self._session.invoke()


def _at_address(view: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    memory = (ctypes.c_char * view.nbytes).from_address(view.ctypes.data)
    return np.frombuffer(memory, view.dtype).reshape(view.shape)


def run_network(name: str, model: Path | None, images: Sequence[Image]) -> Frames:
    """Run a model (None: the bundled int8 one) on every picture."""
    detector = Detector(model)
    session = detector.session
    outputs = match_outputs(session.outputs, detector.spec, (find_metadata(detector.model) or {}).get("outputs"))
    preprocess = Preprocessor(
        detector.spec.input_size,
        dtype=session.input.dtype,
        quantization=session.input.quantization,
        resize=detector.resize,
    )
    heads = []
    for image in images:
        preprocess(image, session.input_view())
        session.invoke()
        heads.append(tuple(session.output_view(tensor).copy() for tensor in outputs))
    pairs = tuple(tensor.quantization for tensor in outputs if tensor.quantization is not None)
    return Frames(name, detector.spec, heads, pairs or None)


def dequantised(frames: Frames, name: str) -> Frames:
    """The same outputs as float32."""
    assert frames.quantization is not None
    heads = [
        tuple(
            np.float32(scale) * (head.astype(np.float32) - np.float32(zero))
            for head, (scale, zero) in zip(frame, frames.quantization, strict=True)
        )
        for frame in frames.heads
    ]
    return Frames(name, frames.spec, heads, None)


def synthetic(name: str, num_classes: int, *, num_frames: int = 32) -> Frames:
    """int8 heads of a network of so many classes, with a dozen boxes on some 40 anchors above the threshold each."""
    spec = ModelSpec.yolov4_tiny(names=[f"class {index}" for index in range(num_classes)])
    random = np.random.default_rng(7)
    scale, zero = SYNTHETIC_QUANTIZATION
    frames = []
    for _ in range(num_frames):
        heads = []
        for shape in spec.head_shapes:
            rows, columns, _ = shape
            real = random.normal(-6, 1.5, (rows, columns, 3, 5 + num_classes))
            real[..., :4] = random.normal(0, 0.5, (rows, columns, 3, 4))
            for _ in range(6):
                row, column, class_id = random.integers((rows - 1, columns - 1, num_classes))
                spot = real[row : row + 2, column : column + 2, 1]
                spot[..., 4] = random.normal(3, 1, spot.shape[:2])
                spot[..., 5 + class_id] = random.normal(3, 1, spot.shape[:2])
            stored = np.clip(np.rint(real / scale) + zero, -128, 127).astype(np.int8)
            heads.append(stored.reshape(1, *shape))
        frames.append(tuple(heads))
    return Frames(name, spec, frames, (SYNTHETIC_QUANTIZATION,) * len(spec.heads))


def worst_case(name: str) -> Frames:
    """float32 heads in which each of the 2535 x 80 scores passes 0.001, no two alike but by chance."""
    spec = ModelSpec.yolov4_tiny()
    random = np.random.default_rng(8)
    frames = []
    for _ in range(4):
        heads = []
        for rows, columns, channels in spec.head_shapes:
            real = random.uniform(-1, 3, (1, rows, columns, 3, channels // 3))
            real[..., :4] = random.normal(0, 0.5, real[..., :4].shape)
            heads.append(real.reshape(1, rows, columns, channels).astype(np.float32))
        frames.append(tuple(heads))
    return Frames(name, spec, frames, None, all_pass=True)
