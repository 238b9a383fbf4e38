"""``fastyolo cache``: the compiled graphs that are kept for the next start."""

from __future__ import annotations

from time import localtime, strftime
from typing import Annotated

import typer

from fastyolo.cli.options import DebugOption
from fastyolo.texts import printable


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove them all.")] = False, debug: DebugOption = False
) -> None:
    """List the graphs that the vx delegate has compiled, or remove them."""
    from fastyolo.runtime import graph_cache

    if clear:
        print(f"removed {graph_cache.clear()} from {printable(str(graph_cache.cache_folder()))}")
        return
    kept = graph_cache.entries()
    for entry in kept:
        made = strftime("%Y-%m-%d %H:%M", localtime(entry.made))
        print(f"{made}  {entry.bytes / 1e6:6.1f} MB  {printable(entry.model)}")
    if not kept:
        print(f"nothing in {printable(str(graph_cache.cache_folder()))}")
