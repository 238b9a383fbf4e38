"""Memory that goes away with what was opened, and frames that still look at it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from fastyolo.frames.frame import UInt8Array


class Lender:
    """Calls `close` once it is asked to close and nothing that it lent is in use any more.

    FFmpeg takes a camera's buffers from the process when it closes the device, and looks at what it has freed when a
    packet of one is given back later.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lent = 0
        self._closing = False
        # Entered again where dropping one thing drops another.
        self._lock = threading.RLock()

    def lend(self, *things: Any) -> Loan:
        """Hold `things` for as long as the loan, or an array that looks at it, is alive."""
        with self._lock:
            self._lent += 1
        return Loan(self, list(things))

    def close(self) -> None:
        """Now, or when the last loan has come back."""
        with self._lock:
            if not self._closing:
                self._closing = True
                if not self._lent:
                    self._close()

    def _came_back(self) -> None:
        with self._lock:
            self._lent -= 1
            if self._closing and not self._lent:
                self._close()


class Loan:
    """What was lent; it comes back when this is forgotten."""

    def __init__(self, lender: Lender, things: list[Any]) -> None:
        self.things = things
        self._lender = lender

    def view(self, array: UInt8Array) -> UInt8Array:
        """The same array, which now keeps the loan."""
        return np.asarray(_Held(self, array))

    def __del__(self) -> None:
        # First they, then what they lie in.
        self.things.clear()
        self._lender._came_back()


class _Held:
    """What NumPy asks where an array lies, and keeps."""

    def __init__(self, loan: Loan, array: UInt8Array) -> None:
        self._loan = loan
        self.__array_interface__ = array.__array_interface__
