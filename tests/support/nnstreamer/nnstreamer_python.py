"""A stand-in for the module that NNStreamer's python3 subplugin brings: its one class, doing just what it does there.

From ``nnstreamer_python3_helper.cc`` of 2.4 and later: dimensions are a list, which is filled up with zeros in place,
to 16 of them; the type is a NumPy dtype.
"""

from __future__ import annotations

import numpy as np

RANK_LIMIT = 16


class TensorShape:
    def __init__(self, dims, type=np.uint8):
        self.setDims(dims)
        self.type = np.dtype(type)

    def setDims(self, dims):
        assert type(dims) is list, "NNStreamer takes lists only"
        dims.extend([0] * (RANK_LIMIT - len(dims)))
        self.dims = dims[:RANK_LIMIT]

    def getDims(self):
        return self.dims

    def getType(self):
        return self.type
