"""Which output tensor of a loaded model is which head."""

from __future__ import annotations

from collections.abc import Sequence

from fastyolo.errors import HeadError, ModelError
from fastyolo.heads import match_heads
from fastyolo.runtime.session import TensorInfo
from fastyolo.spec import ModelSpec


def match_outputs(
    outputs: Sequence[TensorInfo], spec: ModelSpec, head_names: Sequence[str] | None = None
) -> list[TensorInfo]:
    """The output tensor of every head of `spec`; `head_names`, of the metadata, tells those of one shape apart.

    Raises:
        ModelError: the model has other outputs, or they cannot be told apart.
    """
    shapes, names = [tensor.shape for tensor in outputs], [tensor.name for tensor in outputs]
    try:
        heads = [outputs[position] for position in match_heads(spec, shapes, names=names, head_names=head_names)]
    except HeadError as error:
        raise ModelError(str(error)) from None
    for tensor in heads:
        _check_readable(tensor)
    return heads


def _check_readable(tensor: TensorInfo) -> None:
    """Raise `ModelError` for a head that no picture could be decoded from, before the first of them comes."""
    if tensor.dtype.name not in ("float32", "int8", "uint8"):
        raise ModelError(
            f"output {tensor.name} must be float32, int8 or uint8, got {tensor.dtype}; convert it to one of these"
        )
    if tensor.dtype.name != "float32" and tensor.quantization is None:
        got = f"{tensor.scales} scales" if tensor.scales > 1 else "none"
        raise ModelError(
            f"output {tensor.name} is {tensor.dtype} and must have one scale and zero point, got {got}; quantise its "
            "outputs per tensor, or leave them in float32"
        )
