"""The kernels against their own recorded results."""

from __future__ import annotations

import numpy as np
import pytest

from golden import FILE, DecodeCase, PreprocessCase, decode_cases, preprocess_cases

GOLDEN = dict(np.load(FILE))


@pytest.mark.parametrize("case", list(decode_cases()), ids=lambda case: case.name)
def test_detections_are_as_recorded(case: DecodeCase) -> None:
    result = case.run()
    np.testing.assert_array_equal(result.class_id, GOLDEN[f"{case.name}/class_id"])
    np.testing.assert_allclose(result.confidence, GOLDEN[f"{case.name}/confidence"], rtol=2e-6)
    # Relative to the picture: a corner near 0 is the difference of two large numbers.
    np.testing.assert_allclose(result.xyxy, GOLDEN[f"{case.name}/xyxy"], rtol=2e-6, atol=2e-6 * 777)


@pytest.mark.parametrize("case", list(preprocess_cases()), ids=lambda case: case.name)
def test_tensors_are_as_recorded(case: PreprocessCase) -> None:
    step = 1 / 255 if case.options["dtype"] == np.float32 else 1
    difference = np.abs(case.run().astype(np.float64) - GOLDEN[case.name].astype(np.float64))
    assert difference.max() <= step * (1 + 1e-6)
