"""The floor: a bare strided scan of the objectness in C, compiled with the wheels' flags. It decodes nothing."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from contenders.task import Contender, DecodeTask

FLAGS = ("-O3", "-ffp-contract=off", "-fPIC", "-shared")


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "libfloor.so"
        subprocess.run(["gcc", *FLAGS, "-o", path, Path(__file__).with_name("floor.c")], check=True)
        return ctypes.CDLL(str(path))


class Floor(Contender):
    name = "floor: objectness scan in C"

    def __init__(self, task: DecodeTask) -> None:
        dtype = task.buffers[0].dtype
        logit = np.log(task.score_threshold / (1 - task.score_threshold))
        if task.quantization is None:
            gates = [logit] * len(task.buffers)
        else:
            gates = [np.ceil(np.clip(logit / scale + zero, -128, 127)) for scale, zero in task.quantization]
        self._keep_alive = task.buffers, np.array(gates, dtype)
        self._scan = getattr(_library(), f"scan_{dtype}")
        self._scan.restype = ctypes.c_int64
        self.passed = ctypes.c_ssize_t()
        heads = (ctypes.c_void_p * len(task.buffers))(*(buffer.ctypes.data for buffer in task.buffers))
        terms = 5 + task.spec.num_classes
        sizes = (ctypes.c_ssize_t * len(task.buffers))(*(buffer.size // terms for buffer in task.buffers))
        gate_pointer = ctypes.c_void_p(self._keep_alive[1].ctypes.data)
        count = ctypes.c_ssize_t(len(task.buffers))
        self._arguments = heads, sizes, gate_pointer, count, ctypes.c_ssize_t(terms), ctypes.byref(self.passed)

    def __call__(self) -> Any:
        return self._scan(*self._arguments)

    def timed(self) -> int:
        return int(self())
