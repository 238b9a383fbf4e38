"""The one door to PyAV, the package `av`: everything that decodes or encodes video comes through here."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastyolo.errors import SourceError


@functools.cache
def import_av() -> Any:
    """Return the module `av`.

    Raises:
        SourceError: it is not installed, or does not work here.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "av":
            raise SourceError("video, cameras and streams need PyAV, which is not installed: pip install av") from None
        raise SourceError(f"video, cameras and streams need PyAV, which cannot be imported: {error}") from None
    # FFmpeg comments on every damaged packet; what matters is raised. Its callback into Python could also deadlock
    # with decoding threads that wait for the interpreter.
    av.logging.set_level(None)
    return av


@contextmanager
def av_errors(doing: str) -> Iterator[None]:
    """Turn whatever FFmpeg raises into one line: ``doing``, and why not."""
    try:
        yield
    except SourceError:
        raise
    except (OSError, ValueError, LookupError) as error:
        # FFmpeg's errors are all one of these as well.
        raise SourceError(f"{doing}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """FFmpeg's reason in a few words."""
    av = import_av()
    if isinstance(error, av.error.InvalidDataError):
        return "its data make no sense"
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
