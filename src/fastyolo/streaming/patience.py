"""A call that may take long, from which Ctrl-C still gets away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from fastyolo.sources.source import FrameSource

T = TypeVar("T")


def opened(open_source: Callable[[], T]) -> T:
    """Return what `open_source` returns or raise what it raises; it runs in a thread of its own.

    Opening waits inside FFmpeg or the kernel, where no signal is looked at. Given up, it is closed when it comes.
    """
    done = threading.Event()
    lock = threading.Lock()
    result: list[T] = []
    errors: list[BaseException] = []
    abandoned = False

    def work() -> None:
        try:
            source = open_source()
        except BaseException as error:
            errors.append(error)
        else:
            with lock:
                if abandoned:
                    _close(source)
                else:
                    result.append(source)
        done.set()

    threading.Thread(target=work, name="fastyolo open", daemon=True).start()
    try:
        done.wait()
    except BaseException:
        with lock:
            abandoned = True
            for source in result:
                _close(source)
        raise
    if errors:
        raise errors[0]
    return result[0]


def _close(source: object) -> None:
    if isinstance(source, FrameSource):
        source.close()
