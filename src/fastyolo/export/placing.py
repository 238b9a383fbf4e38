"""Which operations compute the windows of Darknet: where they begin, and how far apart they are."""

from __future__ import annotations

from math import gcd

from fastyolo.darknet import Convolutional
from fastyolo.darknet import MaxPool as MaxPoolLayer
from fastyolo.export.activations import activate
from fastyolo.export.emitter import Emitter
from fastyolo.export.graph import Convolution, Float32Array, MaxPool, Pad, Slice
from fastyolo.export.windows import padding


def convolve(
    emitter: Emitter, name: str, source: str, layer: Convolutional, weights: Float32Array, bias: Float32Array
) -> str:
    """A convolution with its activation."""
    rows, columns, channels = emitter.shapes[source]
    # Two strides are one that divides both, and every so many of its windows.
    stride = gcd(layer.stride, layer.stride_x)
    steps = layer.stride // stride, layer.stride_x // stride
    counts = [(extent + 2 * layer.padding - layer.size) // stride + 1 for extent in (rows, columns)]
    pads = [
        _darknet_padding(extent, count, layer.size, stride, layer.padding)
        for extent, count in ((rows, counts[0]), (columns, counts[1]))
    ]
    same = pads == [padding(extent, layer.size, stride, same=True) for extent in (rows, columns)]
    if not same and pads != [(0, 0), (0, 0)]:
        shape = (rows + sum(pads[0]), columns + sum(pads[1]), channels)
        source = emitter.emit(Pad((source,), (f"{name}/pad",), pads[0], pads[1]), shape)
    target = name if steps == (1, 1) else f"{name}/dense"
    relu, relu6 = (layer.activation == kind for kind in ("relu", "relu6"))
    operation = Convolution((source,), (target,), weights, bias, stride, same, relu, layer.groups, relu6)
    output = activate(emitter, emitter.emit(operation, (counts[0], counts[1], layer.filters)), layer.activation)
    if steps == (1, 1):
        return output
    return emitter.emit(Slice((output,), (name,), steps=steps), layer.shape)


def max_pool(emitter: Emitter, name: str, source: str, layer: MaxPoolLayer) -> str:
    """The maxima of [maxpool]."""
    rows, columns, channels = emitter.shapes[source]
    size, stride, before = layer.size, layer.stride, layer.padding // 2
    even = stride == layer.stride_x
    if even and layer.padding == 0:
        return emitter.emit(MaxPool((source,), (name,), size, stride, same=False), layer.shape)
    full = layer.padding == size - 1
    if even and full and all(padding(extent, size, stride, same=True)[0] == before for extent in (rows, columns)):
        return emitter.emit(MaxPool((source,), (name,), size, stride, same=True), layer.shape)
    # TFLite would start these windows elsewhere: take every maximum, then those that Darknet takes.
    dense = emitter.emit(MaxPool((source,), (f"{name}/dense",), size, 1, same=True), (rows, columns, channels))
    if even and full:
        return emitter.emit(MaxPool((dense,), (name,), 1, stride, same=True), layer.shape)
    first = (size - 1) // 2 - before
    return emitter.emit(Slice((dense,), (name,), (first, first, 0), (stride, layer.stride_x)), layer.shape)


def _darknet_padding(extent: int, count: int, size: int, stride: int, before: int) -> tuple[int, int]:
    """Darknet's padding before and after, without the part behind the last window."""
    return before, max(0, (count - 1) * stride + size - before - extent)
