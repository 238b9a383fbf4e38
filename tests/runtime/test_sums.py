"""Additions that no runtime computes are refused before one sees them: there they would end the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edited_models import edited_model
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.errors import ModelError
from fastyolo.runtime.session import open_session
from fastyolo.runtime.sums import check_sums

ADD = 0


def quantisation_of_the_sum(model: Any) -> Any:
    (graph,) = model.subgraphs
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    operator = next(one for one in graph.operators if codes[one.opcodeIndex] == ADD)
    return graph.tensors[operator.outputs[0]].quantization


def with_scales(scale: list[float], zero_point: list[int]) -> Callable[[Any], None]:
    def edit(model: Any) -> None:
        quantization = quantisation_of_the_sum(model)
        quantization.scale, quantization.zeroPoint = scale, zero_point

    return edit


@pytest.mark.parametrize(
    ("scale", "zero_point", "said"),
    [
        ([0.04] * 255, [0] * 255, "output head_.* must have one scale and zero point, got 255"),
        ([], [], "got 0"),
        ([0.04], [], "got 0"),
        ([0.0], [0], "must have a positive scale, got 0"),
        ([float("nan")], [0], "must have a positive scale, got nan"),
        ([float("inf")], [0], "must have a positive scale, got inf"),
        ([1e-9], [0], "far too small for what is added"),
    ],
)
def test_a_sum_without_a_usable_scale_is_refused(
    tmp_path: Path, scale: list[float], zero_point: list[int], said: str
) -> None:
    path = edited_model(tmp_path / "edited.tflite", with_scales(scale, zero_point))
    with pytest.raises(ModelError, match=said) as caught:
        open_session(path)
    assert "\n" not in str(caught.value)


def test_any_other_scale_is_left_to_the_runtime(tmp_path: Path) -> None:
    check_sums(str(BUNDLED_MODEL))
    path = edited_model(tmp_path / "edited.tflite", with_scales([0.07], [3]))
    assert open_session(path).outputs
