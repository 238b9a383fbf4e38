"""fastyolo, as its users call it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from contenders.task import DecodeContender, DecodeTask, Found
from fastyolo import decode_nms

MODULES = ("postprocess", "preprocess", "spec")


class Ours(DecodeContender):
    """A reused `Decoder` of the build whose modules are given."""

    def __init__(self, task: DecodeTask, modules: dict[str, ModuleType], name: str) -> None:
        self.name = name
        self._buffers = list(task.buffers)
        self._size = task.image_size
        self._decoder = modules["postprocess"].Decoder(
            # Another build has classes of its own.
            modules["spec"].ModelSpec.from_dict(task.spec.to_dict()),
            quantization=task.quantization,
            score_threshold=task.score_threshold,
            iou_threshold=task.iou_threshold,
            max_detections=task.max_detections,
            multi_label=task.multi_label,
        )

    def __call__(self) -> Any:
        return self._decoder(self._buffers, self._size)

    def found(self) -> Found:
        return Found(*self())


class OurFunction(DecodeContender):
    """`decode_nms`, which finds its decoder again by its arguments."""

    name = "fastyolo decode_nms"

    def __init__(self, task: DecodeTask) -> None:
        self._buffers = list(task.buffers)
        self._options = {
            "spec": task.spec,
            "quantization": task.quantization,
            "score_threshold": task.score_threshold,
            "iou_threshold": task.iou_threshold,
            "max_detections": task.max_detections,
            "multi_label": task.multi_label,
            "image_size": task.image_size,
        }

    def __call__(self) -> Any:
        return decode_nms(self._buffers, **self._options)

    def found(self) -> Found:
        return Found(*self())


def this_build() -> dict[str, ModuleType]:
    """The modules of the build that is imported as usual."""
    return {name: importlib.import_module(f"fastyolo.{name}") for name in MODULES}


def import_build(folder: Path) -> dict[str, ModuleType]:
    """A second build of the package beside the one already imported, under its own modules."""
    ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "fastyolo"}
    for name in ours:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        modules = {name: importlib.import_module(f"fastyolo.{name}") for name in MODULES}
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "fastyolo"]:
            del sys.modules[name]
        sys.modules.update(ours)
    home = Path(modules["postprocess"].__file__ or "").parent
    if home != folder.resolve() / "fastyolo":
        raise ImportError(f"expected fastyolo from {folder}, got {home}")
    return modules
