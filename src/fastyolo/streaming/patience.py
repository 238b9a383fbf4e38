"""A call that may take long, from which Ctrl-C still gets away."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastyolo.sources.source import FrameSource


def opened(open_source: Callable[[], FrameSource]) -> FrameSource:
    """Return what `open_source` returns or raise what it raises; it runs in a thread of its own.

    Opening waits inside FFmpeg or the kernel, where no signal is looked at. Given up, the source is closed when it comes.
    """
    done = threading.Event()
    lock = threading.Lock()
    result: list[FrameSource] = []
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
                    source.close()
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
                source.close()
        raise
    if errors:
        raise errors[0]
    return result[0]
