"""How the two kinds of file are opened: only regular files, and every failure in one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fastyolo.errors import FastYoloError
from fastyolo.files import shown


@contextmanager
def open_regular(path: str | os.PathLike[str], error: type[FastYoloError]) -> Iterator[tuple[IO[bytes], int]]:
    """Give the file opened for reading and its size in bytes; whatever the system refuses becomes an `error`."""
    try:
        # A named pipe would block open(), and a device would never end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise error(f"cannot read {shown(path)}: expected a file, got a folder or device")
        file = open(path, "rb")  # noqa: SIM115
    except OSError as cause:
        raise error(f"cannot read {shown(path)}: {cause.strerror}") from None
    except ValueError as cause:
        if isinstance(cause, FastYoloError):
            raise
        raise error(f"cannot read {shown(path)}: {cause}") from None
    with file:
        try:
            yield file, os.fstat(file.fileno()).st_size
        except OSError as cause:
            raise error(f"cannot read {shown(path)}: {cause.strerror}") from None
