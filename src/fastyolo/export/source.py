"""A .weights file that is read once, whatever the number of files that are made of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from fastyolo.darknet import ConvolutionWeights, Layer, read_weights

Numbers = Mapping[int, ConvolutionWeights]
"""By layer index; no input size changes them."""


class KeptWeights(os.PathLike[str]):
    """The path of a .weights file, which keeps what was read of it for the next size of the same network."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._content: tuple[Numbers, str] | None = None

    def __fspath__(self) -> str:
        return self._path

    def read(self, layers: Sequence[Layer]) -> tuple[Numbers, str]:
        """See `read_weights`."""
        if self._content is None:
            self._content = read_weights(self._path, layers)
        return self._content


def numbers_of(weights: str | os.PathLike[str], layers: Sequence[Layer]) -> tuple[Numbers, str]:
    """What `read_weights` gives, read again or kept."""
    return weights.read(layers) if isinstance(weights, KeptWeights) else read_weights(weights, layers)
