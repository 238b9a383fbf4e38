"""What is in a model: its tensors and what it says of itself, whether it can be run or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastyolo.cli.model_weights import weights_record
from fastyolo.errors import FastYoloError, ModelError

if TYPE_CHECKING:
    from fastyolo.flatfile import FlatTensor
    from fastyolo.runtime.session import Session, TensorInfo


def model_record(path: Path, session: Session) -> tuple[dict[str, Any], FastYoloError | None]:
    """The record of a model that a runtime has loaded, and why no detector can be made of it, if that is so.

    Raises:
        ModelError: the file cannot be read.
    """
    metadata, problem = _metadata(path, session)
    described = {key: value for key, value in metadata.items() if key not in ("calibration", "names")}
    entry = {
        **_tensor_record(session.input),
        "color": "rgb" if session.channels == 3 else "grey",
        "range": _input_range(session, metadata),
    }
    record = {
        "path": str(path),
        "bytes": path.stat().st_size,
        "input": entry,
        "inputs": [entry],
        "outputs": [_tensor_record(tensor) for tensor in session.outputs],
        "weights": weights_record(path),
        "classes": len(metadata.get("names", ())) or None,
        "metadata": described or None,
        "problem": None if problem is None else str(problem),
    }
    return record, problem


def unusable_record(path: Path, problem: FastYoloError) -> dict[str, Any]:
    """The same of a file that no runtime can load or run as a detector, by what the file says of itself.

    Raises:
        FastYoloError: `problem`, where the file does not even tell its tensors.
    """
    from fastyolo.flatfile import read_flatfile

    try:
        flat = read_flatfile(path)
        weights = weights_record(path)
    except ModelError:
        raise problem from None
    inputs = [{**_flat_record(tensor), "color": None, "range": None} for tensor in flat.inputs]
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "input": inputs[0] if len(inputs) == 1 else None,
        "inputs": inputs,
        "outputs": [_flat_record(tensor) for tensor in flat.outputs],
        "weights": weights,
        "classes": None,
        "metadata": None,
        "problem": str(problem),
    }


def _metadata(path: Path, session: Session) -> tuple[dict[str, Any], FastYoloError | None]:
    """What the file says of itself, and what is wrong with it or with the outputs; {} where it says nothing usable."""
    from fastyolo.metadata import find_metadata
    from fastyolo.runtime.outputs import match_outputs
    from fastyolo.spec import ModelSpec

    try:
        found = find_metadata(path)
        if found is None:
            return {}, _other_output(session)
        spec = ModelSpec.from_dict(found)
    except FastYoloError as error:
        return {}, error
    metadata = {**found, **spec.to_dict()}
    try:
        session.check_input(spec, path)
        match_outputs(session.outputs, spec, found.get("outputs"))
    except FastYoloError as error:
        return metadata, error
    return metadata, None


def _other_output(session: Session) -> ModelError | None:
    """What is wrong with the first output that cannot be a head, whatever a .cfg may say."""
    from fastyolo.heads import cells_of

    height, width = session.input_size
    for tensor in session.outputs:
        cells = cells_of(tensor.shape)
        if len(cells) == 3 and cells[0] and cells[1] and height % cells[0] == 0 and width % cells[1] == 0:
            continue
        return ModelError(
            f"output {tensor.name} {tensor.shape} is no head that can be decoded: expected (1, rows, columns, "
            f"anchors * (5 + classes)), rows and columns a whole part of {height} x {width}"
        )
    return None


def _input_range(session: Session, metadata: dict[str, Any]) -> list[float] | None:
    """What black and white are to the network; None if neither the model nor its metadata says it."""
    from fastyolo.input_range import check_input_range, expected_range

    try:
        if metadata.get("input_range") is not None:
            return list(check_input_range(metadata["input_range"]))
        return list(expected_range(session.input.dtype, session.input.affine))
    except FastYoloError:
        return None


def _tensor_record(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype.name,
        "quantization": list(tensor.quantization) if tensor.quantization else None,
    }


def _flat_record(tensor: FlatTensor) -> dict[str, Any]:
    one = len(tensor.scales) == len(tensor.zero_points) == 1
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "quantization": [tensor.scales[0], tensor.zero_points[0]] if one else None,
    }
