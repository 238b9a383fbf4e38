"""How a file is written: completely or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, Any, Literal, overload

from fastyolo.errors import FastYoloError
from fastyolo.texts import printable

# What writing itself may report. Anything else the caller's block raises is the caller's own.
_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@overload
def atomic_write(path: str | os.PathLike[str]) -> AbstractContextManager[IO[bytes]]: ...
@overload
def atomic_write(path: str | os.PathLike[str], *, text: Literal[True]) -> AbstractContextManager[IO[str]]: ...
def atomic_write(path: str | os.PathLike[str], *, text: bool = False) -> AbstractContextManager[IO[Any]]:
    """Give a file object whose content appears under `path` when the block ends, and only if it ends well.

    The content goes to a hidden file in the same folder (so that the final step is a rename on one file system), which
    is removed on any exception, Ctrl-C and SystemExit included. An existing file, or a symbolic link at `path`, is
    replaced. Text is UTF-8 with the line ends as written. Nothing is synced to the disk: the promise holds against a
    program that dies, not against a power cut.

    Raises:
        FastYoloError: the folder is missing or not writable, `path` is a folder or a device, or the disk is full.
    """
    return _atomic_write(path, text)


@contextmanager
def _atomic_write(path: str | os.PathLike[str], text: bool) -> Iterator[IO[Any]]:
    target = os.fspath(path)
    _check_target(target)
    temporary = os.path.join(os.path.dirname(target), f".fastyolo-{secrets.token_hex(8)}.tmp")
    file: IO[Any] | None = None
    try:
        try:
            # Mode "x" creates with 0o666 less the umask, like any other file; tempfile would make it private.
            file = open(temporary, "x", encoding="utf-8", newline="") if text else open(temporary, "xb")  # noqa: SIM115
        except OSError as error:
            raise _cannot_write(target, error) from None
        try:
            yield file
            file.close()
        except OSError as error:
            # A failed write carries no file name; an error with one is about some other file.
            if error.errno in _WRITE_ERRORS and error.filename is None:
                raise _cannot_write(target, error) from None
            raise
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise _cannot_write(target, error) from None
    finally:
        # In `finally`, not behind a flag: an interrupt may arrive between any two lines above.
        if file is not None:
            with suppress(OSError):
                file.close()
        with suppress(OSError):
            os.unlink(temporary)


def shown(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """The path as it can be printed on one line anywhere: control characters and undecodable bytes are escaped."""
    return printable(os.fsdecode(path)) or "''"


def _check_target(target: str) -> None:
    try:
        status = os.stat(target)
    except OSError:
        return  # most often because it does not exist yet; creating it will tell
    except ValueError as error:
        raise _cannot_write(target, error) from None  # a NUL character in the name
    if stat.S_ISDIR(status.st_mode):
        raise FastYoloError(f"cannot write {shown(target)}: it is a folder")
    if not stat.S_ISREG(status.st_mode):
        # Renaming onto /dev/null would replace the device for the whole machine.
        raise FastYoloError(f"cannot write {shown(target)}: it is not a regular file")


def _cannot_write(target: str, error: OSError | ValueError) -> FastYoloError:
    folder = os.path.dirname(target) or "."
    if isinstance(error, FileNotFoundError) and target:
        reason = f"the folder {shown(folder)} does not exist"
    elif isinstance(error, PermissionError):
        reason = f"no permission to write in {shown(folder)}"
    else:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return FastYoloError(f"cannot write {shown(target)}: {reason}")
