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
        return [outputs[position] for position in match_heads(spec, shapes, names=names, head_names=head_names)]
    except HeadError as error:
        raise ModelError(str(error)) from None
