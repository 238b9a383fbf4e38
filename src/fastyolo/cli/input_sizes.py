"""Input sizes as they are written on the command line, and the table of what was made for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastyolo.cli.markdown import markdown_table
from fastyolo.errors import OptionError
from fastyolo.files import shown
from fastyolo.texts import brief

if TYPE_CHECKING:
    from fastyolo.export import ExportResult

Size = tuple[int, int]
"""(height, width)."""


def parse_size(text: str, option: str = "--input-size") -> Size:
    """ "320" -> (320, 320); "256x416" -> (256, 416), height before width."""
    match = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)
    if match is None:
        raise OptionError(f"{option} must be a size such as 320, or HEIGHTxWIDTH such as 256x416, got {brief(text)}")
    return int(match[1]), int(match[2] or match[1])


def parse_sizes(text: str) -> list[Size]:
    """ "320,256x416" -> [(320, 320), (256, 416)]."""
    return [parse_size(part.strip(), "each of --sizes") for part in text.split(",")]


def report_path(report: Path, size: Size) -> Path:
    """FILE_SIZE of FILE, as the models are called."""
    from fastyolo.export import size_name

    return report.with_name(f"{report.stem}_{size_name(size)}{report.suffix}")


def made_files(result: ExportResult) -> list[dict[str, Any]]:
    """What there is to say of every file of one size, JSON-ready.

    "head_snr_db" is the lower of the outputs' signal-to-noise ratios on calibration pictures, what int8 costs before
    anything is decoded; None of float32.
    """
    files: list[tuple[str, Path, dict[str, float]]] = [(kind, path, {}) for kind, path in result.paths.items()]
    if result.compiled is not None:
        path, compiled = result.compiled
        files.append(("vela", path, {"estimated_ms": compiled.milliseconds}))
    return [
        {
            "path": str(path),
            "format": kind,
            "input_size": list(result.spec.input_size),
            "multiply_adds": result.multiply_adds,
            "bytes": path.stat().st_size,
            "weights": "float32" if kind == "float32" else result.weight_scales,
            "head_snr_db": None if kind == "float32" else _head_snr(result, path),
            **more,
        }
        for kind, path, more in files
    ]


def _head_snr(result: ExportResult, path: Path) -> float | None:
    from fastyolo.metadata import read_metadata

    if result.report is None:
        return None
    heads = read_metadata(path)["outputs"]
    return round(min(tensor.snr_db for tensor in result.report.tensors if tensor.name in heads), 2)


def sizes_table(results: Sequence[ExportResult]) -> str:
    """A row for every file: what one picture costs in it, and what int8 has cost it."""
    from fastyolo.export import size_name

    rows = []
    for result in results:
        for file in made_files(result):
            snr = file["head_snr_db"]
            rows.append(
                (
                    shown(file["path"]),
                    str(file["weights"]),
                    size_name(result.spec.input_size),
                    f"{file['multiply_adds'] / 1e9:.3f}",
                    f"{file['bytes']:,}",
                    "" if snr is None else f"{snr:.1f}",
                )
            )
    return markdown_table(("file", "weights", "size", "GMAC", "bytes", "head SNR, dB"), rows, left=2)


def sizes_to_come(cfg: Path | None, sizes: Sequence[Size]) -> str:
    """What a network of each size computes; needs no weights."""
    from fastyolo.darknet import Convolutional, network_layers, read_cfg, with_input_size
    from fastyolo.export import size_name
    from fastyolo.export.fetch import OFFICIAL_CFG
    from fastyolo.export.sizes import check_sizes

    cfg = OFFICIAL_CFG if cfg is None else cfg
    check_sizes(cfg, sizes)
    rows = []
    for size in sizes:
        layers = network_layers(with_input_size(read_cfg(cfg), size))
        operations = sum(layer.multiply_accumulates for layer in layers if isinstance(layer, Convolutional))
        rows.append((size_name(size), f"{operations / 1e9:.3f}"))
    return markdown_table(("size", "GMAC"), rows)
