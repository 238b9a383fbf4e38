"""How the command line ends: one line on stderr at most, whatever is left of the standard streams."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn, TextIO

from fastyolo.texts import one_line

STREAMS = (("stdin", os.O_RDONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_WRONLY, "w"))


def open_missing_streams() -> None:
    """Fill those of the descriptors 0, 1 and 2 that were closed (``>&-``), before a model or a result becomes one.

    Python has no stream for these. What is written to stdout then fails, as it should where somebody has closed it;
    messages for a closed stderr are lost in silence.
    """
    for descriptor, (name, flags, mode) in enumerate(STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one is taken, and those below are open by now.
            os.open(os.devnull, flags)
            os.set_inheritable(descriptor, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, errors="backslashreplace", closefd=False))  # noqa: SIM115


def leave(code: int, message: str | None = None) -> NoReturn:
    """End with this exit code. Another Ctrl-C on the way out, with nothing left to clean up, ends it at once."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        with suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    if message is not None:
        say(message)
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    sys.exit(code)


def say(message: str) -> None:
    """One line on stderr. That nobody can read it any more stops no work."""
    try:
        print(f"fastyolo: {one_line(message)}", file=sys.stderr)
    except (OSError, ValueError):
        abandon(sys.stderr)


def abandon(stream: TextIO) -> None:
    """What is still buffered would fail once more when the interpreter exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
