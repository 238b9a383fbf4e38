"""What a model may ask for, found out before a runtime sees it.

A few changed bytes make a runtime take gigabytes and minutes: an input of another size, a stride of 1, padding by a
million. It asks the system for all of it and has no limit of its own. Limits of the process (setrlimit) would hold for
everything else in it too, and where memory is refused a runtime aborts; loading first in a process of its own would
double what starting costs, seconds on a board. So the file's own words are gone through instead: the size of every
tensor, as the runtimes will compute it from the input on, and which of them are needed at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fastyolo.errors import ModelError
from fastyolo.flatbuffer import Buffer, Reader, Table, model_content
from fastyolo.runtime.shapes import Operator, Shape, Tensor, output_shapes, products

MAX_MEMORY = 1 << 30
"""Bytes that a model's tensors may take at one time: about five times what YOLOv4 at 608 x 608 in float32 does."""

_PRODUCTS_PER_BYTE = 1024
"""Multiplications of a picture for each byte of `max_memory`: at 1 GiB fifteen times those of YOLOv4 at 608 x 608."""

_MOST_DIMENSIONS = 8
# Bytes of an element by TensorType; any other counts as the largest.
_ELEMENT_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 5: 16, 6: 1, 7: 2, 8: 8, 9: 1, 10: 8, 12: 8, 15: 4, 16: 2, 17: 1}
_LARGEST_ELEMENT = 16


@dataclass(frozen=True)
class Needs:
    """What running a model takes: bytes of tensors at one time, multiplications, and the largest tensor."""

    memory: int
    products: int
    largest: str


def check_limits(path: str, max_memory: int = MAX_MEMORY) -> None:
    """Raise `ModelError` for a model that is damaged, or asks for more than `max_memory` bytes or work to match."""
    with model_content(path) as content:
        needs = find_needs(content)
    cure = "if you trust it, allow more with max_memory= (--max-memory on the command line)"
    if needs.memory > max_memory:
        raise ModelError(
            f"{path} asks for {_megabytes(needs.memory)} of memory, more than the limit of {_megabytes(max_memory)}; "
            f"its largest tensor is {needs.largest}; {cure}"
        )
    if needs.products > max_memory * _PRODUCTS_PER_BYTE:
        raise ModelError(
            f"{path} asks for {needs.products / 1e9:.3g} billion multiplications a picture, more than "
            f"{max_memory * _PRODUCTS_PER_BYTE / 1e9:.3g}; {cure}"
        )


def find_needs(content: Buffer) -> Needs:
    """Go through a .tflite file's content.

    Raises:
        ModelError: it is damaged, or its needs depend on what it computes.
    """
    reader = Reader(content)
    model = reader.root()
    constants = [_constant(reader, buffer) for buffer in model.tables(4)]
    codes = [max(code.number(0, "<b"), code.number(3)) for code in model.tables(1)]
    needs = [_needs_of(graph, constants, codes) for graph in model.tables(2)]
    if not needs:
        raise ModelError("it holds no graph")
    largest = max(needs, key=lambda graph: graph.memory)
    return Needs(sum(graph.memory for graph in needs), sum(graph.products for graph in needs), largest.largest)


def _constant(reader: Reader, buffer: Table) -> memoryview | None:
    """A buffer's bytes; None for one whose tensors are computed."""
    start, length = buffer.extent(0)
    outside, size = buffer.number(1, "<Q"), buffer.number(2, "<Q")
    if outside > 1:  # content behind the FlatBuffer, of files of more than 2 GB
        start, length = outside, size
    if start + length > reader.size:
        raise ModelError("it is cut off, or damaged")
    return memoryview(bytes(reader.content[start : start + min(length, 64)])) if length else None


def _needs_of(graph: Table, constants: Sequence[memoryview | None], codes: Sequence[int]) -> Needs:
    tensors = [_tensor(tensor, constants) for tensor in graph.tables(0)]
    operators = [_operator(operator, codes, len(tensors)) for operator in graph.tables(3)]
    ends = [*_indices(graph, 1, len(tensors)), *_indices(graph, 2, len(tensors))]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    work = 0
    for index in ends:
        first[index], last[index] = -1, len(operators)
    for step, operator in enumerate(operators):
        inputs = [tensors[index] if index >= 0 else None for index in operator.inputs]
        outputs = [tensors[index] for index in operator.outputs if index >= 0]
        for tensor, shape in zip(outputs, output_shapes(operator, inputs, outputs), strict=True):
            tensor.shape = shape
        work += products(operator, inputs, outputs)
        for index in (*operator.inputs, *operator.outputs):
            if index >= 0 and tensors[index].content is None:
                first.setdefault(index, step)
                last[index] = max(last.get(index, step), step)
    sizes = {index: _bytes(tensors[index]) for index in first}
    largest = max(sizes, key=lambda index: sizes[index], default=None)
    shown = f"{tensors[largest].name} {tensors[largest].shape}" if largest is not None else "none"
    return Needs(_peak(first, last, sizes, len(operators)), work, shown)


def _peak(first: dict[int, int], last: dict[int, int], sizes: dict[int, int], steps: int) -> int:
    """The most bytes that are needed at one step; a tensor's are from the first step that touches it to the last."""
    changes = [0] * (steps + 3)
    for index, size in sizes.items():
        changes[first[index] + 1] += size
        changes[last[index] + 2] -= size
    peak = current = 0
    for change in changes:
        current += change
        peak = max(peak, current)
    return peak


def _tensor(table: Table, constants: Sequence[memoryview | None]) -> Tensor:
    shape = table.numbers(0, _MOST_DIMENSIONS)
    name = table.text(3)
    if any(side < 0 for side in shape):
        raise ModelError(f"its tensor {name} has the shape {shape}")
    buffer = table.number(2, "<I")
    if buffer >= len(constants):
        raise ModelError("it is cut off, or damaged")
    # A sparse one is written out in full.
    content = constants[buffer] if table.table(6) is None else None
    return Tensor(name, shape, table.number(1, "<b"), content)


def _operator(table: Table, codes: Sequence[int], tensors: int) -> Operator:
    code = table.number(0, "<I")
    if code >= len(codes):
        raise ModelError("it is cut off, or damaged")
    return Operator(codes[code], _indices(table, 1, tensors), _indices(table, 2, tensors), table.table(4))


def _indices(table: Table, field: int, tensors: int) -> Shape:
    """Numbers of tensors, -1 for one that is left out."""
    indices = table.numbers(field)
    if any(not -1 <= index < tensors for index in indices):
        raise ModelError("it is cut off, or damaged")
    return indices


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * _ELEMENT_BYTES.get(tensor.type, _LARGEST_ELEMENT)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.4g} MB"
