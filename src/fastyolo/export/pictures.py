"""Which pictures calibrate, and what the network sees of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.files import shown
from fastyolo.frames.picture import read_picture
from fastyolo.letterbox import ResizeMode, placed_size
from fastyolo.preprocess import Preprocessor
from fastyolo.sources.paths import expand_sources

MIN_PICTURES = 8
"""With fewer, one odd picture decides the ranges of whole layers."""

Calibration = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

UInt8Array = npt.NDArray[np.uint8]


def find_pictures(calibration: Calibration) -> tuple[Path, ...]:
    """The calibration pictures that a folder, a pattern, or several of them or of files, stand for; sorted by name.

    Raises:
        ExportError: a folder or pattern without pictures, or fewer than `MIN_PICTURES` of them.
    """
    arguments = [calibration] if isinstance(calibration, str | os.PathLike) else list(calibration)
    files = []
    for source in expand_sources(arguments):
        if source.error is not None:
            raise ExportError(f"cannot calibrate: {source.error}")
        files.append(Path(source.path))
    if len(files) < MIN_PICTURES:
        raise ExportError(f"calibration needs at least {MIN_PICTURES} pictures (100 are better), got {len(files)}")
    return tuple(sorted(files, key=lambda path: (path.name, str(path))))


def describe_pictures(files: Sequence[Path]) -> list[dict[str, str]]:
    """Name and SHA-256 of each file, for the model's metadata."""
    entries = []
    for path in files:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ExportError(f"cannot read calibration picture {shown(path)}: {error.strerror}") from None
        entries.append({"name": path.name, "sha256": digest})
    return entries


@dataclass(frozen=True)
class Pictures:
    """Calibration pictures as network inputs, decoded anew each time they are gone through."""

    files: tuple[Path, ...]
    input_size: tuple[int, int]
    resize: ResizeMode
    channels: int = 3

    def __iter__(self) -> Iterator[UInt8Array]:
        """Yield uint8 (height, width, channels), RGB or grey, read and resized as for inference.

        Raises:
            ImageError: a file cannot be read.
        """
        preprocess = Preprocessor(self.input_size, channels=self.channels, dtype=np.uint8, resize=self.resize)
        needed = partial(placed_size, input_size=self.input_size, resize=self.resize)
        for path in self.files:
            yield preprocess.fill(read_picture(path, needed=needed))[0]

    def __len__(self) -> int:
        return len(self.files)
