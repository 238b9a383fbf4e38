"""Small networks for tests: .cfg texts, seeded random weights, and a plain NumPy reading of what Darknet computes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastyolo.darknet import (
    AveragePool,
    Convolutional,
    ConvolutionWeights,
    Dropout,
    Layer,
    MaxPool,
    Product,
    Route,
    Shortcut,
    Upsample,
    Yolo,
    network_layers,
    read_cfg,
    read_weights,
)
from fastyolo.export.build import build_graph, supported_layers
from fastyolo.export.fetch import OFFICIAL_CFG
from fastyolo.export.graph import Graph

Float32Array = npt.NDArray[np.float32]

ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"


def conv(filters: int, size: int = 3, stride: int = 1, activation: str = "leaky", normalize: int = 1) -> str:
    return (
        f"[convolutional]\nbatch_normalize={normalize}\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n"
        f"activation={activation}\n"
    )


def pool(size: int, stride: int) -> str:
    return f"[maxpool]\nsize={size}\nstride={stride}\n"


def head(mask: str, classes: int, *, more: str = "") -> str:
    """A linear convolution of the right width and its [yolo]."""
    filters = len(mask.split(",")) * (5 + classes)
    return conv(filters, 1, 1, "linear", 0) + (
        f"[yolo]\nmask={mask}\nanchors={ANCHORS}\nclasses={classes}\nnum=6\n{more}\n"
    )


def cfg_text(*layers: str, height: int = 64, width: int = 64, channels: int = 3) -> str:
    return f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n" + "\n".join(layers)


def tiny(height: int = 64, width: int = 96, classes: int = 2) -> str:
    """Every layer kind that yolov4-tiny has, in ten convolutions' worth less of everything."""
    return cfg_text(
        conv(8, 3, 2), conv(8, 3, 2), "[route]\nlayers=-1\ngroups=2\ngroup_id=1", conv(4), conv(4),
        "[route]\nlayers=-1,-2", conv(8, 1), "[route]\nlayers=-6,-1", pool(2, 2), conv(16), conv(16, 3, 2),
        head("3,4,5", classes), "[route]\nlayers=-3", conv(8, 1), "[upsample]\nstride=2", "[route]\nlayers=-1,9",
        conv(8), head("1,2,3", classes), height=height, width=width,
    )  # fmt: skip


def smallest(height: int = 64, width: int = 96, classes: int = 2) -> str:
    """For tests to which no layer matters: exported in a tenth of the time that `tiny` takes."""
    return cfg_text(conv(8, 3, 2, "relu"), pool(8, 8), head("3,4,5", classes), height=height, width=width)


def yolov4_tiny(height: int = 416, width: int = 416, classes: int = 80) -> str:
    """yolov4-tiny for pictures of this size and so many classes."""
    text = OFFICIAL_CFG.read_text()
    for old, new in (
        ("width=416", f"width={width}"),
        ("height=416", f"height={height}"),
        ("classes=80", f"classes={classes}"),
        ("filters=255", f"filters={3 * (5 + classes)}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def yolov4_tiny_3l(height: int = 416, width: int = 416, classes: int = 80) -> str:
    """yolov4-tiny-3l: a third head of stride 8, behind layer 15, and nine anchors."""
    third = [
        "[route]\nlayers=-3", conv(64, 1), "[upsample]\nstride=2", "[route]\nlayers=-1,15", conv(128),
        head("0,1,2", classes, more="scale_x_y=1.05"),
    ]  # fmt: skip
    text = yolov4_tiny(height, width, classes).replace("mask=3,4,5", "mask=6,7,8").replace("mask=1,2,3", "mask=3,4,5")
    anchors = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401"
    return "\n".join([text, *third]).replace(ANCHORS, anchors).replace("num=6", "num=9")


def yolov3_tiny(height: int = 416, width: int = 416, classes: int = 80, n: int = 16) -> str:
    """yolov3-tiny: pools of stride 1 and 2, leaky convolutions, one upsampling; `n` filters in the first layer.

    The fine head has anchors 1, 2, 3 as in yolov4-tiny. A .cfg with 0, 1, 2 also goes around; with the official weights
    that costs 15 points of AP50.
    """
    return cfg_text(
        conv(n), pool(2, 2), conv(2 * n), pool(2, 2), conv(4 * n), pool(2, 2), conv(8 * n), pool(2, 2), conv(16 * n),
        pool(2, 2), conv(32 * n), pool(2, 1), conv(64 * n), conv(16 * n, 1), conv(32 * n), head("3,4,5", classes),
        "[route]\nlayers=-4", conv(8 * n, 1), "[upsample]\nstride=2", "[route]\nlayers=-1,8", conv(16 * n),
        head("1,2,3", classes), height=height, width=width,
    )  # fmt: skip


def write_network(
    folder: Path, text: str, *, seed: int = 0, name: str = "net", head_gain: float = 1.0
) -> tuple[Path, Path]:
    """Write NAME.cfg and NAME.weights with seeded random numbers that keep activations near one; return both paths.

    `head_gain` makes the weights of convolutions without batch normalisation smaller.
    """
    cfg = folder / f"{name}.cfg"
    cfg.write_text(text)
    random = np.random.default_rng(seed)
    parts = []
    for layer in network_layers(read_cfg(cfg)):
        if not isinstance(layer, Convolutional):
            continue
        count, fan_in = layer.filters, layer.filter_channels * layer.size**2
        parts.append(random.normal(0, 0.5, count))
        if layer.batch_normalize:
            parts += [random.uniform(0.5, 1.5, count), random.normal(0, 0.5, count), random.uniform(0.5, 1.5, count)]
        gain = 1.0 if layer.batch_normalize else head_gain
        parts.append(random.normal(0, (2 / fan_in) ** 0.5, count * fan_in) * gain)
    weights = folder / f"{name}.weights"
    header = np.array([0, 2, 5], "<i4").tobytes() + np.array([32000], "<i8").tobytes()
    weights.write_bytes(header + np.concatenate(parts).astype("<f4").tobytes())
    return cfg, weights


def load(cfg: Path, weights: Path, *, epsilon: float = 1e-5) -> Graph:
    description = read_cfg(cfg)
    numbers, _ = read_weights(weights, supported_layers(description))
    return build_graph(description, numbers, batch_norm_epsilon=epsilon)


def pictures(graph: Graph, count: int = 8) -> list[npt.NDArray[np.uint8]]:
    """Seeded noise over gradients, uint8 (rows, columns, channels)."""
    random = np.random.default_rng(5)
    rows, columns, channels = graph.shapes["input"]
    base = np.linspace(0, 200, columns)[None, :, None] + random.uniform(0, 55, (count, rows, columns, channels))
    return list(base.astype(np.uint8))


def forward(
    layers: Sequence[Layer], weights: dict[int, ConvolutionWeights], image: Float32Array, *, epsilon: float = 1e-5
) -> list[Float32Array]:
    """The raw heads, (rows, columns, channels) each, that Darknet computes for a (height, width, channels) image.

    Written from the definitions, one window at a time: slow and plain.
    """
    values: list[npt.NDArray[np.float64]] = []
    heads: list[Float32Array] = []
    for index, layer in enumerate(layers):
        inputs = [image.astype(np.float64) if source < 0 else values[source] for source in layer.inputs]
        match layer:
            case Convolutional():
                output = _convolve(inputs[0], layer, weights[index], epsilon)
            case MaxPool():
                output = _max_pool(inputs[0], layer)
            case Route():
                output = np.concatenate([np.split(x, layer.groups, 2)[layer.group_id] for x in inputs], axis=2)
            case Upsample():
                output = inputs[0].repeat(layer.stride, axis=0).repeat(layer.stride, axis=1)
            case Shortcut():
                output = inputs[0].copy()
                for other in inputs[1:]:
                    both = min(output.shape[2], other.shape[2])
                    output[..., :both] += other[..., :both]
                output = _activate(output, layer.activation)
            case AveragePool():
                output = inputs[0].mean(axis=(0, 1), keepdims=True)
            case Product():
                output = _activate(inputs[0] * inputs[1], layer.activation)
            case Dropout():
                output = inputs[0]
            case Yolo():
                output = inputs[0]
                heads.append(output.astype(np.float32))
        assert output.shape == layer.shape
        values.append(output)
    return heads


def _activate(values: npt.NDArray[np.float64], activation: str) -> npt.NDArray[np.float64]:
    functions = {
        "linear": lambda x: x,
        "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
        "relu": lambda x: np.maximum(x, 0),
        "relu6": lambda x: np.clip(x, 0, 6),
        "logistic": lambda x: 1 / (1 + np.exp(-x)),
        "swish": lambda x: x / (1 + np.exp(-x)),
        "silu": lambda x: x / (1 + np.exp(-x)),
        "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
        "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    }
    return functions[activation](values)


def _convolve(
    image: npt.NDArray[np.float64], layer: Convolutional, found: ConvolutionWeights, epsilon: float
) -> npt.NDArray[np.float64]:
    padding, size = layer.padding, layer.size
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    # The filters of each group, and the channels that they see.
    kernels = np.split(found.weights.astype(np.float64).transpose(2, 3, 1, 0), layer.groups, axis=3)
    shares = np.split(padded, layer.groups, axis=2)
    output = np.empty(layer.shape)
    for row, column in np.ndindex(layer.shape[:2]):
        top, left = row * layer.stride, column * layer.stride_x
        output[row, column] = np.concatenate(
            [
                np.tensordot(share[top : top + size, left : left + size], kernel, 3)
                for share, kernel in zip(shares, kernels, strict=True)
            ]
        )
    if found.scale is not None and found.mean is not None and found.variance is not None:
        output = (output - found.mean) / np.sqrt(found.variance + epsilon) * found.scale
    return _activate(output + found.bias, layer.activation)


def _max_pool(image: npt.NDArray[np.float64], layer: MaxPool) -> npt.NDArray[np.float64]:
    output = np.full(layer.shape, -np.inf)
    for row, column in np.ndindex(layer.shape[:2]):
        top, left = row * layer.stride - layer.padding // 2, column * layer.stride_x - layer.padding // 2
        window = image[max(top, 0) : top + layer.size, max(left, 0) : left + layer.size]
        output[row, column] = window.max(axis=(0, 1))
    return output
