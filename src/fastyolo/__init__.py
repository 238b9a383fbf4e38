"""YOLOv4-tiny for NXP i.MX boards: compiled decoding and NMS, TFLite inference, honest results."""

from __future__ import annotations

# `typing` takes most of the time before the command line can answer Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastyolo.detections import Detection, Detections
    from fastyolo.detector import Detector
    from fastyolo.errors import (
        DecoderBusyError,
        EvaluationError,
        ExportError,
        FastYoloError,
        HeadError,
        ImageError,
        ModelError,
        OptionError,
        RuntimeUnavailableError,
        SpecError,
    )
    from fastyolo.names import COCO_NAMES
    from fastyolo.postprocess import Decoder, DecodeResult, decode_nms
    from fastyolo.spec import HeadSpec, ModelSpec
    from fastyolo.suppression import nms

    __version__: str

__all__ = [
    "COCO_NAMES",
    "DecodeResult",
    "Decoder",
    "DecoderBusyError",
    "Detection",
    "Detections",
    "Detector",
    "EvaluationError",
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
    "nms",
]

# Each name is loaded on first use: on a board, importing NumPy alone takes most of a second.
_MODULES = {
    "detections": ("Detection", "Detections"),
    "detector": ("Detector",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "postprocess": ("DecodeResult", "Decoder", "decode_nms"),
    "spec": ("COCO_NAMES", "HeadSpec", "ModelSpec"),
    "suppression": ("nms",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOME:
        from importlib import import_module

        value = getattr(import_module(f"fastyolo.{_HOME[name]}"), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fastyolo")
    else:
        raise AttributeError(f"module 'fastyolo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
