"""Whether a model's additions of int8 numbers are such as runtimes compute: for others they end the whole process."""

from __future__ import annotations

import math

from fastyolo.errors import ModelError
from fastyolo.flatbuffer import Buffer, Reader, Table, model_content

_ADDITIONS = {0, 41}  # ADD, SUB
_QUANTISED = {3, 7, 9}  # uint8, int16, int8

_LEAST_SHARE = 2.0**-19
"""Of the larger scale that is added, by the sum's: the kernels' multiplier must be smaller than one."""


def check_sums(path: str) -> None:
    """Raise `ModelError` for a model that adds quantised tensors without one usable scale each."""
    with model_content(path) as content:
        problem = _problem(content)
    if problem:
        raise ModelError(f"{path} cannot be loaded: {problem}")


def _problem(content: Buffer) -> str:
    model = Reader(content).root()
    codes = [max(code.number(0, "<b"), code.number(3)) for code in model.tables(1)]
    if _ADDITIONS.isdisjoint(codes):
        return ""
    for graph in model.tables(2):
        tensors = list(graph.tables(0))
        ends = set(graph.numbers(2))
        for operator in graph.tables(3):
            index = operator.number(0, "<I")
            if index < len(codes) and codes[index] in _ADDITIONS:
                problem = _problem_of(operator, tensors, ends)
                if problem:
                    return problem
    return ""


def _problem_of(operator: Table, tensors: list[Table], ends: set[int]) -> str:
    """What is wrong with one addition."""
    added, sums = ([i for i in operator.numbers(field) if 0 <= i < len(tensors)] for field in (1, 2))
    scales = {}
    for index in (*added, *sums):
        tensor = tensors[index]
        if tensor.number(1, "<b") not in _QUANTISED:
            continue
        found = _scales(tensor)
        name = f"{'output' if index in ends else 'tensor'} {tensor.text(3)}"
        if len(found) != 1:
            return f"{name} is added up and must have one scale and zero point, got {len(found)}"
        if not (math.isfinite(found[0]) and found[0] > 0):
            return f"{name} must have a positive scale, got {found[0]:g}"
        scales[index] = found[0]
    largest = max((scales[index] for index in added if index in scales), default=0.0)
    for index in sums:
        if index in scales and scales[index] <= largest * _LEAST_SHARE:
            return f"{tensors[index].text(3)} has a scale of {scales[index]:g}, far too small for what is added"
    return ""


def _scales(tensor: Table) -> tuple[float, ...]:
    """The scales of a tensor, each of which must have a zero point."""
    quantization = tensor.table(4)
    if quantization is None:
        return ()
    scales = quantization.numbers(2, kind="f")
    return scales if quantization.extent(3, 8)[1] == len(scales) else ()
