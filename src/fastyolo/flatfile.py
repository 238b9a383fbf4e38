"""What a .tflite file says of its inputs, outputs and operators, read without a TFLite runtime.

Field numbers and types are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from fastyolo.errors import ModelError
from fastyolo.files import shown
from fastyolo.flatbuffer import Buffer, Reader, Table

_TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
)  # fmt: skip
# Field numbers of schema.fbs.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_OPERATOR_CODE, _OPERATOR_INPUTS = 0, 1
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3
_CODE_OLD, _CODE_CUSTOM, _CODE_BUILTIN, _BUFFER_DATA = 0, 1, 3, 0
_CONVOLUTIONS = (3, 4)  # CONV_2D, DEPTHWISE_CONV_2D
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
    """A model's tensors, in its own order, and its operators that no runtime knows by itself, such as "ethos-u".

    `weight_scales` says for every convolution how many scales its weights have: 0 for float ones, 1 for one of all,
    else one for each filter.
    """

    inputs: tuple[FlatTensor, ...]
    outputs: tuple[FlatTensor, ...]
    custom_operators: tuple[str, ...]
    weight_scales: tuple[int, ...] = ()


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
    codes = list(model.tables(_MODEL_CODES))
    tensors = list(graphs[0].tables(_GRAPH_TENSORS))
    names = [code.text(_CODE_CUSTOM) for code in codes]
    return FlatFile(
        _tensors(graphs[0], _GRAPH_INPUTS, tensors),
        _tensors(graphs[0], _GRAPH_OUTPUTS, tensors),
        tuple(dict.fromkeys(name for name in names if name)),
        tuple(_weight_scales(graphs[0], codes, tensors)),
    )


def _weight_scales(graph: Table, codes: list[Table], tensors: list[Table]) -> Iterator[int]:
    for operator in graph.tables(_GRAPH_OPERATORS):
        index = operator.number(_OPERATOR_CODE)
        inputs = operator.numbers(_OPERATOR_INPUTS, _MAX_TENSORS)
        if not 0 <= index < len(codes):
            raise ModelError("it is cut off, or damaged")
        code = max(codes[index].number(_CODE_OLD, "<b"), codes[index].number(_CODE_BUILTIN))
        if code in _CONVOLUTIONS and len(inputs) > 1:
            if not 0 <= inputs[1] < len(tensors):
                raise ModelError("it is cut off, or damaged")
            quantization = tensors[inputs[1]].table(_TENSOR_QUANTIZATION)
            yield 0 if quantization is None else len(quantization.numbers(_QUANTIZATION_SCALE, _MAX_CHANNELS, "f"))


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
