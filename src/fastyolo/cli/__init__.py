"""The command line: parse, call, print. Exit 0 it ran, 1 it could not, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM.

Everything else is imported inside `main`, where Ctrl-C is already one quiet line.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as in fastyolo/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code; every error is one line on stderr."""
    try:
        from fastyolo.cli.running import run

        run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        # Still importing, or just about to leave: `run` itself answers what comes between.
        from fastyolo.cli.leaving import leave

        leave(130, "interrupted")
