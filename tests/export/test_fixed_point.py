"""TFLite's integer multiplication, against its own kernel."""

from __future__ import annotations

import numpy as np
import pytest

from fastyolo.export.fixed_point import multiplied


def test_small_negative_numbers_are_rounded_twice() -> None:
    assert multiplied(np.array([-2, -3, -7, 2]), 0.2).tolist() == [-1, -1, -2, 1]
    assert np.rint(np.array([-2, -3, -7, 2]) * 0.2).tolist() == [0, -1, -1, 0]


@pytest.mark.parametrize("multiplier", [0.1, 0.16, 0.25, 0.5, 1.0, 2.0, 2.7])
def test_no_result_is_off_by_more_than_the_two_roundings(multiplier: float) -> None:
    values = np.arange(-255, 256)
    assert np.abs(multiplied(values, multiplier) - values * multiplier).max() <= 1
    np.testing.assert_array_equal(multiplied(values, 1.0), values)
    np.testing.assert_array_equal(multiplied(values, 2.0), 2 * values)


@pytest.mark.parametrize("ratio", [1.6, 2.0, 2.6, 3.0])
def test_a_leaky_relu_of_the_runtime_computes_the_same(ratio: float) -> None:
    """LiteRT without XNNPACK runs TFLite's reference arithmetic."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    from fastyolo.export.graph import INPUT_NAME, Graph, LeakyRelu
    from fastyolo.export.int8 import Affine, Quantization
    from fastyolo.export.tflite import write_tflite

    graph = Graph({INPUT_NAME: (1, 256, 1), "out": (1, 256, 1)}, (LeakyRelu((INPUT_NAME,), ("out",)),), ("out",))
    quantization = Quantization({INPUT_NAME: Affine(0.5 * ratio, 20), "out": Affine(0.5, -20)}, {})
    interpreter = Interpreter(
        model_content=write_tflite(graph, quantization),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    values = np.arange(-128, 128)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values.astype(np.int8).reshape(1, 1, 256, 1))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel()
    steps = values - 20
    expected = np.where(steps > 0, multiplied(steps, ratio), multiplied(steps, ratio * 0.1)) - 20
    np.testing.assert_array_equal(found, np.clip(expected, -128, 127))
