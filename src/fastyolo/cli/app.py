"""The commands. Heavy imports stay inside them, so that ``--help`` is quick on a board."""

from __future__ import annotations

from importlib import import_module

import typer

_COMMANDS = ("detect", "evaluate", "export", "compile", "info", "nnstreamer", "doctor", "bench", "cache")
"""In the order of the help. Each is in a module of its name."""


def make_app(command: str | None = None) -> typer.Typer:
    """All commands; or of these only the one that will be run, for reading the options of the others takes time."""
    app = typer.Typer(
        name="fastyolo",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in [command] if command in _COMMANDS else _COMMANDS:
        module = import_module(f"fastyolo.cli.{name}")
        app.command(name)(getattr(module, "compile_" if name == "compile" else name))
    return app


def _print_version(value: bool) -> None:
    if value:
        import fastyolo

        print(f"fastyolo {fastyolo.__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Object detection with YOLOv4-tiny on NXP i.MX boards."""
