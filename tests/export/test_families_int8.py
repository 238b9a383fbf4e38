"""The kinds of networks that people train, in int8: the files err on other pictures by what the report says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_families import FAMILIES
from darknet_networks import Float32Array, write_network
from fastyolo.errors import ExportError
from fastyolo.export import export
from fastyolo.preprocess import Preprocessor

ROOM = 2.0
"""Decibels between the report's eight pictures and four others."""

INT8 = (
    "yolov3, swish", "yolov4-csp, swish", "yolov3-tiny-prn", "yolov7-tiny, swish", "yolo-fastest", "mobilenet",
    "enet-coco", "csresnext50, swish", "faces",
)  # fmt: skip
"""What differs most in what int8 has to do; the others pass too, and take another 40 seconds."""


def like_noise(size: tuple[int, int]) -> Float32Array:
    """Four pictures of the kind that calibrates here, 0..1 (4, rows, columns, 3)."""
    random, prepare = np.random.default_rng(8), Preprocessor(size, dtype=np.uint8)
    pixels = [random.integers(0, 256, (40 + 2 * index, 50 + 6 * index, 3), np.uint8) for index in range(4)]
    return np.concatenate([prepare(one).astype(np.float32) / 255 for one in pixels])


def heads(model: Path, pictures: Float32Array) -> dict[str, Float32Array]:
    """By name, real numbers, of pictures 0..1."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    (source,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    found: dict[str, list[Float32Array]] = {output["name"]: [] for output in outputs}
    for picture in pictures:
        if source["dtype"] == np.int8:
            picture = (np.rint(picture * 255) - 128).astype(np.int8)
        interpreter.set_tensor(source["index"], picture[None])
        interpreter.invoke()
        for output in outputs:
            scale, zero_point = output["quantization"]
            values = interpreter.get_tensor(output["index"]).astype(np.float32)
            found[output["name"]].append((values - zero_point) * scale if scale else values)
    return {name: np.concatenate(values) for name, values in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", INT8)
def test_the_file_errs_by_what_the_report_says(tmp_path: Path, noise: Path, kind: str) -> None:
    cfg, weights = write_network(tmp_path, FAMILIES[kind](), head_gain=0.1)
    result = export(cfg, weights, output_dir=tmp_path, calibration=noise, formats=["float32", "int8"])
    assert result.report is not None
    pictures = like_noise(result.spec.input_size)
    wanted, found = (heads(result.paths[kind], pictures) for kind in ("float32", "int8"))
    said = {tensor.name: tensor.snr_db for tensor in result.report.tensors}
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        error = np.square(found[name] - values, dtype=np.float64).sum()
        snr = 10 * np.log10(np.square(values, dtype=np.float64).sum() / error)
        assert snr > said[name] - ROOM, name


def test_mish_is_refused_in_int8_before_any_work(tmp_path: Path, noise: Path) -> None:
    cfg, weights = write_network(tmp_path, FAMILIES["yolov4"](), head_gain=0.1)
    with pytest.raises(ExportError, match="mish"):
        export(cfg, weights, output_dir=tmp_path, calibration=noise, formats=["int8"])
