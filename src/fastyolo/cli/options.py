"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    Path | None, typer.Option("--model", "-m", help="A .tflite file. Default: the bundled int8 COCO YOLOv4-tiny.")
]
CfgOption = Annotated[
    str | None,
    typer.Option(
        "--cfg",
        metavar="FILE|yolov4-tiny",
        help="Darknet .cfg of a model without metadata, or 'yolov4-tiny' for the official one. Wins over metadata.",
    ),
]
NamesOption = Annotated[Path | None, typer.Option("--names", help="Class names, one per line. Wins over metadata.")]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", metavar="auto|litert|tflite-runtime|tensorflow", help="Accept this runtime only.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", metavar="cpu|LIB.so[,key=value...]", help="The CPU, or an external delegate with its options."
    ),
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads. Default: every core.")]
MaxMemoryOption = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        min=1,
        metavar="MB",
        help="Refuse models whose tensors need more memory than this at one time. Default: 1024.",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the runtime's own messages.")]


def bytes_from_option(max_memory: int | None) -> int:
    """The bytes that --max-memory stands for."""
    from fastyolo.runtime.limits import MAX_MEMORY

    return MAX_MEMORY if max_memory is None else max_memory << 20


class Resize(str, Enum):
    stretch = "stretch"
    letterbox = "letterbox"


class Nms(str, Enum):
    iou = "iou"
    diou = "diou"


def spec_from_options(model: Path | None, cfg: str | None, names: Path | None):  # type: ignore[no-untyped-def]
    """The `ModelSpec` that --cfg and --names describe, None where both are absent."""
    from fastyolo.errors import SpecError
    from fastyolo.names import read_names
    from fastyolo.spec import ModelSpec

    class_names = read_names(names) if names is not None else None
    if cfg == "yolov4-tiny":
        return ModelSpec.yolov4_tiny() if class_names is None else ModelSpec.yolov4_tiny(names=class_names)
    if cfg is not None:
        return ModelSpec.from_cfg(cfg, names=class_names)
    if class_names is None:
        return None
    from fastyolo.detector import BUNDLED_MODEL

    spec = ModelSpec.from_model(model if model is not None else BUNDLED_MODEL)
    if len(class_names) != spec.num_classes:
        raise SpecError(f"{names} must hold {spec.num_classes} class names for this model, got {len(class_names)}")
    return dataclasses.replace(spec, names=class_names)
