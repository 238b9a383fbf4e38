"""The memory of a pipeline's output tensors: used again as soon as the pipeline has let go of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_SLOTS = 16
"""Frames whose memory is kept. Where a queue holds more of them, the others' is returned when they leave it."""


class Slot:
    """The tensors of one frame: flat arrays that own their memory, as NNStreamer takes them, in a list.

    NNStreamer holds a reference to every array until the buffer around its memory is gone, so the counts say whether a
    frame is still on its way; and nobody else who holds the list or an array finds it overwritten.

    Attributes:
        arrays: what `invoke` returns.
        views: the same memory in the shapes in which it is filled.
        used: how many rows or bytes the last frame filled.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], dtype: npt.DTypeLike) -> None:
        self.arrays = [np.zeros(int(np.prod(shape)), dtype) for shape in shapes]
        self.views: list[npt.NDArray[Any]] = [
            array.reshape(shape) for array, shape in zip(self.arrays, shapes, strict=True)
        ]
        self.used = 0
        self._idle = self._references()

    def is_free(self) -> bool:
        """True when nobody but this slot holds the list or one of its arrays."""
        return self._references() == self._idle

    def _references(self) -> int:
        return sum(map(getrefcount, self.arrays), getrefcount(self.arrays))


class Slots:
    """As many slots as frames are on their way at once."""

    def __init__(self, make: Callable[[], Slot]) -> None:
        self._make = make
        self._slots: list[Slot] = []

    def take(self) -> Slot:
        for slot in self._slots:
            if slot.is_free():
                return slot
        slot = self._make()
        if len(self._slots) < MAX_SLOTS:
            self._slots.append(slot)
        return slot
