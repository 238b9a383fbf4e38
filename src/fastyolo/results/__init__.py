"""How results look and are written: a file for each format, registered here, and pictures with boxes drawn on them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastyolo.results.writer import ResultWriter

FORMATS = {
    "table": "TableWriter",
    "json": "JsonWriter",
    "jsonl": "JsonLinesWriter",
    "csv": "CsvWriter",
    "yolo": "YoloWriter",
    "coco": "CocoWriter",
    "darknet": "DarknetWriter",
}
"""The result formats: the writer's class, in the module of the format's name."""


def writer_of(name: str) -> type[ResultWriter]:
    """The writer of a format, which is imported only now."""
    writer: type[ResultWriter] = getattr(import_module(f"fastyolo.results.{name}"), FORMATS[name])
    return writer
