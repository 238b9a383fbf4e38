"""Reading a FlatBuffer that nobody vouches for: every offset is checked before it is followed.

The layout is FlatBuffers' own (https://flatbuffers.dev/internals): a table begins with the way back to its vtable,
which says where each field lies; what is not of a fixed size lies behind an offset. The readers that schemas are
compiled to trust all of it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastyolo.errors import ModelError

Buffer = bytes | bytearray | mmap.mmap

MAX_ITEMS = 1 << 18
"""Tables and numbers read of one file: offsets may lead many times to the same place."""


@contextmanager
def model_content(path: str) -> Iterator[Buffer]:
    """The bytes of a .tflite file; whatever is wrong with them in the block is a `ModelError` that names the file."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read model {path}: {error}") from None
    except ModelError as error:
        raise ModelError(f"{path} cannot be loaded: {error}") from None


class Reader:
    """The bytes of one file, and how much of it has been read."""

    def __init__(self, content: Buffer) -> None:
        self.content = content
        self.size = len(content)
        self._left = MAX_ITEMS

    def root(self) -> Table:
        return Table(self, self.offset(0))

    def number(self, kind: str, at: int) -> int:
        """The integer of this `struct` type at a position."""
        try:
            number: int = struct.unpack_from(kind, self.content, at)[0]
        except struct.error:
            raise ModelError("it is cut off, or damaged") from None
        return number

    def offset(self, at: int) -> int:
        """Where the offset stored at a position leads to."""
        return at + self.number("<I", at)

    def count(self, items: int) -> None:
        self._left -= items
        if self._left < 0:
            raise ModelError(f"it describes more than {MAX_ITEMS} things")


class Table:
    """One table. Fields are asked for by their number in the schema."""

    __slots__ = ("_fields", "_reader", "_start")

    def __init__(self, reader: Reader, start: int) -> None:
        reader.count(1)
        self._reader, self._start = reader, start
        vtable = start - reader.number("<i", start)
        if vtable < 0:
            raise ModelError("it is cut off, or damaged")
        self._fields = vtable, reader.number("<H", vtable)

    def _place(self, field: int) -> int:
        """Where the field lies, 0 where it is left out."""
        vtable, size = self._fields
        at = 4 + 2 * field
        inside = self._reader.number("<H", vtable + at) if at + 2 <= size else 0
        return self._start + inside if inside else 0

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        at = self._place(field)
        return self._reader.number(kind, at) if at else default

    def table(self, field: int) -> Table | None:
        at = self._place(field)
        return Table(self._reader, self._reader.offset(at)) if at else None

    def extent(self, field: int, item: int = 1) -> tuple[int, int]:
        """Position and length of a vector whose items have so many bytes; it lies within the file."""
        at = self._place(field)
        if not at:
            return 0, 0
        start = self._reader.offset(at)
        length = self._reader.number("<I", start)
        if start + 4 + length * item > self._reader.size:
            raise ModelError("it is cut off, or damaged")
        return start + 4, length

    def numbers(self, field: int, most: int | None = None, kind: str = "i") -> tuple[Any, ...]:
        """A vector of 32-bit integers, or of another of `struct`'s types."""
        start, length = self.extent(field, struct.calcsize(f"<{kind}"))
        if most is not None and length > most:
            raise ModelError(f"it has a list of {length} numbers where at most {most} make sense")
        self._reader.count(length)
        return struct.unpack_from(f"<{length}{kind}", self._reader.content, start)

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        start, length = self.extent(field, 4)
        for index in range(length):
            at = start + 4 * index
            yield Table(self._reader, self._reader.offset(at))

    def text(self, field: int) -> str:
        start, length = self.extent(field)
        return bytes(self._reader.content[start : start + length]).decode(errors="backslashreplace")
