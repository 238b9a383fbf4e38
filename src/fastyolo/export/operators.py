"""What TFLite calls each operation, and which options say how it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export.graph import (
    LEAKY_SLOPE,
    Add,
    Complement,
    Concatenation,
    Convolution,
    Divide,
    HardSwish,
    LeakyRelu,
    Logistic,
    Maximum,
    MaxPool,
    Mean,
    Multiply,
    Operation,
    Pad,
    Slice,
    Split,
    Upsample,
)

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:
    raise ExportError("export needs LiteRT: pip install ai-edge-litert") from None

# (builtin code, version for float32, version for int8, options type); versions as TFLite's converter numbers them.
BUILTINS: Mapping[type[Operation] | str, tuple[str, int, int, str]] = {
    Convolution: ("CONV_2D", 1, 3, "Conv2DOptions"),
    Pad: ("PAD", 1, 2, "PadOptions"),
    MaxPool: ("MAX_POOL_2D", 1, 2, "Pool2DOptions"),
    LeakyRelu: ("LEAKY_RELU", 1, 2, "LeakyReluOptions"),
    Logistic: ("LOGISTIC", 1, 2, ""),
    Split: ("SPLIT", 1, 2, "SplitOptions"),
    Concatenation: ("CONCATENATION", 1, 2, "ConcatenationOptions"),
    Upsample: ("RESIZE_NEAREST_NEIGHBOR", 1, 2, "ResizeNearestNeighborOptions"),
    Add: ("ADD", 1, 2, "AddOptions"),
    "depthwise": ("DEPTHWISE_CONV_2D", 1, 3, "DepthwiseConv2DOptions"),
    Slice: ("STRIDED_SLICE", 1, 2, "StridedSliceOptions"),
    HardSwish: ("HARD_SWISH", 1, 1, ""),
    Mean: ("MEAN", 1, 2, "ReducerOptions"),
    Multiply: ("MUL", 1, 2, "MulOptions"),
    Maximum: ("MAXIMUM", 1, 2, "MaximumMinimumOptions"),
    Complement: ("SUB", 1, 2, "SubOptions"),
    Divide: ("DIV", 1, 2, "DivOptions"),
    "dequantize": ("DEQUANTIZE", 2, 2, "DequantizeOptions"),
}


def stored_weights(operation: Convolution, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In TFLite's order: (filters, rows, columns, channels), but (1, rows, columns, filters) where depthwise."""
    return np.ascontiguousarray(weights.transpose(3, 1, 2, 0)) if operation.depthwise else weights


def operator_options(operation: Operation) -> Any:
    """The schema's options object of an operation, or None where it has none."""
    match operation:
        case Convolution(stride=stride, same=same):
            options = schema.Conv2DOptionsT()
            if operation.depthwise:
                options = schema.DepthwiseConv2DOptionsT()
                options.depthMultiplier = len(operation.weights) // operation.groups
            options.padding = schema.Padding.SAME if same else schema.Padding.VALID
            options.strideW = options.strideH = stride
            options.dilationWFactor = options.dilationHFactor = 1
            options.fusedActivationFunction = _fused(operation)
        case MaxPool(size=size, stride=stride, same=same):
            options = schema.Pool2DOptionsT()
            options.padding = schema.Padding.SAME if same else schema.Padding.VALID
            options.strideW = options.strideH = stride
            options.filterWidth = options.filterHeight = size
        case Pad():
            options = schema.PadOptionsT()
        case LeakyRelu():
            options = schema.LeakyReluOptionsT()
            options.alpha = LEAKY_SLOPE
        case Split(outputs=outputs):
            options = schema.SplitOptionsT()
            options.numSplits = len(outputs)
        case Concatenation():
            options = schema.ConcatenationOptionsT()
            options.axis = 3
        case Upsample():
            # Corners not aligned and no half-pixel centres: pixel i reads i // stride, as in Darknet.
            options = schema.ResizeNearestNeighborOptionsT()
        case Add():
            options = schema.AddOptionsT()
            options.fusedActivationFunction = _fused(operation)
        case Multiply():
            options = schema.MulOptionsT()
            options.fusedActivationFunction = _fused(operation)
        case Mean():
            options = schema.ReducerOptionsT()
            options.keepDims = True
        case Slice():
            options = schema.StridedSliceOptionsT()
        case Maximum():
            options = schema.MaximumMinimumOptionsT()
        case Complement():
            options = schema.SubOptionsT()
        case Divide():
            options = schema.DivOptionsT()
        case _:
            options = None
    return options


def _fused(operation: Convolution | Add | Multiply) -> int:
    kinds = schema.ActivationFunctionType
    if operation.relu6:
        return int(kinds.RELU6)
    return int(kinds.RELU if operation.relu else kinds.NONE)
