"""How the files of one command are written: all of them, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from fastyolo.errors import ExportError
from fastyolo.files import atomic_write, shown


def write_files(contents: Mapping[Path, bytes]) -> None:
    """Write every file with the folder it lies in; none gets its name before the bytes of all are on the disk.

    Raises:
        FastYoloError: a folder or file that cannot be written, or a full disk.
    """
    for folder in dict.fromkeys(path.parent for path in contents):
        make_folder(folder)
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            # Now, not when it closes: by then an earlier file may have got its name.
            file.flush()


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Create a folder and those above it, unless it is there already."""
    try:
        os.makedirs(folder, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ExportError(f"cannot create {shown(folder)}: {reason}") from None
