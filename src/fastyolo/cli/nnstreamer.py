"""``fastyolo nnstreamer``: what a pipeline's ``tensor_filter`` needs."""

from __future__ import annotations

from typing import Annotated

import typer

from fastyolo.cli.options import DebugOption, ModelOption


def nnstreamer(
    labels: Annotated[
        bool,
        typer.Option("--labels", help="Print the model's class names, a line each, for tensor_decoder's option2."),
    ] = False,
    model: ModelOption = None,
    debug: DebugOption = False,
) -> None:
    """Print the path of the script for NNStreamer's tensor_filter framework=python3."""
    if labels:
        from fastyolo.detector import BUNDLED_MODEL
        from fastyolo.spec import ModelSpec

        print(*ModelSpec.from_model(model if model is not None else BUNDLED_MODEL).names, sep="\n")
        return
    from fastyolo.nnstreamer import SCRIPT

    print(SCRIPT)
