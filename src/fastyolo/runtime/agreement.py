"""Whether a device's heads are the CPU's, as far as two computations that are both right agree at all.

They differ in how they round from layer to layer. Where the CPU has two ways, with XNNPACK and without, how far these
are apart is the measure. A runtime that has one way (tflite-runtime computes int8 without XNNPACK) is measured by
itself: by what changes when every pixel may be one step off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.runtime.session import Session

Heads = list[npt.NDArray[Any]]

_LEAST_STEPS = 0.5
"""Mean difference in quantisation steps that is never held against a device."""

_SAME_WAY = 0.1
"""Two computations less apart than this round in the same way."""

# On the models that were bundled so far XNNPACK is 1 to 2 times as far from the plain kernels as a step of noise moves
# those, and up to 0.85 of the distance lies on one side.
_OF_APART, _OF_NOISE = 1.5, 3.0
_TILT_OF_TWO_WAYS, _TILT_OF_ONE = 0.8, 0.95


@dataclass(frozen=True)
class Difference:
    """One head against the CPU's over all pictures, in quantisation steps (of float heads: hundredths)."""

    equal: float
    largest: float
    mean: float
    bias: float


@dataclass(frozen=True)
class Agreement:
    """The device's heads against the nearest of the CPU's ways, and `baseline`, the steps that are no fault."""

    heads: list[Difference]
    baseline: float
    ways: int

    @property
    def worst(self) -> Difference:
        return max(self.heads, key=lambda head: head.mean)

    @property
    def well(self) -> bool:
        # Rounding goes both ways: what is nearly all on one side is an offset, however small it is beside rounding.
        tilt = _TILT_OF_TWO_WAYS if self.ways > 1 else _TILT_OF_ONE
        tilted = any(abs(head.bias) > max(_LEAST_STEPS, tilt * head.mean) for head in self.heads)
        factor = _OF_APART if self.ways > 1 else _OF_NOISE
        return not tilted and self.worst.mean <= max(_LEAST_STEPS, factor * self.baseline)

    def __str__(self) -> str:
        measure = "two CPU computations differ" if self.ways > 1 else "pixels one step off change the CPU's"
        worst = self.worst
        return (
            f"{worst.equal:.1%} of values equal the CPU's, mean difference {worst.mean:.2f} steps, largest "
            f"{worst.largest:.0f}, on one side {worst.bias:+.2f}; {measure} by up to {self.baseline:.2f}"
        )


def agreement(
    plain: Session, order: Sequence[int], inputs: Heads, ours: Sequence[Heads], device: Sequence[Heads]
) -> Agreement:
    """Compare heads by picture, the CPU's (`ours`) and the device's, to the input tensors `inputs`.

    Args:
        plain: the same model on the CPU without XNNPACK.
        order: the heads' tensor indices.
    """
    theirs = [_answer(plain, order, pixels) for pixels in inputs]
    apart = max(head.mean for head in differences(ours, theirs))
    if apart > _SAME_WAY:
        found = min(differences(device, ours), differences(device, theirs), key=lambda d: sum(head.mean for head in d))
        return Agreement(found, apart, 2)
    random = np.random.default_rng(7)
    moved = [_answer(plain, order, _one_step_off(pixels, random)) for pixels in inputs]
    return Agreement(differences(device, ours), max(head.mean for head in differences(moved, theirs)), 1)


def differences(one: Sequence[Heads], other: Sequence[Heads]) -> list[Difference]:
    """By head, over all pictures."""
    found = []
    for mine, yours in zip(zip(*one, strict=True), zip(*other, strict=True), strict=True):
        a, b = np.concatenate([x.ravel() for x in mine]), np.concatenate([x.ravel() for x in yours])
        unit = 100.0 if a.dtype.kind == "f" else 1.0
        steps = (a.astype(np.float64) - b.astype(np.float64)) * unit
        size = np.abs(steps)
        found.append(Difference(float((a == b).mean()), float(size.max()), float(size.mean()), float(steps.mean())))
    return found


def _answer(session: Session, order: Sequence[int], pixels: npt.NDArray[Any]) -> Heads:
    by_index = {tensor.index: tensor for tensor in session.outputs}
    session.input_view()[:] = pixels
    session.invoke()
    return [session.output_view(by_index[index]).copy() for index in order]


def _one_step_off(pixels: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
    """Every value a step lower, the same, or a step higher; of float inputs a 255th of their range."""
    steps = random.integers(-1, 2, pixels.shape)
    if pixels.dtype.kind == "f":
        return np.asarray(pixels + steps * float(np.ptp(pixels)) / 255, pixels.dtype)
    limits = np.iinfo(pixels.dtype)
    moved: npt.NDArray[Any] = np.clip(pixels + steps, limits.min, limits.max).astype(pixels.dtype)
    return moved
