"""Whether a model and a device fit each other, by what the file says, before anything runs."""

from __future__ import annotations

import warnings

from fastyolo.errors import ModelError
from fastyolo.flatbuffer import Reader, Table, model_content
from fastyolo.runtime.devices import Device

# The custom operator a compiler leaves in place of the graph: the device that runs it, who made it, on which chip.
_COMPILED = {
    "ethos-u": ("ethosu", "compiled by Vela for the Ethos-U of the i.MX 93"),
    "NeutronGraph": ("neutron", "converted for the Neutron NPU of the i.MX 95"),
}
_FLOAT32 = 0


def check_fit(path: str, device: Device) -> None:
    """Raise `ModelError` for a model that this device is known not to run; a library of unknown kind is believed.

    What runs, only slowly, is a warning.
    """
    if device.kind == "delegate":
        return
    with model_content(path) as content:
        problem, slow = _misfit(Reader(content).root(), device.kind)
    if problem:
        raise ModelError(f"{path} {problem}")
    if slow:
        warnings.warn(f"{path} {slow}", stacklevel=4)


def _misfit(model: Table, kind: str) -> tuple[str, str]:
    """What stops this model on that device, and what slows it down."""
    compiled = [code.text(1) for code in model.tables(1) if code.text(1) in _COMPILED]
    for name in compiled:
        needed, what = _COMPILED[name]
        if needed != kind:
            return (
                f"is {what} and runs nowhere else: use --device {needed} there, or the int8 file it comes from",
                "",
            )
    if kind == "ethosu" and not compiled:
        return "is not compiled for the Ethos-U, which runs nothing else: compile it with fastyolo compile first", ""
    if kind == "cpu" or compiled:
        return "", ""
    graph = next(model.tables(2), None)
    if graph is None:
        return "", ""
    tensors = list(graph.tables(0))
    inputs = [tensors[index] for index in graph.numbers(1) if 0 <= index < len(tensors)]
    if any(tensor.number(1, "<b") == _FLOAT32 for tensor in inputs):
        cure = "give it the int8 file (fastyolo export makes both)"
        if kind == "vx":
            return "", f"is a float model, which this NPU computes many times slower than int8: {cure}"
        return f"is a float model, and this NPU computes in int8: {cure}", ""
    if kind == "teflon" and any(_scales(tensor) > 1 for tensor in tensors):
        return "has weights with a scale per channel, which Mesa's delegate refuses: it needs one scale per tensor", ""
    return "", ""


def _scales(tensor: Table) -> int:
    quantization = tensor.table(4)
    return quantization.extent(2, 4)[1] if quantization is not None else 0
