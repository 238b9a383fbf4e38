"""The metadata inside a .tflite file: a ZIP archive appended to it, which TFLite ignores and every unzip can read."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from typing import Any

from fastyolo.errors import ModelError
from fastyolo.texts import shortened

METADATA_NAME = "metadata.json"
MAX_METADATA_BYTES = 1 << 24


def append_metadata(model: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Return the model with `metadata` as JSON in a ZIP archive behind it. The same input gives the same bytes."""
    # Append mode on the model itself keeps the archive's offsets right for every ZIP reader.
    buffer = io.BytesIO(model)
    entry = zipfile.ZipInfo(METADATA_NAME, date_time=(1980, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(entry, json.dumps(metadata, indent=1))
    return buffer.getvalue()


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `append_metadata` wrote.

    Raises:
        ModelError: the file cannot be read, or carries no metadata.
    """
    metadata = find_metadata(path)
    if metadata is None:
        raise ModelError(f"{os.fspath(path)} carries no fastyolo metadata; describe it with a .cfg and a .names file")
    return metadata


def find_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Like `read_metadata`, but None for a readable file without fastyolo metadata."""
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = _load(archive)
    except zipfile.BadZipFile:
        return None
    except ModelError as error:
        raise ModelError(f"{os.fspath(path)} has {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise ModelError(f"cannot read model {os.fspath(path)}: {error.strerror}") from None
        raise _damaged(path, error) from None
    except Exception as error:  # zipfile, zlib and json have a dozen kinds for what cannot be
        raise _damaged(path, error) from None
    # Other exporters append a metadata.json of their own; theirs does not describe heads.
    return metadata if isinstance(metadata, dict) and "heads" in metadata else None


def _load(archive: zipfile.ZipFile) -> Any:
    """What the archive's metadata.json says, None where it holds none."""
    try:
        entry = archive.getinfo(METADATA_NAME)
    except KeyError:
        return None
    if entry.file_size > MAX_METADATA_BYTES:
        raise ModelError(f"metadata of over {MAX_METADATA_BYTES} bytes; it is not ours")
    # LZMA lets a file ask for gigabytes.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(f"metadata packed by method {entry.compress_type}, expected it stored or deflated")
    try:
        content = archive.read(entry)
    except zipfile.BadZipFile as error:  # here it is no longer that there is no archive
        raise ValueError(str(error)) from None
    return json.loads(content, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{shortened(text, 20)} is no finite number")
    return number


def _damaged(path: str | os.PathLike[str], error: Exception) -> ModelError:
    return ModelError(f"{os.fspath(path)} has damaged metadata: {str(error) or type(error).__name__}")
