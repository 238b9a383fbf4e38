"""YOLOv4-tiny for NXP i.MX boards: compiled decoding and NMS, TFLite inference, honest results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastyolo.errors import (
    DecoderBusyError,
    ExportError,
    FastYoloError,
    HeadError,
    ImageError,
    ModelError,
    OptionError,
    RuntimeUnavailableError,
    SpecError,
)
from fastyolo.postprocess import Decoder, DecodeResult, decode_nms
from fastyolo.spec import COCO_NAMES, HeadSpec, ModelSpec

if TYPE_CHECKING:
    from fastyolo.detections import Detection, Detections
    from fastyolo.detector import Detector

    __version__: str

__all__ = [
    "COCO_NAMES",
    "DecodeResult",
    "Decoder",
    "DecoderBusyError",
    "Detection",
    "Detections",
    "Detector",
    "ExportError",
    "FastYoloError",
    "HeadError",
    "HeadSpec",
    "ImageError",
    "ModelError",
    "ModelSpec",
    "OptionError",
    "RuntimeUnavailableError",
    "SpecError",
    "__version__",
    "decode_nms",
]

# Loaded on first use, so that `import fastyolo` for decode_nms alone stays quick on a board.
_LAZY = {
    "Detection": "fastyolo.detections",
    "Detections": "fastyolo.detections",
    "Detector": "fastyolo.detector",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(_LAZY[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fastyolo")
    else:
        raise AttributeError(f"module 'fastyolo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
