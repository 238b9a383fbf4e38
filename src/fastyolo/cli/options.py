"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import dataclasses
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastyolo.input_range import InputRange
    from fastyolo.runtime.session import Session
    from fastyolo.spec import ModelSpec

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
NamesOption = Annotated[
    str | None,
    typer.Option(
        "--names",
        metavar="FILE|coco",
        help="Class names, one per line, or 'coco' for COCO's own spelling. Wins over metadata.",
    ),
]
InputRangeOption = Annotated[
    str | None,
    typer.Option(
        "--input-range",
        metavar="LOW,HIGH",
        help="What black and white are to the network, such as 0,255 or -1,1. Default: what the model says, else 0,1.",
    ),
]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", metavar="auto|litert|tflite-runtime|tensorflow", help="Accept this runtime only.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|npu|auto|vx|ethosu|neutron|teflon|LIB.so[,key=value...]",
        help="The CPU, this chip's NPU, whichever is there, or a delegate, with its options.",
    ),
]
AllowCpuOption = Annotated[
    bool, typer.Option("--allow-cpu", help="Run on the CPU where the device takes nothing of the model.")
]
NoGraphCacheOption = Annotated[
    bool, typer.Option("--no-graph-cache", help="Do not keep the graph that the vx delegate compiles.")
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


def say_device(session: Session, device: str) -> None:
    """What --device auto chose and why, and a line now and then while a first inference takes long."""
    from fastyolo.cli.console import say

    if device.partition(",")[0] == "auto":
        say(f"auto chose {session.device}: {session.why}")
    if session.first_run is not None:
        session.first_run.notice = lambda seconds: say(f"first inference on {session.device}: {seconds:.0f} s so far")


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


def spec_from_options(model: Path | None, cfg: str | None, names: str | None) -> ModelSpec | None:
    """The `ModelSpec` that --cfg and --names describe, None where both are absent."""
    from fastyolo.errors import SpecError
    from fastyolo.names import renamed
    from fastyolo.spec import ModelSpec

    class_names = names_from_option(names)
    if cfg == "yolov4-tiny":
        spec = ModelSpec.yolov4_tiny(nms="diou")  # its .cfg says greedynms
        return spec if class_names is None else dataclasses.replace(spec, names=class_names)
    if cfg is not None:
        spec = ModelSpec.from_cfg(cfg, names=class_names)
        return spec if class_names is not None else _with_names_of(spec, model)
    if names is None or class_names is None:
        return None
    from fastyolo.detector import BUNDLED_MODEL

    spec = ModelSpec.from_model(model if model is not None else BUNDLED_MODEL)
    if names != "coco" and len(class_names) != spec.num_classes:
        raise SpecError(f"{names} must hold {spec.num_classes} class names for this model, got {len(class_names)}")
    return dataclasses.replace(spec, names=renamed(spec.names, "coco" if names == "coco" else class_names))


def names_from_option(names: str | None) -> tuple[str, ...] | None:
    """The class names that --names gives."""
    from fastyolo.names import coco_names, read_names

    return coco_names() if names == "coco" else None if names is None else read_names(names)


def range_from_option(text: str | None) -> InputRange | None:
    """The two numbers of --input-range."""
    from fastyolo.errors import OptionError
    from fastyolo.input_range import check_input_range

    if text is None:
        return None
    try:
        return check_input_range(text.split(","))
    except OptionError:
        raise OptionError(f"--input-range must be LOW,HIGH, such as 0,255 or -1,1, got {text!r}") from None


def _with_names_of(spec: ModelSpec, model: Path | None) -> ModelSpec:
    """A .cfg names no classes: where the model does, and as many, its names stay."""
    from fastyolo.detector import BUNDLED_MODEL
    from fastyolo.metadata import find_metadata
    from fastyolo.spec import ModelSpec

    metadata = find_metadata(model if model is not None else BUNDLED_MODEL)
    if metadata is None:
        return spec
    names = ModelSpec.from_dict(metadata).names
    return dataclasses.replace(spec, names=names) if len(names) == spec.num_classes else spec
