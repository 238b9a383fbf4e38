"""What goes to the terminal beside the data: one-line messages, progress, and silence from native code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from fastyolo.cli.leaving import say as say
from fastyolo.files import shown

if TYPE_CHECKING:
    from rich.progress import TaskID


class Saved:
    """What was saved: how many files, and where the first one lies."""

    def __init__(self) -> None:
        self.count = 0
        self._first = ""

    def add(self, path: str) -> None:
        self._first = self._first or path
        self.count += 1

    def tell(self) -> None:
        """Say it, if anything was."""
        if self.count:
            several = f"{self.count} pictures in {shown(os.path.dirname(self._first))}/"
            say(f"saved {shown(self._first) if self.count == 1 else several}")


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar while the block runs; gives the function to call after each of `total` steps."""
    with stepwise_progress() as report:
        done = count(1)
        yield lambda: report(description, next(done), total)


@contextmanager
def stepwise_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar per step on stderr, if a terminal is there to see it; gives report(step, done, total)."""
    if not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(
        *columns,
        console=Console(file=sys.stderr),
        transient=True,
        # Lines for the same terminal go above the bar; data for a file or pipe is left alone.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=True,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield report


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show warnings raised in the block as one line each, without source positions."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    # What is looked at several times says the same each time.
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        say(f"warning: {message}")


def silence_native_code() -> None:
    """Give our own messages a descriptor of their own and discard what native code writes to stderr.

    Runtimes announce their delegates there, and libtiff comments on every damaged file. Our errors are raised, not
    printed, so nothing of ours is lost; ``--debug`` leaves everything as it is.
    """
    with suppress(OSError):
        sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
