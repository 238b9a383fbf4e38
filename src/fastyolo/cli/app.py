"""The commands. Heavy imports stay inside them, so that ``--help`` is quick on a board."""

from __future__ import annotations

import typer

from fastyolo.cli.bench import bench
from fastyolo.cli.cache import cache
from fastyolo.cli.compile import compile_
from fastyolo.cli.detect import detect
from fastyolo.cli.doctor import doctor
from fastyolo.cli.evaluate import evaluate
from fastyolo.cli.export import export
from fastyolo.cli.info import info
from fastyolo.cli.nnstreamer import nnstreamer

app = typer.Typer(
    name="fastyolo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        import fastyolo

        print(f"fastyolo {fastyolo.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Object detection with YOLOv4-tiny on NXP i.MX boards."""


app.command()(detect)
app.command()(evaluate)
app.command()(export)
app.command("compile")(compile_)
app.command()(info)
app.command()(nnstreamer)
app.command()(doctor)
app.command()(bench)
app.command()(cache)
