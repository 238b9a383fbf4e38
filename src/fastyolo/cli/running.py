"""One run of the command line: what happened, as an exit code and a line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from fastyolo.cli.console import silence_native_code
from fastyolo.cli.leaving import abandon, leave, open_missing_streams
from fastyolo.cli.signals import handle_signals, raise_received, received
from fastyolo.cli.usage import option_message, usage_message
from fastyolo.errors import FastYoloError, OptionError

# Typer bundles its own Click from 0.26 on; its public exceptions lead to the right base class either way.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def run(arguments: Sequence[str]) -> NoReturn:
    """Run the command and leave."""
    open_missing_streams()
    debug = "--debug" in arguments
    if not debug:
        silence_native_code()
    handle_signals()
    try:
        from fastyolo.cli.app import make_app

        code = make_app(arguments[0] if arguments else None)(
            args=arguments, prog_name="fastyolo", standalone_mode=False
        )
        sys.stdout.flush()
        raise_received()  # Typer makes an exit code of Ctrl-C
    except BaseException as error:
        _explain(error, debug)
    leave(code if isinstance(code, int) else 0)


def _explain(error: BaseException, debug: bool) -> NoReturn:
    """Leave with the code and the line for what ended the run."""
    # Native modules that are interrupted report whatever they failed in.
    if received() == signal.SIGTERM:
        _flush_stdout()
        leave(128 + signal.SIGTERM)
    if received() == signal.SIGINT or isinstance(error, KeyboardInterrupt | typer.Abort):
        _flush_stdout()
        leave(130, "interrupted")
    # Typer makes exit code 1 of it.
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # Whoever read our output has gone, as `head` does.
        abandon(sys.stdout)
        leave(141)
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, _UsageError):
        leave(2, f"{usage_message(error)} (see {_command_path(error)} --help)")
    if debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError):
        # Our own files have errors of their own by now; what is left is stdout, such as on a full disk, or closed.
        abandon(sys.stdout)
        leave(1, f"cannot go on: {error}")
    _flush_stdout()
    if isinstance(error, OptionError):
        leave(2, option_message(str(error)))
    if isinstance(error, FastYoloError):
        leave(1, str(error))
    if isinstance(error, MemoryError):
        leave(1, f"out of memory{f': {error}' if str(error) else ''}")
    leave(1, f"unexpected {type(error).__name__}: {error}; --debug shows where")


def _flush_stdout() -> None:
    """What was printed so far is shown; where that fails there is a worse error to tell of already."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        abandon(sys.stdout)


def _command_path(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "fastyolo"
