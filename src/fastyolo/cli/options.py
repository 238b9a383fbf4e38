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
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks and the runtime's own messages.")]


class Resize(str, Enum):
    stretch = "stretch"
    letterbox = "letterbox"


class Nms(str, Enum):
    iou = "iou"
    diou = "diou"


NmsOption = Annotated[
    Nms | None,
    typer.Option("--nms", help="'diou' is what Darknet's greedynms computes. Default: what the model or .cfg says."),
]


def spec_from_options(model: Path | None, cfg: str | None, names: Path | None):  # type: ignore[no-untyped-def]
    """The `ModelSpec` that --cfg and --names describe, None where both are absent."""
    from fastyolo.errors import SpecError
    from fastyolo.names import read_names
    from fastyolo.spec import ModelSpec

    class_names = read_names(names) if names is not None else None
    if cfg == "yolov4-tiny":
        spec = ModelSpec.yolov4_tiny(nms="diou")  # its .cfg says greedynms
        return spec if class_names is None else dataclasses.replace(spec, names=class_names)
    if cfg is not None:
        spec = ModelSpec.from_cfg(cfg, names=class_names)
        return spec if class_names is not None else _with_names_of(spec, model)
    if class_names is None:
        return None
    from fastyolo.detector import BUNDLED_MODEL

    spec = ModelSpec.from_model(model if model is not None else BUNDLED_MODEL)
    if len(class_names) != spec.num_classes:
        raise SpecError(f"{names} must hold {spec.num_classes} class names for this model, got {len(class_names)}")
    return dataclasses.replace(spec, names=class_names)


def _with_names_of(spec, model: Path | None):  # type: ignore[no-untyped-def]
    """A .cfg names no classes: where the model does, and as many, its names stay."""
    from fastyolo.detector import BUNDLED_MODEL
    from fastyolo.metadata import find_metadata
    from fastyolo.spec import ModelSpec

    metadata = find_metadata(model if model is not None else BUNDLED_MODEL)
    if metadata is None:
        return spec
    names = ModelSpec.from_dict(metadata).names
    return dataclasses.replace(spec, names=names) if len(names) == spec.num_classes else spec
