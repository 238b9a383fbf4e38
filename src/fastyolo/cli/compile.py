"""``fastyolo compile``: an int8 TFLite file in, one for the NPU out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastyolo.cli.console import say
from fastyolo.cli.options import DebugOption
from fastyolo.files import shown

if TYPE_CHECKING:
    from fastyolo.export.vela import Compiled


class Target(str, Enum):
    imx93 = "imx93"


def compile_(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="An int8 model.")],
    target: Annotated[Target, typer.Option("--target", help="The chip: imx93 has an Ethos-U65.")] = Target.imx93,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the file.")] = Path("."),
    debug: DebugOption = False,
) -> None:
    """Compile an int8 model for the NPU with Vela, and say what will run there."""
    from fastyolo.export.vela import compile_model

    path, compiled = compile_model(model, target=target.value, output_dir=output, log=vela_log(debug))
    print(shown(path))
    say_compiled(compiled, target.value)


def vela_log(debug: bool) -> Callable[[str], None] | None:
    """Where Vela's own words go: to stderr under ``--debug``, else nowhere."""
    return (lambda text: print(text, file=sys.stderr)) if debug else None


def say_compiled(compiled: Compiled, target: str) -> None:
    """One line with the figures, and one for every operator left on the CPU."""
    for operator in compiled.cpu_operators:
        say(f"warning: the CPU runs {operator.type} of {operator.name}")
    say(
        f"{target}: NPU operators {compiled.npu_operators}, CPU operators {len(compiled.cpu_operators)}; "
        f"estimated {compiled.milliseconds:.1f} ms ({1000 / compiled.milliseconds:.0f} per second), "
        f"{compiled.sram_bytes / 1024:.0f} KiB of SRAM, {compiled.dram_bytes / 2**20:.1f} MiB of DRAM"
    )
    say(f"estimated by {compiled.compiler}, assuming {compiled.assumptions}")
