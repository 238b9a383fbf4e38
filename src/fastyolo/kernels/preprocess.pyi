from typing import Any, final

import numpy as np
import numpy.typing as npt

@final
class Resizer:
    def __init__(
        self,
        kind: int,
        planes: tuple[tuple[int, int, int], ...],
        swapped: bool,
        first: int,
        source_height: int,
        source_width: int,
        x: int,
        y: int,
        columns: npt.NDArray[np.int32],
        column_weights: npt.NDArray[np.int16],
        rows: npt.NDArray[np.int32],
        row_weights: npt.NDArray[np.int16],
        color: tuple[int, int, int, int, int, int],
        multiplier: float,
        offset: float,
        lowest: int,
        highest: int,
        padding: int,
        channels: int,
    ) -> None: ...
    def to_float32(
        self,
        out: npt.NDArray[Any],
        first: npt.NDArray[np.uint8],
        second: npt.NDArray[np.uint8] | None = None,
        third: npt.NDArray[np.uint8] | None = None,
    ) -> None: ...
    def to_int8(
        self,
        out: npt.NDArray[Any],
        first: npt.NDArray[np.uint8],
        second: npt.NDArray[np.uint8] | None = None,
        third: npt.NDArray[np.uint8] | None = None,
    ) -> None: ...
    def to_uint8(
        self,
        out: npt.NDArray[Any],
        first: npt.NDArray[np.uint8],
        second: npt.NDArray[np.uint8] | None = None,
        third: npt.NDArray[np.uint8] | None = None,
    ) -> None: ...
