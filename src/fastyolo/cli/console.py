"""What goes to the terminal beside the data: one-line messages, progress, and silence from native code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """One line on stderr."""
    print(f"fastyolo: {' '.join(message.split())}", file=sys.stderr)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr while the block runs, if there is more than one step and a terminal to see it.

    Gives the function to call after each step.
    """
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show warnings raised in the block as one line each, without source positions."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        say(f"warning: {warning.message}")


@contextmanager
def quiet_native(*, debug: bool = False) -> Iterator[None]:
    """Discard what native code writes to stderr in the block: runtimes announce their delegates there.

    Our own errors are raised, not printed, so nothing of ours is lost.
    """
    if debug:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
