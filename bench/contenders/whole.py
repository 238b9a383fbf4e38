"""A JPEG file, or its pixels, to detections: `Detector`, and the reference recipe around the same model."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import Any

import cv2
import numpy as np

from contenders.recipe import Recipe, input_tensor
from contenders.task import Contender, DecodeTask
from fastyolo import Detector

STAGES = ("read", "preprocess", "inference", "postprocess")


class Whole(Contender):
    """Timed without its invoke(), which is the same network in the same runtime for each; by stage in `stages`."""

    source: Any

    def __init__(self) -> None:
        self.stages: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def timed(self) -> int:
        started = perf_counter_ns()
        invoke = self()
        return perf_counter_ns() - started - invoke


class OurDetector(Whole):
    name = "fastyolo Detector"

    def __init__(self) -> None:
        super().__init__()
        self._detector = Detector()

    def __call__(self) -> int:
        speed = self._detector(self.source).speed
        for stage in STAGES:
            self.stages[stage].append(speed[stage] * 1e3)
        return int(speed["inference"] * 1e6)


class RecipeDetector(Whole):
    """An interpreter as the recipe uses it: set_tensor, invoke, get_tensor, then its decoding."""

    name = "reference recipe"

    def __init__(self) -> None:
        super().__init__()
        from ai_edge_litert.interpreter import Interpreter

        detector = Detector()
        self._spec = detector.spec
        self._interpreter = Interpreter(str(detector.model), num_threads=detector.session.threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        outputs = {tuple(output["shape"][1:]): output for output in self._interpreter.get_output_details()}
        self._outputs = [outputs[shape] for shape in self._spec.head_shapes]

    def __call__(self) -> int:
        started = perf_counter_ns()
        pixels = self.source
        if isinstance(pixels, Path):
            pixels = cv2.cvtColor(cv2.imread(str(pixels)), cv2.COLOR_BGR2RGB)
        read = perf_counter_ns()
        tensor = input_tensor(pixels, self._spec.input_size, self._input["quantization"])
        self._interpreter.set_tensor(self._input["index"], tensor[np.newaxis])
        prepared = perf_counter_ns()
        self._interpreter.invoke()
        inferred = perf_counter_ns()
        heads = tuple(self._interpreter.get_tensor(output["index"]) for output in self._outputs)
        quantization = tuple(output["quantization"] for output in self._outputs)
        Recipe(DecodeTask(self._spec, heads, quantization, image_size=pixels.shape[:2]))()
        marks = started, read, prepared, inferred, perf_counter_ns()
        for stage, begun, done in zip(STAGES, marks[:-1], marks[1:], strict=True):
            self.stages[stage].append((done - begun) / 1e3)
        return inferred - prepared
