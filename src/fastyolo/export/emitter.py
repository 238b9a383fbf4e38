"""The operations so far, and the shapes of their tensors: what a graph is put together in."""

from __future__ import annotations

from fastyolo.darknet.kinds import Shape
from fastyolo.export.graph import INPUT_NAME, Operation


class Emitter:
    """A list of operations that grows."""

    def __init__(self, input_shape: Shape) -> None:
        self.shapes: dict[str, Shape] = {INPUT_NAME: input_shape}
        self.operations: list[Operation] = []

    def emit(self, operation: Operation, *shapes: Shape) -> str:
        """Append an operation with the shapes of its outputs; return the first output."""
        self.shapes.update(zip(operation.outputs, shapes, strict=True))
        self.operations.append(operation)
        return operation.outputs[0]
