"""How much an error of each number matters for what is detected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.export.gradient import backward
from fastyolo.export.graph import Graph
from fastyolo.spec import HeadSpec, ModelSpec

Float32Array = npt.NDArray[np.float32]

HALF_SCORE = 0.05
"""A score whose error counts half as much as it would for a high score: lower ones hardly decide anything."""

BOX_WEIGHT = 10.0
"""A box that is wrong by a tenth of its size weighs as much as a score that is wrong by about a third of itself."""

_MAX_EXPONENT = 8.0
_LEAST_TERM = 0.01


def head_relevance(values: Float32Array, head: HeadSpec, classes: int) -> Float32Array:
    """Weights of the squared error of a head's numbers, shaped as they are: (rows, columns, anchors * (5 + classes)).

    With score s = sigmoid(objectness) * sigmoid(class), importance i(s) = s^2 / (s + HALF_SCORE) and m the box's best
    score, each number weighs the square of what it moves, to first order:

        class       i(s) * (1 - sigmoid(class))^2           the share of the score
        objectness  i(m) * (1 - sigmoid(objectness))^2
        tx, ty      i(m) * BOX_WEIGHT * (stride * scale_x_y * sigmoid' / side)^2      the share of the box's side
        tw, th      i(m) * BOX_WEIGHT

    With new_coords the numbers have passed their sigmoid, so its derivative falls away.
    """
    terms = values.astype(np.float64).reshape(*values.shape[:2], -1, 5 + classes)
    weights = np.empty_like(terms)
    anchors = np.array(head.anchors)
    if head.new_coords:
        shown = np.clip(terms, _LEAST_TERM, 1)
        slopes, gains = np.ones_like(shown), 1 / shown
        sides = (2 * shown[..., 2:4]) ** 2 * anchors
        growth = 2 / shown[..., 2:4]
    else:
        shown = 1 / (1 + np.exp(-np.clip(terms, -40, 40)))
        slopes, gains = shown * (1 - shown), 1 - shown
        sides = np.exp(np.clip(terms[..., 2:4], -_MAX_EXPONENT, _MAX_EXPONENT)) * anchors
        growth = np.ones_like(sides)
    scores = shown[..., 4:5] * shown[..., 5:]
    best = _importance(scores.max(axis=-1, keepdims=True))
    weights[..., 0:2] = best * BOX_WEIGHT * (head.stride * head.scale_x_y * slopes[..., 0:2] / sides) ** 2
    weights[..., 2:4] = best * BOX_WEIGHT * growth**2
    weights[..., 4:5] = best * gains[..., 4:5] ** 2
    weights[..., 5:] = _importance(scores) * gains[..., 5:] ** 2
    return weights.reshape(values.shape).astype(np.float32)


def tensor_relevance(
    graph: Graph, spec: ModelSpec, values: Mapping[str, Float32Array], random: np.random.Generator
) -> dict[str, Float32Array]:
    """Weights of the squared error of every number in the network on one picture, an unbiased estimate.

    To first order, errors e of a tensor raise the heads' weighted squared error by |sqrt(W) J e|^2, with the network's
    Jacobian J there; for independent errors the weight of each is the diagonal of J' W J. With random signs z, its
    estimate is the square of J' sqrt(W) z: one pass backward instead of one for each output (Hutchinson's estimator).

    Args:
        values: every tensor of `graph`, (rows, columns, channels).
    """
    heads = dict(zip(graph.heads, spec.heads, strict=True))
    weights = {name: head_relevance(values[name], head, spec.num_classes) for name, head in heads.items()}
    seeds = {name: np.sqrt(found) * _signs(found.shape, random) for name, found in weights.items()}
    squares = {name: np.square(gradient) for name, gradient in backward(graph, values, seeds).items()}
    return {**squares, **weights}


def _importance(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(scores**2 / (scores + HALF_SCORE))


def _signs(shape: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[Any]:
    return random.integers(0, 2, shape).astype(np.float32) * 2 - 1
