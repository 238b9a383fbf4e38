"""Which operations compute an activation of Darknet, and which of them exist in int8."""

from __future__ import annotations

from collections.abc import Sequence

from fastyolo.darknet import Convolutional, Layer, Product, Shortcut
from fastyolo.darknet.cfg import shorten
from fastyolo.errors import ExportError
from fastyolo.export.emitter import Emitter
from fastyolo.export.graph import Complement, Divide, HardSwish, LeakyRelu, Logistic, Multiply

FUSED = ("linear", "relu", "relu6")
"""These are options of the operation in front of them."""

JOINED = ("linear", "leaky", "relu", "relu6", "logistic")
"""Of layers without weights. Darknet computes nothing sensible with swish and mish there."""

ACTIVATIONS = (*JOINED, "swish", "silu", "mish", "hardswish")
"""Of convolutions. Darknet itself calls silu swish, and has no hardswish: other programs that write its files do."""

NO_INT8 = ("mish",)
"""What TFLite's runtimes can divide in float32 only."""


def check_activation(layer: Convolutional | Shortcut | Product) -> None:
    """Raise `ExportError` for an activation that has no counterpart in TFLite."""
    known = ACTIVATIONS if isinstance(layer, Convolutional) else JOINED
    if layer.activation not in known:
        expected = f"activation {', '.join(known[:-1])} or {known[-1]}"
        got = f"{shorten(layer.activation)[1:-1]}: retrain with one of those"
        raise ExportError(str(layer.section.error(expected, got, key="activation")))


def check_integer_activations(layers: Sequence[Layer]) -> None:
    """Raise `ExportError` for an activation that can be computed in float32 alone."""
    for layer in layers:
        if isinstance(layer, Convolutional) and layer.activation in NO_INT8:
            expected = f"an activation that TFLite can compute in int8 ({', '.join(JOINED)}, swish, hardswish)"
            got = f"{layer.activation}: export float32 alone, or retrain with one of those"
            raise ExportError(str(layer.section.error(expected, got, key="activation")))


def activate(emitter: Emitter, tensor: str, activation: str) -> str:
    """Append what is not yet in the operation that gave the tensor; return the tensor behind it."""
    shape = emitter.shapes[tensor]

    def name(kind: str) -> str:
        return f"{tensor}/{kind}"

    match activation:
        case "leaky":
            return emitter.emit(LeakyRelu((tensor,), (name(activation),)), shape)
        case "logistic":
            return emitter.emit(Logistic((tensor,), (name(activation),)), shape)
        case "hardswish":
            return emitter.emit(HardSwish((tensor,), (name(activation),)), shape)
        case "swish" | "silu":
            gate = emitter.emit(Logistic((tensor,), (name("logistic"),)), shape)
            return emitter.emit(Multiply((tensor, gate), (name("swish"),)), shape)
        case "mish":
            # x * tanh(ln(1 + exp(x))) without an exponential that overflows: with s = logistic(x) and t = s * (2 - s),
            # it is x * t / (2 - t).
            single = emitter.emit(Logistic((tensor,), (name("logistic"),)), shape)
            rest = emitter.emit(Complement((single,), (name("rest"),)), shape)
            twice = emitter.emit(Multiply((single, rest), (name("twice"),)), shape)
            below = emitter.emit(Complement((twice,), (name("below"),)), shape)
            gate = emitter.emit(Divide((twice, below), (name("tanh"),)), shape)
            return emitter.emit(Multiply((tensor, gate), (name(activation),)), shape)
    assert activation in FUSED
    return tensor
