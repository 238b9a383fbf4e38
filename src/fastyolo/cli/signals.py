"""SIGINT and SIGTERM end a run as exceptions, so that files half written are removed on the way out."""

from __future__ import annotations

import signal
from types import FrameType

from fastyolo.callbacks import inside_native_code

_received: int | None = None


def handle_signals() -> None:
    """From now on. SIGINT stays ignored where it is, as in the background of a script."""
    signal.signal(signal.SIGTERM, _receive)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _receive)


def received() -> int | None:
    """The last of the two signals that came."""
    return _received


def raise_received() -> None:
    """End the run if a signal came while native code called back into Python, where no exception gets through."""
    if _received is not None:
        _receive(_received, None)


def _receive(number: int, frame: FrameType | None) -> None:
    global _received
    _received = number
    if inside_native_code(frame):
        return
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
