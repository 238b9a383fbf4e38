"""One network at several input sizes: what they share is looked at once, and what is wrong is said before any work."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastyolo.darknet import read_cfg, spec_from_cfg, with_input_size
from fastyolo.errors import ExportError, OptionError
from fastyolo.export import ExportResult, StrPath, check_channels, check_formats, export, size_name
from fastyolo.export.build import supported_layers
from fastyolo.export.fetch import OFFICIAL_CFG, fetch_weights
from fastyolo.export.pictures import Calibration, find_pictures
from fastyolo.export.source import KeptWeights
from fastyolo.export.targets import check_target
from fastyolo.files import shown
from fastyolo.names import COCO_NAMES

Size = tuple[int, int]
"""(height, width)."""


def export_sizes(
    cfg: StrPath | None,
    weights: StrPath | None,
    *,
    sizes: Sequence[Size],
    output_dir: StrPath,
    calibration: Calibration | None = None,
    **options: Any,
) -> Iterator[ExportResult]:
    """Call `export` for each (height, width) in turn; each size's files are whole before the next is begun.

    The .weights are fetched and read once, and one list of calibration pictures serves all sizes. The first result may
    take a while; everything that can be checked without work has been by then.

    Args:
        options: see `export`, whose other arguments they are.

    Raises:
        OptionError: no size, a size that comes twice, or one that the network cannot have.
        Whatever `export` raises.
    """
    if (cfg is None) != (weights is None):
        raise OptionError("a network needs both its .cfg and its .weights, got only one of them")
    check_target(options.get("target"), check_formats(options.get("formats"), calibration))
    check_sizes(OFFICIAL_CFG if cfg is None else cfg, sizes)
    _check_folder(output_dir)
    # Pictures that come or go in the meantime would make the sizes incomparable.
    pictures = None if calibration is None else find_pictures(calibration)
    if cfg is None or weights is None:
        cfg = OFFICIAL_CFG
        weights = fetch_weights(offline=options.get("offline", False), progress=options.get("progress"))
        options["names"] = COCO_NAMES if options.get("names") is None else options["names"]
    kept = KeptWeights(weights)
    for size in sizes:
        yield export(cfg, kept, input_size=size, output_dir=output_dir, calibration=pictures, **options)


def check_sizes(cfg: StrPath, sizes: Sequence[Size]) -> None:
    """Raise `OptionError` for a size that comes twice or that the network cannot have, and what `export` would."""
    for (height, width), times in Counter(sizes).items():
        if times > 1:
            raise OptionError(f"sizes must differ, got {size_name((height, width))} {times} times")
    description = read_cfg(cfg)
    check_channels(description)
    for size in sizes:
        resized = with_input_size(description, size)
        supported_layers(resized)
        spec_from_cfg(resized)


def _check_folder(output_dir: StrPath) -> None:
    """Files of the first size would be lost if this came up in the end."""
    folder = Path(output_dir)
    if folder.suffix == ".tflite":
        raise OptionError(f"output_dir must be a folder, for each size has files of its own, got {shown(folder)}")
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise ExportError(f"cannot create {shown(folder)}: {shown(nearest)} is a file")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ExportError(f"cannot create {shown(folder)}: no permission to write in {shown(nearest)}")
