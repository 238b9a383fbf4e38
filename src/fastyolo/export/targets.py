"""What each chip's NPU wants of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from fastyolo.errors import OptionError
from fastyolo.export.int8 import WEIGHT_SCALES, WeightScales

Target = Literal["imx8mp", "imx93"]
TARGETS: tuple[Target, ...] = get_args(Target)

WANTED_WEIGHTS: Mapping[Target, WeightScales] = {"imx8mp": "per-tensor"}
"""By VeriSilicon's own model of the i.MX 8M Plus' NPU (VIP8000NanoSI+), its convolution cores take per-tensor weights;
per-channel ones go to the programmable shader. Arm's Vela takes either for the Ethos-U65 of the i.MX 93."""

DEFAULT_WEIGHTS: WeightScales = "per-channel"
"""Where nothing is said of the device: the same accuracy in fewer operators; docs/quantisation.md has the figures."""


def check_target(target: str | None, formats: Sequence[str]) -> None:
    """Raise `OptionError` unless there is such a target, and a file for it is among what is written."""
    if target is None:
        return
    if target not in TARGETS:
        raise OptionError(f"target must be {', '.join(TARGETS)}, got {target!r}")
    if not {"int8", "quant"} & set(formats):
        raise OptionError(f"target {target} needs the format int8 or quant, and with them calibration pictures")


def resolve_weights(weights: str | None, target: Target | None) -> WeightScales:
    """How many scales weights have: as asked for, else as the target wants it, else one for each filter.

    Raises:
        OptionError: there is no such form, or it is not what the target's NPU runs well.
    """
    wanted = WANTED_WEIGHTS.get(target) if target is not None else None
    if weights is None:
        return wanted or DEFAULT_WEIGHTS
    for known in WEIGHT_SCALES:
        if weights == known:
            if wanted not in (None, known):
                raise OptionError(f"target {target} needs weight_scales {wanted!r}, got {weights!r}")
            return known
    raise OptionError(f"weight_scales must be of {', '.join(WEIGHT_SCALES)}, got {weights!r}")
