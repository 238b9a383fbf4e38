"""What a pipeline's user reads: one line on stderr. stdout is the pipeline's."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType, TracebackType
from typing import Any

from fastyolo.errors import FastYoloError


def say(message: str) -> None:
    """One line on stderr."""
    if sys.stderr is not None:
        print(f"fastyolo: {' '.join(message.split())}", file=sys.stderr, flush=True)


def errors_as_lines() -> None:
    """Let the interpreter print our own exceptions in one line, and everybody else's as before.

    NNStreamer hands a script's exceptions to ``PyErr_Print``, which asks ``sys.excepthook``.
    """
    before = sys.excepthook
    if getattr(before, "prints_fastyolo", False):
        return

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> Any:
        if isinstance(error, FastYoloError):
            say(str(error))
        else:
            before(kind, error, traceback)

    show.prints_fastyolo = True  # type: ignore[attr-defined]
    sys.excepthook = show


def load(module: str) -> ModuleType:
    """Import a module of the package; what is missing or built for another Python is one line."""
    try:
        return import_module(module)
    except ImportError as error:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise FastYoloError(
            f"cannot be loaded by NNStreamer's Python {version} ({error}); install fastyolo's wheel for that Python"
        ) from None
