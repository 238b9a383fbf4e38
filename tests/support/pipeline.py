"""The filter as NNStreamer drives it: its script imported by its bare name, flat arrays in and out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.nnstreamer import SCRIPT

Array = npt.NDArray[Any]
_RANK_LIMIT = 16


def nnstreamer_python() -> Any:
    """NNStreamer's own module where this Python has it, else the stand-in."""
    try:
        return importlib.import_module("nnstreamer_python")
    except ImportError:
        sys.path.append(str(Path(__file__).with_name("nnstreamer")))
        return importlib.import_module("nnstreamer_python")


class Element:
    """A ``tensor_filter framework=python3 custom=CUSTOM`` that gets heads of these shapes and types."""

    def __init__(self, custom: str, heads: Sequence[Array]) -> None:
        nns = nnstreamer_python()
        if str(SCRIPT.parent) not in sys.path:
            sys.path.append(str(SCRIPT.parent))
        script = importlib.import_module(SCRIPT.stem)
        self.filter = script.CustomFilter(*(custom.split(" ") if custom else ()))
        came = [nns.TensorShape(_dims(head.shape), head.dtype) for head in heads]
        self.gives = self.filter.setInputDim(came)
        assert type(self.gives) is list

    def __call__(self, heads: Sequence[Array]) -> list[Array]:
        """One frame, checked as NNStreamer checks it, in the shapes that were agreed on."""
        arrays = self.filter.invoke([head.ravel() for head in heads])
        assert type(arrays) is list
        assert len(arrays) == len(self.gives)
        result = []
        for array, shape in zip(arrays, self.gives, strict=True):
            dims = [side for side in shape.getDims() if side > 0]
            assert array.dtype == shape.getType()
            assert array.nbytes == int(np.prod(dims)) * array.itemsize
            assert array.flags.c_contiguous
            result.append(array.reshape(dims[::-1]))
        return result


def _dims(shape: Sequence[int]) -> list[int]:
    """Innermost first, filled up as NNStreamer does."""
    dims = [int(side) for side in reversed(shape)]
    return dims + [0] * (_RANK_LIMIT - len(dims))
