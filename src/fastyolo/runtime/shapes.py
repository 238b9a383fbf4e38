"""How large an operator's outputs become, as the TFLite runtimes compute it: they do not believe what the file says.

Known are the operators that can make tensors larger, and those that detection networks consist of. Of any other the
file's own word is taken, which is what the runtime's memory follows where it does not compute one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastyolo.errors import ModelError
from fastyolo.flatbuffer import Table

Shape = tuple[int, ...]


@dataclass(slots=True)
class Tensor:
    """A tensor of the file. `type` is the schema's number; `content` the first bytes of a constant one."""

    name: str
    shape: Shape
    type: int
    content: memoryview | None


@dataclass(frozen=True, slots=True)
class Operator:
    """`code` is the schema's BuiltinOperator; inputs and outputs are numbers of tensors, -1 for one left out."""

    code: int
    inputs: Shape
    outputs: Shape
    options: Table | None

    def option(self, field: int, kind: str = "<i", default: int = 0) -> int:
        return self.options.number(field, kind, default) if self.options is not None else default


Inputs = Sequence["Tensor | None"]

# BuiltinOperator of TensorFlow's schema.fbs.
ADD, AVERAGE_POOL, CONCATENATION, CONV, DEPTHWISE_CONV = 0, 1, 2, 3, 4
FULLY_CONNECTED, MAX_POOL, RESIZE_BILINEAR, RESHAPE, TRANSPOSE_CONV = 9, 17, 23, 22, 67
PAD, PADV2, MIRROR_PAD, SPLIT, TILE, FILL, RESIZE_NEAREST, BROADCAST_TO = 34, 60, 100, 49, 69, 94, 97, 130
RANGE, SCATTER_ND, SPARSE_TO_DENSE, ONE_HOT, MATRIX_DIAG, BATCH_MATMUL, WHILE = 96, 122, 68, 85, 113, 126, 119
# ADD, MUL, SUB, DIV, MAXIMUM, MINIMUM, LESS, GREATER, GREATER_EQUAL, LESS_EQUAL, EQUAL, NOT_EQUAL, POW, LOGICAL_OR,
# LOGICAL_AND, FLOOR_DIV, FLOOR_MOD, SQUARED_DIFFERENCE, SELECT_V2
BROADCASTING = (ADD, 18, 41, 42, 55, 57, 58, 61, 62, 63, 71, 72, 78, 84, 86, 90, 95, 99, 123)
# ABS, CAST, DEQUANTIZE, ELU, EXP, FLOOR, HARD_SWISH, LEAKY_RELU, LOGISTIC, NEG, PRELU, QUANTIZE, RELU, RELU_N1_TO_1,
# RELU6, RSQRT, SIN, SOFTMAX, SQRT, SQUARE, TANH, LOG
ALIKE = (101, 53, 6, 111, 47, 8, 117, 98, 14, 59, 54, 114, 19, 20, 21, 76, 66, 25, 75, 92, 28, 73)
# What a size comes from that is no constant is known only when it has been computed.
SIZED = {
    RESIZE_BILINEAR: 1, RESIZE_NEAREST: 1, PAD: 1, PADV2: 1, MIRROR_PAD: 1, TILE: 1, FILL: 0, BROADCAST_TO: 1,
    TRANSPOSE_CONV: 0, RANGE: 1, SCATTER_ND: 2, SPARSE_TO_DENSE: 1, ONE_HOT: 1,
}  # fmt: skip
"""The input of each that says how large its output is."""


def output_shapes(operator: Operator, inputs: Inputs, outputs: Sequence[Tensor]) -> list[Shape]:
    """The shape of every output.

    Raises:
        ModelError: it would depend on numbers that the network computes, as the end of a loop does.
    """
    if operator.code == WHILE:
        raise ModelError("it has a loop, of which only running tells when it ends")
    declared = [tensor.shape for tensor in outputs]
    if not inputs or inputs[0] is None or not outputs:
        return declared
    if operator.code in SIZED:
        at = SIZED[operator.code]
        said = inputs[at] if at < len(inputs) else None
        if said is None or said.content is None:
            raise ModelError(f"the size of its tensor {outputs[0].name} is computed, not a constant")
    rule = _RULES.get(operator.code)
    if rule is None:
        return declared
    shape = rule(operator, inputs)
    return declared if shape is None else [shape] * len(outputs)


def products(operator: Operator, inputs: Inputs, outputs: Sequence[Tensor]) -> int:
    """Multiplications, roughly: as many as the weights have, for each place of the output."""
    weights = inputs[1] if len(inputs) > 1 else None
    if not outputs or not inputs or inputs[0] is None:
        return 0
    size = math.prod(outputs[0].shape)
    if operator.code in (MAX_POOL, AVERAGE_POOL):
        return size * max(1, operator.option(3)) * max(1, operator.option(4))
    if weights is None or not weights.shape:
        return size
    if operator.code == BATCH_MATMUL:
        return size * max(inputs[0].shape[-2:], default=1)
    if operator.code in (CONV, FULLY_CONNECTED):
        return size * max(1, math.prod(weights.shape) // max(1, weights.shape[0]))
    if operator.code == DEPTHWISE_CONV:
        return size * max(1, math.prod(weights.shape) // max(1, weights.shape[-1]))
    if operator.code == TRANSPOSE_CONV:
        return size * math.prod(weights.shape)
    return size


def _alike(_operator: Operator, inputs: Inputs) -> Shape | None:
    return inputs[0].shape if inputs and inputs[0] is not None else None


def _broadcast(_operator: Operator, inputs: Inputs) -> Shape | None:
    shapes = [tensor.shape for tensor in inputs if tensor is not None]
    rank = max(map(len, shapes))
    # Only what is 1 may differ, else the runtime refuses the model.
    columns = zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True)
    return tuple(max(column) for column in columns)


def _convolution(operator: Operator, inputs: Inputs) -> Shape | None:
    shape, weights = _images(inputs), _images(inputs, 1)
    if shape is None or weights is None:
        return None
    dilations = (operator.option(4, default=1), operator.option(5, default=1))
    if operator.code == DEPTHWISE_CONV:
        dilations = (operator.option(5, default=1), operator.option(6, default=1))
    sides = _window(operator, shape, (weights[1], weights[2]), dilations)
    return (shape[0], *sides, weights[3] if operator.code == DEPTHWISE_CONV else weights[0])


def _pool(operator: Operator, inputs: Inputs) -> Shape | None:
    shape = _images(inputs)
    if shape is None:
        return None
    return (shape[0], *_window(operator, shape, (operator.option(4), operator.option(3)), (1, 1)), shape[3])


def _window(operator: Operator, shape: Shape, size: Shape, dilations: Shape) -> tuple[int, int]:
    """Height and width of what a window leaves. `dilations` are width's and height's, as strides are in the file."""
    sides = []
    for side, window, stride, dilation in zip(
        shape[1:3], size, (operator.option(2), operator.option(1)), dilations[::-1], strict=True
    ):
        if stride < 1:
            raise ModelError(f"it has an operator with a stride of {stride}")
        reach = (window - 1) * dilation
        sides.append(max(0, -(-(side if operator.option(0, "<b") == 0 else side - reach) // stride)))
    return sides[0], sides[1]


def _padded(_operator: Operator, inputs: Inputs) -> Shape | None:
    shape = _alike(_operator, inputs)
    pads = _constants(inputs[1])
    if shape is None or len(pads) != 2 * len(shape):
        return None
    return tuple(max(0, side + pads[2 * at] + pads[2 * at + 1]) for at, side in enumerate(shape))


def _resized(_operator: Operator, inputs: Inputs) -> Shape | None:
    shape, size = _images(inputs), _constants(inputs[1])
    if shape is None or len(size) != 2:
        return None
    return shape[0], max(0, size[0]), max(0, size[1]), shape[3]


def _tiled(_operator: Operator, inputs: Inputs) -> Shape | None:
    shape, times = _alike(_operator, inputs), _constants(inputs[1])
    if shape is None or len(times) != len(shape):
        return None
    return tuple(max(0, side * number) for side, number in zip(shape, times, strict=True))


def _said(operator: Operator, inputs: Inputs) -> Shape | None:
    """The output's shape is itself an input."""
    return tuple(max(0, side) for side in _constants(inputs[SIZED[operator.code]])) or None


def _joined(operator: Operator, inputs: Inputs) -> Shape | None:
    shapes = [tensor.shape for tensor in inputs if tensor is not None]
    rank = len(shapes[0])
    axis = operator.option(0)
    axis += rank if axis < 0 else 0
    if any(len(shape) != rank for shape in shapes) or not 0 <= axis < rank:
        return None
    sides = [max(column) for column in zip(*shapes, strict=True)]
    sides[axis] = sum(shape[axis] for shape in shapes)
    return tuple(sides)


def _split(operator: Operator, inputs: Inputs) -> Shape | None:
    axes, whole = _constants(inputs[0]), inputs[1] if len(inputs) > 1 else None
    number = operator.option(0)
    if whole is None or len(axes) != 1 or number < 1:
        return None
    shape, axis = list(whole.shape), axes[0] + (len(whole.shape) if axes[0] < 0 else 0)
    if not 0 <= axis < len(shape):
        return None
    shape[axis] //= number
    return tuple(shape)


def _rows(_operator: Operator, inputs: Inputs) -> Shape | None:
    weights = inputs[1] if len(inputs) > 1 else None
    if inputs[0] is None or weights is None or len(weights.shape) != 2 or not weights.shape[1]:
        return None
    return math.prod(inputs[0].shape) // weights.shape[1], weights.shape[0]


def _range(_operator: Operator, inputs: Inputs) -> Shape | None:
    numbers = [number for tensor in inputs for number in _constants(tensor)]
    if len(numbers) != 3 or not numbers[2]:
        raise ModelError("it has a range whose length is no constant")
    return (max(0, -(-(numbers[1] - numbers[0]) // numbers[2])),)


def _one_hot(_operator: Operator, inputs: Inputs) -> Shape | None:
    shape, depth = _alike(_operator, inputs), _constants(inputs[1])
    return (*shape, max(0, depth[0])) if shape is not None and depth else None


def _diagonal(_operator: Operator, inputs: Inputs) -> Shape | None:
    shape = _alike(_operator, inputs)
    return (*shape, shape[-1]) if shape else None


def _matrices(operator: Operator, inputs: Inputs) -> Shape | None:
    first, second = _alike(operator, inputs) or (), _alike(operator, inputs[1:]) or ()
    if min(len(first), len(second)) < 2:
        return None
    # Options: either matrix may be turned.
    rows = first[-1 if operator.option(0, "<b") else -2]
    columns = second[-2 if operator.option(1, "<b") else -1]
    batches = _broadcast(operator, [Tensor("", first[:-2], 0, None), Tensor("", second[:-2], 0, None)]) or ()
    return (*batches, rows, columns)


def _images(inputs: Inputs, at: int = 0) -> Shape | None:
    """The shape of an input with four dimensions."""
    tensor = inputs[at] if at < len(inputs) else None
    return tensor.shape if tensor is not None and len(tensor.shape) == 4 else None


def _constants(tensor: Tensor | None) -> Shape:
    """The whole numbers of a constant tensor."""
    kinds = {2: "i", 4: "q"}
    if tensor is None or tensor.content is None or tensor.type not in kinds:
        return ()
    count = len(tensor.content) // (4 if tensor.type == 2 else 8)
    return struct.unpack_from(f"<{count}{kinds[tensor.type]}", tensor.content)


_Rule = Callable[[Operator, Inputs], "Shape | None"]
_RULES: dict[int, _Rule] = {
    **dict.fromkeys(ALIKE, _alike),
    **dict.fromkeys(BROADCASTING, _broadcast),
    **dict.fromkeys((CONV, DEPTHWISE_CONV), _convolution),
    **dict.fromkeys((MAX_POOL, AVERAGE_POOL), _pool),
    **dict.fromkeys((PAD, PADV2, MIRROR_PAD), _padded),
    **dict.fromkeys((RESIZE_BILINEAR, RESIZE_NEAREST), _resized),
    **dict.fromkeys((FILL, BROADCAST_TO, TRANSPOSE_CONV, SCATTER_ND, SPARSE_TO_DENSE), _said),
    RANGE: _range,
    ONE_HOT: _one_hot,
    MATRIX_DIAG: _diagonal,
    BATCH_MATMUL: _matrices,
    TILE: _tiled,
    CONCATENATION: _joined,
    SPLIT: _split,
    FULLY_CONNECTED: _rows,
}
