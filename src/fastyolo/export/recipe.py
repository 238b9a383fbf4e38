"""How much work goes into an int8 file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from fastyolo.errors import OptionError
from fastyolo.export.equalise import EXPONENT
from fastyolo.export.quantise import LEAST_HEAD_REACH

Effort = Literal["default", "high"]
EFFORTS: tuple[Effort, ...] = get_args(Effort)


@dataclass(frozen=True)
class Recipe:
    """How much work goes into the numbers.

    Attributes:
        learned_rounding: choose the rounding of weights by the error of what their convolution puts out.
        weight_share: of the error that weights of one scale make by rounding to the nearest step, what is expected to
            remain: see `balance.balance`.
        refining: so many of the calibration pictures, evenly picked, correct biases and rounding; every convolution
            runs them again.
        relevance: so many of them, evenly picked, give relevances; each costs a pass back through the network.
    """

    learned_rounding: bool = False
    weight_share: float = 1.0
    refining: int = 32
    relevance: int = 16

    @classmethod
    def of(cls, effort: Effort) -> Recipe:
        """The recipe of an effort: "default" takes well below a minute for 100 pictures, "high" some minutes."""
        if effort not in EFFORTS:
            raise OptionError(f"effort must be of {', '.join(EFFORTS)}, got {effort!r}")
        return (
            cls() if effort == "default" else cls(learned_rounding=True, weight_share=0.3, refining=96, relevance=128)
        )

    def of_small(self) -> Recipe:
        """The recipe for networks with grouped convolutions, quick to pass back through and in need of it."""
        return replace(self, relevance=max(self.relevance, 128))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the metadata of the files made by it."""
        return {**asdict(self), "equalisation": EXPONENT, "least_head_reach": LEAST_HEAD_REACH}
