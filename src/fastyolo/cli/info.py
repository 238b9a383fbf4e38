"""``fastyolo info``: what is installed, what it runs on, what is in a model."""

from __future__ import annotations

import json
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastyolo.cli.options import (
    AllowCpuOption,
    DebugOption,
    DeviceOption,
    MaxMemoryOption,
    ModelOption,
    ThreadsOption,
    bytes_from_option,
)
from fastyolo.texts import printable

if TYPE_CHECKING:
    from fastyolo.runtime.session import RuntimeName, Session


class Format(str, Enum):
    text = "text"
    json = "json"


def info(
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    allow_cpu: AllowCpuOption = False,
    threads: ThreadsOption = None,
    max_memory: MaxMemoryOption = None,
    output_format: Annotated[Format, typer.Option("--format", help="For people, or for programs.")] = Format.text,
    debug: DebugOption = False,
) -> None:
    """Show the version, this machine, its cameras, the TFLite runtimes that really work, and what is in the model.

    Of a model that cannot be run its tensors are shown as well, then why, and the exit code is 1.
    """
    import numpy
    import PIL

    import fastyolo
    from fastyolo.cli.model_record import model_record, unusable_record
    from fastyolo.detector import BUNDLED_MODEL
    from fastyolo.errors import ModelError, RuntimeUnavailableError
    from fastyolo.runtime.machine import machine_record

    path = model if model is not None else BUNDLED_MODEL
    record: dict[str, Any] = {
        "fastyolo": fastyolo.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "machine": machine_record(),
    }
    record["video"] = _video_record()
    record["runtimes"], record["device"] = {}, None
    try:
        record["runtimes"], session = _try_runtimes(path, device, threads, bytes_from_option(max_memory), allow_cpu)
        record["device"] = _device_record(session)
        record["model"], problem = model_record(path, session)
    except (ModelError, RuntimeUnavailableError) as error:
        record["model"], problem = unusable_record(path, error), error
    print(json.dumps(record, indent=2) if output_format is Format.json else _as_text(record))
    if problem is not None:
        raise problem


def _video_record() -> dict[str, Any]:
    """What video is read with, None where it is not installed, and the cameras there are."""
    from importlib import metadata

    from fastyolo.sources.v4l2 import devices, in_words, offers

    try:
        version = metadata.version("av")
    except metadata.PackageNotFoundError:
        version = None
    cameras = {
        device.path: f"{device.card}: {in_words(offers(device.path)) or 'names no format'}"
        for device in devices()
        if device.captures or device.planes_apart
    }
    return {"av": version, "cameras": cameras}


def _try_runtimes(
    path: Path, device: str, threads: int | None, max_memory: int, allow_cpu: bool
) -> tuple[dict[RuntimeName, str], Session]:
    """Build an interpreter with each runtime; the session is that of the one `Detector` would take."""
    from fastyolo.errors import FastYoloError
    from fastyolo.runtime.session import RUNTIMES, open_session

    open_ = partial(open_session, path, device=device, threads=threads, max_memory=max_memory, allow_cpu=allow_cpu)
    chosen = open_()
    found = {}
    for name in RUNTIMES:
        try:
            session = open_(runtime=name)
            state = f"{session.version}, works"
        except FastYoloError as error:
            state = "not installed" if f"{name} is not installed" in str(error) else str(error)
        found[name] = f"{state}, preferred" if name == chosen.runtime else state
    return found, chosen


def _device_record(session: Session) -> dict[str, Any]:
    """What runs the model, what this chip has for it, and who took which operators."""
    from fastyolo.errors import FastYoloError
    from fastyolo.runtime.devices import find_chip, find_device

    try:
        found = find_device("npu")
        npu = f"{found.kind}, {found.delegate.library if found.delegate else ''}"
    except FastYoloError as error:
        npu = str(error)
    ran = session.ran.to_dict() if session.ran is not None else None
    return {"name": session.device, "why": session.why, "chip": find_chip()[0], "npu": npu, "ran": ran}


def _as_text(record: dict[str, Any]) -> str:
    from fastyolo.cli.model_weights import weights_text

    machine, model = record["machine"], record["model"]
    lines = [
        f"fastyolo     {record['fastyolo']} (numpy {record['numpy']}, pillow {record['pillow']})",
        f"machine      {machine['board'] or machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        f"cpu          {machine['cpu']}: {' '.join(machine['features']) or 'no listed features'}",
        f"python       {machine['python']}, {machine['libc']}",
        f"video        {'av ' + record['video']['av'] if record['video']['av'] else 'needs the package av'}",
        *_listing("cameras", [f"{path}, {what}" for path, what in record["video"]["cameras"].items()]),
        *_listing("runtimes", [f"{name}: {state}" for name, state in record["runtimes"].items()]),
        *_listing("device", _device_text(record["device"])),
        f"model        {model['path']} ({model['bytes'] / 1e6:.1f} MB)",
        *_listing("input", [text for tensor in model["inputs"] for text in _input_text(tensor)]),
        *_listing("outputs", [_tensor_text(tensor) for tensor in model["outputs"]]),
        *_listing("weights", weights_text(model["weights"])),
    ]
    metadata = model["metadata"]
    if metadata is None and model["problem"] is not None:
        return "\n".join(map(printable, lines))
    if metadata is None:
        return "\n".join(map(printable, [*lines, "metadata     none: needs --cfg and --names"]))
    heads = [
        f"stride {head['stride']}, scale_x_y {head['scale_x_y']}, anchors "
        + " ".join(f"{width:g},{height:g}" for width, height in head["anchors"])
        for head in metadata["heads"]
    ]
    last = [f"classes      {model['classes']}", _use_text(metadata)]
    return "\n".join(map(printable, [*lines, *_listing("heads", heads), *last]))


def _device_text(device: dict[str, Any] | None) -> list[str]:
    """What runs the model, nothing where none can."""
    if device is None:
        return []
    from fastyolo.runtime.ran import Ran

    ran = str(Ran(**device["ran"])) if device["ran"] is not None else "the runtime does not tell which operators"
    return [f"{device['name']}: {ran}", f"NPU: {device['npu']}"]


def _use_text(metadata: dict[str, Any]) -> str:
    """How pictures are fitted and boxes suppressed unless an option says otherwise."""
    return f"use          {metadata.get('resize', 'stretch')}, NMS {metadata.get('nms', 'iou')}"


def _input_text(tensor: dict[str, Any]) -> list[str]:
    """The tensor, and what pictures become in it where they can become one."""
    text = _tensor_text(tensor)
    if tensor["color"] is None:
        return [text]
    wanted = tensor["range"]
    levels = "unknown: needs --input-range" if wanted is None else f"{wanted[0]:g}, white {wanted[1]:g}"
    if tensor["color"] == "grey":
        return [text, f"grey, also made of images in colour, black {levels}"]
    return [text, f'RGB (arrays too: color="bgr" for OpenCV\'s), black {levels}']


def _listing(title: str, rows: list[str]) -> list[str]:
    return [f"{title if not index else '':<12} {row}" for index, row in enumerate(rows)]


def _tensor_text(tensor: dict[str, Any]) -> str:
    scale = tensor["quantization"]
    suffix = f", scale {scale[0]:.6g}, zero point {scale[1]}" if scale else ""
    return f"{tensor['name']} {tuple(tensor['shape'])} {tensor['dtype']}{suffix}"
