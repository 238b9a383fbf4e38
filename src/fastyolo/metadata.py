"""The metadata inside a .tflite file: a ZIP archive appended to it, which TFLite ignores and every unzip can read."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

from fastyolo.errors import ModelError

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
            if archive.getinfo(METADATA_NAME).file_size > MAX_METADATA_BYTES:
                raise ModelError(f"{os.fspath(path)} has metadata of over {MAX_METADATA_BYTES} bytes; it is not ours")
            metadata = json.loads(archive.read(METADATA_NAME))
    except (zipfile.BadZipFile, KeyError):
        return None
    except OSError as error:
        raise ModelError(f"cannot read model {os.fspath(path)}: {error.strerror}") from None
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{os.fspath(path)} has damaged metadata: {error}") from None
    # Other exporters append a metadata.json of their own; theirs does not describe heads.
    return metadata if isinstance(metadata, dict) and "heads" in metadata else None
