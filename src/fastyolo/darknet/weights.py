"""The numbers of a .weights file, laid out as the .cfg says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastyolo.darknet.kinds import Convolutional, Layer
from fastyolo.darknet.reading import open_regular
from fastyolo.errors import ExportError
from fastyolo.files import shown

Float32Array = npt.NDArray[np.float32]

VERSION_BYTES = 12


@dataclass(frozen=True, eq=False)
class ConvolutionWeights:
    """One convolution's numbers, as trained.

    Attributes:
        weights: float32 (filters, channels that each sees, size, size).
        bias: float32 (filters,); with batch normalisation its shift.
        scale, mean, variance: float32 (filters,) of the batch normalisation; None without one.
    """

    weights: Float32Array
    bias: Float32Array
    scale: Float32Array | None = None
    mean: Float32Array | None = None
    variance: Float32Array | None = None


def read_weights(path: str | os.PathLike[str], layers: Sequence[Layer]) -> tuple[dict[int, ConvolutionWeights], str]:
    """Read a Darknet .weights file.

    The file is a header (three int32: major, minor, revision; then the number of images seen in training, int64 since
    version 0.2 and int32 before) and, per convolution in .cfg order, float32 biases, then with batch normalisation
    scales, means and variances, then the weights. Everything is little-endian.

    Returns:
        The convolutions by layer index, and the SHA-256 of the file in hexadecimal.

    Raises:
        ExportError: unreadable, an unknown version, too short or too long for these layers, or not finite.
    """
    name = shown(os.path.basename(path))
    content = _read(path, name, layers)
    numbers = np.frombuffer(content, "<f4", offset=_header_bytes(name, content)).astype(np.float32)
    found: dict[int, ConvolutionWeights] = {}
    position = 0

    def take(*shape: int) -> Float32Array:
        nonlocal position
        start, position = position, position + int(np.prod(shape))
        return numbers[start:position].reshape(shape)

    for index, layer in enumerate(layers):
        if not isinstance(layer, Convolutional):
            continue
        count = layer.filters
        bias = take(count)
        scale, mean, variance = (take(count), take(count), take(count)) if layer.batch_normalize else (None,) * 3
        weights = take(count, layer.filter_channels, layer.size, layer.size)
        parts = [part for part in (bias, scale, mean, variance, weights) if part is not None]
        if not all(np.isfinite(part).all() for part in parts):
            raise ExportError(f"{name} must hold finite numbers, got NaN or infinity in layer {index} (convolutional)")
        if variance is not None and (variance < 0).any():
            raise ExportError(f"{name} must hold variances of at least 0, got {variance.min():g} in layer {index}")
        found[index] = ConvolutionWeights(weights, bias, scale, mean, variance)
    return found, hashlib.sha256(content).hexdigest()


def count_numbers(layers: Iterable[Layer]) -> int:
    """How many float32 numbers the .weights file of these layers holds."""
    return sum(
        layer.filters * ((4 if layer.batch_normalize else 1) + layer.filter_channels * layer.size**2)
        for layer in layers
        if isinstance(layer, Convolutional)
    )


def _read(path: str | os.PathLike[str], name: str, layers: Sequence[Layer]) -> bytes:
    with open_regular(path, ExportError) as (file, size):
        start = file.read(VERSION_BYTES)
        # Checked before the bulk is read, so that a wrong pair of files costs neither time nor memory.
        expected = _header_bytes(name, start) + 4 * count_numbers(layers)
        content = start + file.read(expected - len(start)) if size == expected else b""
    if len(content) != expected:
        raise ExportError(f"{name} must hold {expected} bytes for this .cfg, got {len(content) or size}")
    return content


def _header_bytes(name: str, start: bytes) -> int:
    """Size of the header, from the version in its first twelve bytes."""
    if len(start) < VERSION_BYTES:
        raise ExportError(f"{name} must begin with a version of {VERSION_BYTES} bytes, got {len(start)} bytes")
    major, minor, revision = np.frombuffer(start[:VERSION_BYTES], "<i4").tolist()
    if major != 0 or minor not in (1, 2):
        raise ExportError(f"{name} must be of Darknet weights version 0.1 or 0.2, got {major}.{minor}.{revision}")
    return VERSION_BYTES + (8 if minor == 2 else 4)
