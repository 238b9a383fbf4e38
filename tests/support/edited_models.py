"""The bundled model with something changed in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from fastyolo.detector import BUNDLED_MODEL


def edited_model(path: Path, edit: Any) -> Path:
    """The bundled model with `edit(model: schema.ModelT)` applied, without its metadata."""
    model = schema.ModelT.InitFromPackedBuf(BUNDLED_MODEL.read_bytes(), 0)
    edit(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
