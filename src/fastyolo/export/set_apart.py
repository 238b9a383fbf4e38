"""Filters of small weights in a convolution of their own, where one scale must serve all filters of a head.

A head's filters cannot be rescaled against each other as those between convolutions are (`balance`), for their
numbers are what the file puts out. Those of width and height have the smallest weights by far, a third to a tenth of
the others' in yolov4-tiny, and boxes suffer most from their errors. So the head becomes the sum of two convolutions,
each with a scale of its own: in each, the filters that the other holds are zero. Both put out numbers of the sum's
scale, so that it adds without rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fastyolo.export.graph import Add, Convolution, Graph, Operation
from fastyolo.export.int8 import Affine

Float64Array = npt.NDArray[np.float64]

WORTH = 0.7
"""Of the error that is expected with one scale: unless less remains with two, nothing is split."""


def set_small_filters_apart(
    graph: Graph, tensors: Mapping[str, Affine], importance: Mapping[str, Float64Array]
) -> tuple[Graph, dict[str, Affine], dict[str, Float64Array]]:
    """The same network with heads split where that pays, with the parameters and importances of the new tensors.

    Args:
        importance: by convolution, float64 (filters, channels), the weight of a squared error of each weight.
    """
    operations: list[Operation] = []
    shapes, tensors, importance = dict(graph.shapes), dict(tensors), dict(importance)
    for operation in graph.operations:
        name = operation.outputs[0]
        rows = []
        if isinstance(operation, Convolution):
            rows = filters_by_scale(graph, operation, importance[name].sum(axis=1))
        if len(rows) < 2 or not isinstance(operation, Convolution):
            operations.append(operation)
            continue
        parts = dict(zip((f"{name}/large", f"{name}/small"), rows, strict=True))
        for part, kept in parts.items():
            operations.append(_only(operation, part, kept))
            shapes[part], tensors[part], importance[part] = shapes[name], tensors[name], importance[name]
        operations.append(Add(tuple(parts), (name,), relu=False))
        del importance[name]
    return replace(graph, operations=tuple(operations), shapes=shapes), tensors, importance


def filters_by_scale(
    graph: Graph, operation: Convolution, relevance: npt.NDArray[np.floating]
) -> list[npt.NDArray[np.bool_]]:
    """The filters that share a scale: all of a convolution, or those of large and of small weights in a head."""
    small = None
    if operation.outputs[0] in graph.heads and not (operation.relu or operation.relu6):
        small = small_filters(np.abs(operation.weights).max(axis=(1, 2, 3)), relevance)
    return [np.ones(len(operation.weights), bool)] if small is None else [~small, small]


def small_filters(reach: npt.NDArray[np.floating], relevance: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_] | None:
    """Which filters have the smaller of two scales, for the least expected error; None: one scale is as good.

    Args:
        reach: (filters,), the largest weight of each, to which a scale must reach.
        relevance: (filters,), what a squared error of their weights counts.
    """
    order = np.argsort(reach, kind="stable")
    ends, weight = reach[order].astype(np.float64), np.cumsum(relevance[order], dtype=np.float64)
    errors = weight * ends**2 + (weight[-1] - weight) * ends[-1] ** 2
    cut = int(errors.argmin())
    if errors[cut] >= WORTH * errors[-1]:
        return None
    found = np.zeros(len(reach), bool)
    found[order[: cut + 1]] = True
    return found


def _only(operation: Convolution, output: str, kept: npt.NDArray[np.bool_]) -> Convolution:
    weights = operation.weights * kept[:, None, None, None]
    bias = operation.bias * kept
    return replace(operation, outputs=(output,), weights=weights.astype(np.float32), bias=bias.astype(np.float32))
