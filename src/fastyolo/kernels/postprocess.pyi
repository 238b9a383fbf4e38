from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

class Busy(Exception): ...

def forked() -> None: ...

@final
class Workspace:
    def __init__(
        self,
        num_heads: int,
        score_threshold: float,
        iou_threshold: float,
        diou: bool,
        class_agnostic: bool,
        multi_label: bool,
        clip: bool,
        anchors: npt.NDArray[np.float32],
        boxes: npt.NDArray[np.float32],
        candidates: npt.NDArray[np.uint64],
        class_mask: npt.NDArray[np.uint8],
        newest_of_class: npt.NDArray[np.int32],
        xyxy: npt.NDArray[np.float32],
        confidence: npt.NDArray[np.float32],
        class_id: npt.NDArray[np.int32],
        plan: Callable[[tuple[Any, ...]], tuple[tuple[int, float, int], ...]],
        empty: Callable[..., npt.NDArray[Any]],
        float32: np.dtype[np.float32],
        int32: np.dtype[np.int32],
    ) -> None: ...
    def set_head(
        self,
        index: int,
        rows: int,
        columns: int,
        num_anchors: int,
        stride: float,
        scale_x_y: float,
        type: int,
    ) -> None: ...
    def run(
        self, heads: tuple[Any, ...], transform: tuple[float, ...]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]: ...

def suppress(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    class_ids: npt.NDArray[np.int32],
    iou_threshold: float,
    score_threshold: float,
    diou: bool,
    class_agnostic: bool,
    max_per_class: int,
    heap: npt.NDArray[np.uint64],
    newest: npt.NDArray[np.int32],
    left: npt.NDArray[np.intp],
    kept: npt.NDArray[np.intp],
) -> int: ...
