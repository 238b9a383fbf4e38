"""What a .tflite file says of its inputs, outputs and operators, read without a TFLite runtime.

Field numbers and types are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass

from fastyolo.errors import ModelError
from fastyolo.files import shown
from fastyolo.flatbuffer import Buffer, Reader, Table

_TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
)  # fmt: skip
# Field numbers of schema.fbs.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 0, 1, 2
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3
_CODE_CUSTOM, _BUFFER_DATA = 1, 0
_MAX_TENSORS, _MAX_RANK, _MAX_CHANNELS = 256, 8, 1 << 16


@dataclass(frozen=True, slots=True)
class FlatTensor:
    """One input or output. `scales` and `zero_points` are as long as the file says: empty for a float tensor, one pair
    for a tensor of one scale, more for a scale per channel."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlatFile:
    """A model's tensors, in its own order, and its operators that no runtime knows by itself, such as "ethos-u"."""

    inputs: tuple[FlatTensor, ...]
    outputs: tuple[FlatTensor, ...]
    custom_operators: tuple[str, ...]


def read_flatfile(path: str | os.PathLike[str]) -> FlatFile:
    """Read a .tflite file's description of itself.

    Raises:
        ModelError: it cannot be read, is no TFLite model, or ends before what it points to.
    """
    try:
        # A named pipe would block open(), and a device would never end.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"cannot read model {shown(path)}: expected a file, got a folder or device")
        with open(path, "rb") as file:
            head = file.read(8)
            if head[4:] != b"TFL3":
                raise ModelError(f"{shown(path)} is not a TFLite model: expected 'TFL3' at byte 4, got {head[4:]!r}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _parsed(content, shown(path))
    except OSError as error:
        raise ModelError(f"cannot read model {shown(path)}: {error.strerror}") from None
    except ValueError as error:  # a path with a NUL character
        raise ModelError(f"cannot read model {shown(path)}: {error}") from None


def _parsed(content: Buffer, name: str) -> FlatFile:
    try:
        return _parse(content)
    except ModelError as error:
        raise ModelError(f"{name} cannot be read: {error}") from None


def _parse(content: Buffer) -> FlatFile:
    model = Reader(content).root()
    graphs = list(model.tables(_MODEL_GRAPHS))
    if not graphs:
        raise ModelError("it holds no graph")
    # Weights lie anywhere in the file: where it was cut off, some of them end beyond it.
    for buffer in model.tables(_MODEL_BUFFERS):
        buffer.extent(_BUFFER_DATA)
    codes = [code.text(_CODE_CUSTOM) for code in model.tables(_MODEL_CODES)]
    tensors = list(graphs[0].tables(_GRAPH_TENSORS))
    return FlatFile(
        _tensors(graphs[0], _GRAPH_INPUTS, tensors),
        _tensors(graphs[0], _GRAPH_OUTPUTS, tensors),
        tuple(dict.fromkeys(code for code in codes if code)),
    )


def _tensors(graph: Table, field: int, known: list[Table]) -> tuple[FlatTensor, ...]:
    indices = graph.numbers(field, _MAX_TENSORS)
    if not all(0 <= index < len(known) for index in indices):
        raise ModelError("it is cut off, or damaged")
    return tuple(_tensor(known[index]) for index in indices)


def _tensor(table: Table) -> FlatTensor:
    code = table.number(_TENSOR_TYPE, "<B")
    quantization = table.table(_TENSOR_QUANTIZATION)
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    if quantization is not None:
        scales = quantization.numbers(_QUANTIZATION_SCALE, _MAX_CHANNELS, "f")
        zero_points = quantization.numbers(_QUANTIZATION_ZERO_POINT, _MAX_CHANNELS, "q")
    return FlatTensor(
        table.text(_TENSOR_NAME),
        table.numbers(_TENSOR_SHAPE, _MAX_RANK),
        _TYPES[code] if code < len(_TYPES) else f"type {code}",
        scales,
        zero_points,
    )
