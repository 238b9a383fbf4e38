"""Give this file to NNStreamer: ``tensor_filter framework=python3 model=$(fastyolo nnstreamer) custom=...``.

NNStreamer imports it by its bare name into the distribution's own Python, inside the pipeline's process. It finds the
package that it belongs to by where it lies, in a virtual environment too, and takes nothing else from there: NumPy is
the one that NNStreamer has already loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def _import_package() -> None:
    """Import the fastyolo that this file lies in, though its folder may not be on ``sys.path``."""
    from importlib.util import module_from_spec, spec_from_file_location

    if "fastyolo" in sys.modules:
        return
    folder = Path(__file__).resolve().parents[2]
    spec = spec_from_file_location("fastyolo", folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"this script must stay in its package, expected {folder / '__init__.py'}")
    sys.modules["fastyolo"] = package = module_from_spec(spec)
    spec.loader.exec_module(package)


_import_package()

from fastyolo.nnstreamer.messages import errors_as_lines, load  # noqa: E402

errors_as_lines()

import nnstreamer_python  # type: ignore[import-not-found]  # noqa: E402

Filter = load("fastyolo.nnstreamer.filter").Filter


class CustomFilter:
    """What NNStreamer calls: made with the words of ``custom=``, asked for the outputs' shapes, then once a frame."""

    def __init__(self, *words: str) -> None:
        self._filter = Filter(words)
        self.invoke = self._filter.invoke

    def setInputDim(self, shapes: list[Any]) -> list[Any]:
        """The shapes and types that come -> those that go."""
        came = [(shape.getDims(), shape.getType()) for shape in shapes]
        return [nnstreamer_python.TensorShape(list(dims), dtype) for dims, dtype in self._filter.negotiate(came)]
