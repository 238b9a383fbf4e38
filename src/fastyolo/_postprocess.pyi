from typing import Any, final

import numpy as np
import numpy.typing as npt

@final
class Head:
    first_box: int
    rows: int
    columns: int
    num_anchors: int
    num_classes: int
    num_terms: int
    def __init__(
        self,
        first_box: int,
        rows: int,
        columns: int,
        num_classes: int,
        anchors: npt.NDArray[np.float32],
        stride: float,
        scale_x_y: float,
        new_coords: bool,
        score_threshold: float,
    ) -> None: ...
    def set_quantization(self, scale: float, zero_point: int, lowest: int) -> None: ...

@final
class Workspace:
    def __init__(
        self,
        score_threshold: float,
        iou_threshold: float,
        diou: bool,
        class_agnostic: bool,
        multi_label: bool,
        boxes: npt.NDArray[np.float32],
        candidates: npt.NDArray[np.uint64],
        class_mask: npt.NDArray[np.uint8],
        newest_of_class: npt.NDArray[np.int32],
        older_of_class: npt.NDArray[np.int32],
        xyxy: npt.NDArray[np.float32],
        confidence: npt.NDArray[np.float32],
        class_id: npt.NDArray[np.int32],
    ) -> None: ...
    def begin(self, scale_x: float, scale_y: float, offset_x: float, offset_y: float) -> None: ...
    def scan_float32(self, head: Head, cells: npt.NDArray[Any]) -> None: ...
    def scan_int8(self, head: Head, cells: npt.NDArray[Any]) -> None: ...
    def scan_uint8(self, head: Head, cells: npt.NDArray[Any]) -> None: ...
    def select(self) -> int: ...
