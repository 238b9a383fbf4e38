"""Pillow's own pixels as an array: looked at, not copied.

`np.asarray(image)` packs the four bytes that Pillow keeps of an RGB pixel into three, in pieces, and joins the pieces.
Pillow gives its memory away by the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html).
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import PIL.Image


class _ArrowArray(ctypes.Structure):
    """The interface's struct ArrowArray."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


class _Memory:
    """What NumPy asks for an array's place. Pillow keeps the pixels for as long as the capsule lives."""

    def __init__(self, address: int, shape: tuple[int, ...], capsule: object) -> None:
        self._capsule = capsule
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": shape, "data": (address, True)}


def borrow(image: PIL.Image.Image) -> npt.NDArray[np.uint8] | None:
    """Return a read-only view of a loaded image: (height, width) of mode L, (height, width, 4) of RGB.

    The fourth byte of a pixel means nothing. None where it cannot be had: a Pillow before 11.2, rows that are not all
    in one piece (Pillow splits what is larger than 16 MB), another mode.
    """
    from PIL import Image

    # Pillow before 13 gives padded rows away as if they were not.
    if image.mode not in ("L", "RGB") or Image.core.get_alignment() != 1:  # type: ignore[attr-defined]
        return None
    try:
        _, capsule = image.__arrow_c_array__()
    except (AttributeError, ValueError):
        return None
    array = _ArrowArray.from_address(_pointer_of(capsule, b"arrow_array"))
    shape: tuple[int, ...] = (image.height, image.width)
    values: Any = array
    if image.mode == "RGB":
        shape = (*shape, 4)
        values = array.children[0].contents
    assert values.length == math.prod(shape)
    assert values.offset == 0
    return np.asarray(_Memory(values.buffers[1], shape, capsule))
