"""edgefirst-decoder from PyPI: its ModelPack decoder takes these heads as they are, with box maths of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from edgefirst.decoder import Decoder, DecoderType, Output, Tensor, TensorMemory

from contenders.task import DecodeContender, DecodeTask, Found


class EdgeFirst(DecodeContender):
    """`Decoder.decode` on its own tensors, which are filled outside the timer as a runtime of its own family would."""

    name = "edgefirst-decoder"

    def __init__(self, task: DecodeTask, *, best_candidates: int | None = None, with_copy: bool = False) -> None:
        """`best_candidates` is its cap on what NMS gets; `with_copy` times filling the tensors from NumPy too."""
        if best_candidates is not None:
            self.name += f", best {best_candidates} candidates"
        if with_copy:
            self.name += " + from_numpy"
        self._task = task
        self._with_copy = with_copy
        height, width = task.spec.input_size
        outputs = []
        for index, (buffer, head) in enumerate(zip(task.buffers, task.spec.heads, strict=True)):
            output = Output.detection(shape=list(buffer.shape), decoder=DecoderType.ModelPack)
            output = output.with_anchors([(side_x / width, side_y / height) for side_x, side_y in head.anchors])
            outputs.append(output.with_quantization(*task.quantization[index]) if task.quantization else output)
        self._decoder = Decoder.new_from_outputs(
            outputs,
            score_threshold=task.score_threshold,
            iou_threshold=task.iou_threshold,
            multi_label=task.multi_label,
        )
        self._decoder.max_det = task.max_detections
        if best_candidates is not None:
            self._decoder.pre_nms_top_k = best_candidates
        self._tensors = [Tensor(list(buffer.shape), str(buffer.dtype), mem=TensorMemory.MEM) for buffer in task.buffers]

    def prepare(self) -> None:
        if not self._with_copy:
            self._fill()

    def _fill(self) -> None:
        for tensor, buffer in zip(self._tensors, self._task.buffers, strict=True):
            tensor.from_numpy(buffer)

    def __call__(self) -> Any:
        if self._with_copy:
            self._fill()
        return self._decoder.decode(self._tensors, self._task.max_detections)

    def found(self) -> Found:
        boxes, scores, class_ids, _ = self()
        height, width = self._task.image_size
        scale = np.array([width, height, width, height], np.float32)
        return Found(np.asarray(boxes) * scale, np.asarray(scores), np.asarray(class_ids).astype(np.int64))
