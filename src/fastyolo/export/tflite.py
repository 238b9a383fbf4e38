"""How a graph is written as a .tflite file: float32, or int8 throughout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastyolo.errors import ExportError
from fastyolo.export.graph import (
    INPUT_NAME,
    Complement,
    Convolution,
    Graph,
    Mean,
    Operation,
    Pad,
    Slice,
    Split,
    Upsample,
)
from fastyolo.export.int8 import Quantization
from fastyolo.export.operators import BUILTINS, operator_options, stored_weights

try:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
except ImportError:
    raise ExportError("export needs LiteRT: pip install ai-edge-litert") from None

INT8_SUFFIX = "_int8"
"""What the int8 twin of a float32 output is called."""


def write_tflite(
    graph: Graph,
    quantization: Quantization | None = None,
    *,
    float_outputs: bool = False,
    also_output: Sequence[str] = (),
) -> bytes:
    """Serialise a graph; the same graph gives the same bytes.

    Args:
        quantization: makes an int8 file; without it the file is float32.
        float_outputs: an int8 file ends in DEQUANTIZE, so that its outputs are float32.
        also_output: inner tensors that the file shall put out behind the heads.
    """
    writer = _Writer(graph, quantization)
    for operation in graph.operations:
        writer.add_operation(operation)
    outputs = [writer.tensors[name] for name in graph.outputs]
    if quantization is not None and float_outputs:
        outputs = [writer.add_dequantize(name) for name in graph.outputs]
    outputs += [writer.tensors[name] for name in also_output]
    content = writer.finish(outputs)
    if quantization is not None:
        check_integer(content, allow_float=graph.outputs if float_outputs else ())
    return content


def check_integer(content: bytes, *, allow_float: Sequence[str] = ()) -> None:
    """Raise `ExportError` if any tensor of a .tflite file is not of an integer type; `allow_float` names exceptions."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    integers = {schema.TensorType.INT8, schema.TensorType.INT32}
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            name = tensor.name.decode()
            if tensor.type not in integers and name not in allow_float:
                raise ExportError(f"every tensor of an int8 model must be an integer one, got another type for {name}")


class _AlignedBuffer:
    """Stands in for the schema's BufferT, whose Pack forgets the 16-byte alignment that kernels may rely on."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def Pack(self, builder: flatbuffers.Builder) -> Any:
        if self.content:
            size = len(self.content)
            builder.StartVector(1, size, 16)
            builder.head = builder.head - size
            builder.Bytes[builder.head : builder.head + size] = self.content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if self.content:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


class _Writer:
    def __init__(self, graph: Graph, quantization: Quantization | None) -> None:
        self.graph = graph
        self.quantization = quantization
        self.model = schema.ModelT()
        self.subgraph = schema.SubGraphT()
        # Buffer 0 is by convention the empty one of tensors without constant content.
        self.buffers = [_AlignedBuffer(b"")]
        self.codes: dict[str, int] = {}
        self.tensors: dict[str, int] = {}
        self.subgraph.tensors = []
        self.subgraph.operators = []
        self.model.operatorCodes = []
        self._activation(INPUT_NAME)

    def add_operation(self, operation: Operation) -> None:
        inputs = [self.tensors[name] for name in operation.inputs]
        outputs = [self._activation(name) for name in operation.outputs]
        name = operation.outputs[0]
        match operation:
            case Convolution():
                inputs += self._convolution_constants(name, operation)
            case Pad():
                pads = np.array([(0, 0), operation.rows, operation.columns, (0, operation.channels)], np.int32)
                inputs.append(self._constant(f"{name}/paddings", pads))
            case Upsample():
                inputs.append(self._constant(f"{name}/size", np.array(self.graph.shapes[name][:2], np.int32)))
            case Split():
                inputs.insert(0, self._constant(f"{name}/axis", np.array(3, np.int32)))
            case Mean():
                inputs.append(self._constant(f"{name}/axes", np.array([1, 2], np.int32)))
            case Slice():
                inputs += self._slice_constants(name, operation)
            case Complement():
                inputs.insert(0, self._constant(f"{name}/whole", np.array(2, np.float32)))
        kind = "depthwise" if isinstance(operation, Convolution) and operation.depthwise else type(operation)
        self._operator(kind, inputs, outputs, operator_options(operation))

    def add_dequantize(self, name: str) -> int:
        """A float32 tensor called `name` with the values of the int8 tensor of that name, which is renamed."""
        source = self.tensors[name]
        self.subgraph.tensors[source].name = name + INT8_SUFFIX
        target = self._tensor(name, (1, *self.graph.shapes[name]), schema.TensorType.FLOAT32)
        self._operator("dequantize", [source], [target], schema.DequantizeOptionsT())
        return target

    def finish(self, outputs: Sequence[int]) -> bytes:
        self.subgraph.inputs = [self.tensors[INPUT_NAME]]
        self.subgraph.outputs = list(outputs)
        self.subgraph.name = "main"
        self.model.version = 3
        self.model.description = "fastyolo"
        self.model.subgraphs = [self.subgraph]
        self.model.buffers = self.buffers
        builder = flatbuffers.Builder(sum(len(buffer.content) for buffer in self.buffers) + (1 << 20))
        builder.Finish(self.model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _activation(self, name: str) -> int:
        kind, parameters = schema.TensorType.FLOAT32, None
        if self.quantization is not None:
            affine = self.quantization.tensors[name]
            kind, parameters = schema.TensorType.INT8, _parameters([affine.scale], [affine.zero_point])
        self.tensors[name] = self._tensor(name, (1, *self.graph.shapes[name]), kind, parameters)
        return self.tensors[name]

    def _convolution_constants(self, name: str, operation: Convolution) -> list[int]:
        if self.quantization is None:
            return [
                self._constant(f"{name}/weights", stored_weights(operation, operation.weights)),
                self._constant(f"{name}/bias", operation.bias),
            ]
        numbers = self.quantization.convolutions[name]
        # One scale makes a runtime take the weights for quantised per tensor.
        zeros = [0] * len(numbers.scales)
        parameters = _parameters(numbers.scales.tolist(), zeros)
        if operation.depthwise and len(numbers.scales) > 1:
            parameters.quantizedDimension = 3
        # The product of input and weight scale is what TFLite checks the bias against.
        bias_scales = np.float32(self.quantization.tensors[operation.inputs[0]].scale) * numbers.scales
        return [
            self._constant(f"{name}/weights", stored_weights(operation, numbers.weights), parameters),
            self._constant(f"{name}/bias", numbers.bias, _parameters(bias_scales.tolist(), zeros)),
        ]

    def _slice_constants(self, name: str, operation: Slice) -> list[int]:
        starts, steps = np.array(operation.starts), np.array([*operation.steps, 1])
        ends = starts + (np.array(self.graph.shapes[name]) - 1) * steps + 1
        bounds = {"starts": (0, *starts), "ends": (1, *ends), "steps": (1, *steps)}
        return [self._constant(f"{name}/{what}", np.array(values, np.int32)) for what, values in bounds.items()]

    def _constant(self, name: str, values: npt.NDArray[Any], parameters: Any = None) -> int:
        kinds = {"f4": schema.TensorType.FLOAT32, "i4": schema.TensorType.INT32, "i1": schema.TensorType.INT8}
        kind = values.dtype.str[1:]
        # .tflite files are little-endian on every machine.
        content = values.astype(values.dtype.newbyteorder("<")).tobytes()
        self.buffers.append(_AlignedBuffer(content))
        return self._tensor(name, values.shape, kinds[kind], parameters, len(self.buffers) - 1)

    def _tensor(self, name: str, shape: Sequence[int], kind: int, parameters: Any = None, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
        tensor.quantization = parameters
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def _operator(self, kind: type[Operation] | str, inputs: list[int], outputs: list[int], options: Any) -> None:
        builtin, float_version, int8_version, options_type = BUILTINS[kind]
        if builtin not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, builtin)
            # Readers older than the wide code field look here; all codes used are below its limit of 127.
            code.deprecatedBuiltinCode = code.builtinCode
            code.version = float_version if self.quantization is None else int8_version
            self.codes[builtin] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.codes[builtin], inputs, outputs
        if options_type:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_type)
            operator.builtinOptions = options
        self.subgraph.operators.append(operator)


def _parameters(scales: list[float], zero_points: list[int]) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = scales, zero_points
    return parameters
