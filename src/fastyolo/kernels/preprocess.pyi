from typing import Any, final

import numpy as np
import numpy.typing as npt

@final
class Resizer:
    def __init__(
        self,
        layout: int,
        swapped: bool,
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
    ) -> None: ...
    def to_float32(self, image: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None: ...
    def to_int8(self, image: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None: ...
    def to_uint8(self, image: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None: ...
