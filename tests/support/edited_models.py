"""The bundled model with something changed in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastyolo.detector import BUNDLED_MODEL

if TYPE_CHECKING:
    from ai_edge_litert import schema_py_generated as schema


def a_scale_per_filter(model: schema.ModelT) -> None:
    """An edit: the weights of the first convolution have a scale for each filter."""
    (graph,) = model.subgraphs
    weights = next(tensor for tensor in graph.tensors if tensor.name.endswith(b"/weights"))
    quantization, count = weights.quantization, weights.shape[0]
    quantization.scale, quantization.zeroPoint = [quantization.scale[0]] * count, [0] * count
    quantization.quantizedDimension = 0


def edited_model(path: Path, edit: Any) -> Path:
    """The bundled model with `edit(model: schema.ModelT)` applied, without its metadata."""
    # Boards have no LiteRT, of which these come.
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(BUNDLED_MODEL.read_bytes(), 0)
    edit(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path
