"""The command line: parse, call, print. Exit 0 it ran, 1 it could not, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer

from fastyolo.errors import FastYoloError, OptionError

# Typer bundles its own Click from 0.26 on; its public exceptions lead to the right base class either way.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code; every error is one line on stderr."""
    from fastyolo.cli.app import app
    from fastyolo.cli.console import silence_native_code
    from fastyolo.cli.usage import option_message, usage_message

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    if not debug:
        silence_native_code()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(args=arguments, prog_name="fastyolo", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        _leave(130, "interrupted")
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does.
        _abandon_stdout()
        sys.exit(141)
    except _UsageError as error:
        _leave(2, f"{usage_message(error)} (see {_command_path(error)} --help)")
    except OptionError as error:
        _leave(2, option_message(str(error)), debug)
    except FastYoloError as error:
        _leave(1, str(error), debug)
    except OSError as error:
        # Our own files have errors of their own by now; what is left is stdout, such as on a full disk.
        _abandon_stdout()
        _leave(1, f"cannot go on: {error}", debug)
    except Exception as error:
        _leave(1, f"unexpected {type(error).__name__}: {error}; --debug shows where", debug)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(code: int, message: str, debug: bool = False) -> NoReturn:
    if debug:
        import traceback

        traceback.print_exc()
    print(f"fastyolo: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


def _abandon_stdout() -> None:
    """What is still buffered would fail once more when the interpreter exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # As an exception, so that files half written are removed on the way out.
    sys.exit(143)


def _command_path(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "fastyolo"
