"""What a .tflite file says of its inputs and outputs, read without a TFLite runtime.

A FlatBuffer is tables that point to each other by offsets. Nothing in a file is believed: every offset and count is
compared with the file's length before it is followed, so damage is an error and never a crash or a huge allocation.
Field numbers and types are those of TensorFlow's ``schema.fbs``.
"""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from fastyolo.errors import ModelError
from fastyolo.files import shown

MAX_MODEL_BYTES = 1 << 30
"""A FlatBuffer's own limit is 2 GiB; networks for boards stay a hundred times below."""

_TYPES = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
)  # fmt: skip
# Field numbers of schema.fbs.
_MODEL_CODES, _MODEL_GRAPHS, _MODEL_BUFFERS = 1, 2, 4
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS = 0, 1, 2
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_QUANTIZATION = 0, 1, 3, 4
_QUANTIZATION_SCALE, _QUANTIZATION_ZERO_POINT = 2, 3
_CODE_CUSTOM, _BUFFER_DATA = 1, 0
_MAX_TABLES, _MAX_TENSORS, _MAX_RANK, _MAX_CHANNELS = 1 << 16, 256, 8, 1 << 16


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
    content = _read(path)
    if content[4:8] != b"TFL3":
        raise ModelError(f"{shown(path)} is not a TFLite model: expected 'TFL3' at byte 4, got {content[4:8]!r}")
    try:
        return _parse(content)
    except (_DamageError, struct.error):
        raise ModelError(f"{shown(path)} is damaged or cut off: it points beyond its {len(content)} bytes") from None


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        # A named pipe would block open(), and a device would never end.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"cannot read model {shown(path)}: expected a file, got a folder or device")
        if status.st_size > MAX_MODEL_BYTES:
            raise ModelError(f"{shown(path)} has {status.st_size} bytes, expected at most {MAX_MODEL_BYTES}")
        with open(path, "rb") as file:
            return file.read(MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"cannot read model {shown(path)}: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"cannot read model {shown(path)}: {error}") from None


class _DamageError(Exception):
    """An offset, a count or a text that cannot be what its place says."""


def _parse(content: bytes) -> FlatFile:
    model = _Table(content, _offset(content, 0))
    graphs = model.tables(_MODEL_GRAPHS)
    if not graphs:
        _damaged()
    # Weights lie anywhere in the file: where it was cut off, some of them end beyond it.
    for buffer in model.tables(_MODEL_BUFFERS):
        buffer.vector(_BUFFER_DATA, 1)
    codes = (code.text(_CODE_CUSTOM) for code in model.tables(_MODEL_CODES))
    return FlatFile(
        _tensors(graphs[0], _GRAPH_INPUTS),
        _tensors(graphs[0], _GRAPH_OUTPUTS),
        tuple(dict.fromkeys(code for code in codes if code)),
    )


def _tensors(graph: _Table, field: int) -> tuple[FlatTensor, ...]:
    known = graph.tables(_GRAPH_TENSORS)
    indices = graph.numbers(field, "i", _MAX_TENSORS)
    if not all(0 <= index < len(known) for index in indices):
        _damaged()
    return tuple(_tensor(known[index]) for index in indices)


def _tensor(table: _Table) -> FlatTensor:
    code = table.byte(_TENSOR_TYPE)
    quantization = table.table(_TENSOR_QUANTIZATION)
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    if quantization is not None:
        scales = quantization.numbers(_QUANTIZATION_SCALE, "f", _MAX_CHANNELS)
        zero_points = tuple(
            int(number) for number in quantization.numbers(_QUANTIZATION_ZERO_POINT, "q", _MAX_CHANNELS)
        )
    return FlatTensor(
        table.text(_TENSOR_NAME),
        tuple(int(side) for side in table.numbers(_TENSOR_SHAPE, "i", _MAX_RANK)),
        _TYPES[code] if code < len(_TYPES) else f"type {code}",
        scales,
        zero_points,
    )


class _Vector(NamedTuple):
    start: int
    length: int


class _Table:
    """One table: its fields by number, each where the table's own index says, or absent."""

    def __init__(self, content: bytes, start: int) -> None:
        self._content = content
        self._start = start
        self._index = start - _unpack(content, "i", start)
        self._index_size = _unpack(content, "H", self._index)

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        offset = _unpack(self._content, "H", self._index + entry) if entry + 2 <= self._index_size else 0
        return self._start + offset if offset else None

    def byte(self, field: int) -> int:
        place = self._place(field)
        return 0 if place is None else int(_unpack(self._content, "B", place))

    def vector(self, field: int, size: int) -> _Vector:
        """Where the items of a vector lie, each of so many bytes, and how many there are."""
        place = self._place(field)
        if place is None:
            return _Vector(0, 0)
        start = _offset(self._content, place)
        count = _unpack(self._content, "I", start)
        if start + 4 + count * size > len(self._content):
            _damaged()
        return _Vector(start + 4, count)

    def numbers(self, field: int, kind: str, most: int) -> tuple[int, ...]:
        start, count = self.vector(field, struct.calcsize(f"<{kind}"))
        if count > most:
            _damaged()
        return struct.unpack_from(f"<{count}{kind}", self._content, start)

    def text(self, field: int) -> str:
        start, count = self.vector(field, 1)
        return self._content[start : start + count].decode("utf-8", "backslashreplace")

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        return None if place is None else _Table(self._content, _offset(self._content, place))

    def tables(self, field: int) -> list[_Table]:
        start, count = self.vector(field, 4)
        if count > _MAX_TABLES:
            _damaged()
        places = (start + 4 * index for index in range(count))
        return [_Table(self._content, _offset(self._content, place)) for place in places]


def _offset(content: bytes, place: int) -> int:
    """Where the offset at `place` leads: forwards, and to something inside the file."""
    target = place + _unpack(content, "I", place)
    if not place < target <= len(content) - 4:
        _damaged()
    return target


def _unpack(content: bytes, kind: str, place: int) -> int:
    if not 0 <= place <= len(content) - struct.calcsize(f"<{kind}"):
        _damaged()
    number: int = struct.unpack_from(f"<{kind}", content, place)[0]
    return number


def _damaged() -> NoReturn:
    raise _DamageError
