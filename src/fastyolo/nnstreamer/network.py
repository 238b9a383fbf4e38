"""Which network the heads come from: what its file, a .cfg or the heads' shapes say."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastyolo.errors import HeadError, ModelError, OptionError, SpecError
from fastyolo.files import shown
from fastyolo.flatfile import FlatFile, FlatTensor, read_flatfile
from fastyolo.heads import cells_of, fitting_spec, match_heads
from fastyolo.metadata import METADATA_NAME, find_metadata
from fastyolo.names import COCO_NAMES, coco_names, read_names, renamed, unnamed
from fastyolo.nnstreamer.messages import say
from fastyolo.nnstreamer.options import Options
from fastyolo.spec import ModelSpec

Shape = tuple[int, ...]
_END_OF_FILE = 1 << 16


class Network(NamedTuple):
    """What is known before heads arrive. `spec` is None where only their shapes will tell.

    `any_size` says that the spec's input size is a .cfg's, which serves files of other sizes too.
    """

    spec: ModelSpec | None
    outputs: tuple[FlatTensor, ...]
    head_names: Sequence[str] | None
    any_size: bool


class Head(NamedTuple):
    """Where the array of a head stands among those that come, its shape, and its scale where it is quantised."""

    position: int
    shape: tuple[int, int, int]
    quantization: tuple[float, int] | None


def read_network(options: Options) -> Network:
    """What `model`, `cfg`, `names` and the size say.

    Raises:
        ModelError, SpecError, OptionError: a file cannot be read, or two of them contradict each other.
    """
    path = options.model
    flat = None if path is None else read_flatfile(path)
    metadata = None if path is None else _metadata(path)
    names = _names(options.names)
    if options.cfg is not None:
        spec: ModelSpec | None = _from_cfg(options.cfg, names)
    elif metadata is not None:
        spec = ModelSpec.from_dict(metadata)
    elif flat is not None:
        spec = standard_spec([tensor.shape for tensor in flat.outputs], names, shown(path or ""))
    else:
        spec = None
    if spec is not None:
        spec = _with_names(spec, names, options.names)
        size = options.input_size if flat is None else _input_size(flat, path or "")
        if options.cfg is not None and size is not None:
            spec = dataclasses.replace(spec, input_size=size)
        _check_size(spec, options.input_size, "Height and Width")
        _check_size(spec, size, "the input")
    any_size = options.cfg is not None and flat is None and options.input_size is None
    return Network(spec, flat.outputs if flat else (), (metadata or {}).get("outputs"), any_size)


def match(network: Network, options: Options, shapes: Sequence[Shape], dtypes: Sequence[str]) -> tuple[
    ModelSpec, list[Head]
]:  # fmt: skip
    """The network, and its heads in its own order, among arrays of these shapes and types.

    Raises:
        HeadError: they are not the network's, or what their bytes mean is not known.
    """
    spec = network.spec
    if not network.outputs:
        _check_floats(dtypes)
    if spec is None:
        names = _names(options.names)
        spec = standard_spec(shapes, names, "the network")
        _check_size(spec, options.input_size, "Height and Width")
    elif network.any_size:
        spec = _resized(spec, shapes)
    cells = [cells_of(shape) for shape in shapes]
    order = match_heads(spec, cells)
    if not network.outputs:
        return spec, [Head(position, shape, None) for position, shape in zip(order, spec.head_shapes, strict=True)]
    sources = _sources(network.outputs, cells)
    heads = []
    for index, shape in zip(_model_order(network, spec), spec.head_shapes, strict=True):
        position = sources.index(index)
        heads.append(Head(position, shape, _scale(network.outputs[index], dtypes[position])))
    return spec, heads


def standard_spec(shapes: Sequence[Shape], names: Sequence[str] | None, what: str) -> ModelSpec:
    """The official YOLOv4-tiny, with the size and number of classes that the heads have; says so on stderr.

    Raises:
        SpecError: two heads of that network have other shapes.
    """
    cells = [cells_of(shape) for shape in shapes]
    if fitting_spec(cells) is None:
        listed = ", ".join(str(shape) for shape in shapes) or "none"
        raise SpecError(
            f"{what} says nothing of its anchors, and its heads are not those of a YOLOv4-tiny, got {listed}; "
            f"describe it with cfg:FILE"
        )
    rows, columns, channels = min(cells)
    count = channels // 3 - 5
    if names is None:
        names = COCO_NAMES if count == len(COCO_NAMES) else unnamed(count)
    if len(names) != count:
        raise SpecError(f"names: must hold {count} class names for these heads, got {len(names)}")
    say(
        f"warning: {what} carries no metadata; taken for a YOLOv4-tiny with the official anchors and {count} classes "
        f"(cfg:FILE describes another network)"
    )
    return ModelSpec.yolov4_tiny(names=names, input_size=(rows * 32, columns * 32))


def _metadata(path: str) -> dict[str, Any] | None:
    metadata = find_metadata(path)
    if metadata is None:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _END_OF_FILE))
            if METADATA_NAME.encode() in file.read(_END_OF_FILE):
                raise ModelError(f"{shown(path)} is cut off: its metadata is not complete; copy the file again")
    return metadata


def _from_cfg(cfg: str, names: Sequence[str] | None) -> ModelSpec:
    if cfg == "yolov4-tiny":
        spec = ModelSpec.yolov4_tiny(nms="diou")  # its .cfg says greedynms
        return spec if names is None else dataclasses.replace(spec, names=tuple(names))
    return ModelSpec.from_cfg(cfg, names=names)


def _with_names(spec: ModelSpec, names: Sequence[str] | None, option: str | None) -> ModelSpec:
    if names is None:
        return spec
    if len(names) != spec.num_classes:
        raise SpecError(f"names: must hold {spec.num_classes} class names for this network, got {len(names)}")
    return dataclasses.replace(spec, names=renamed(spec.names, "coco" if option == "coco" else names))


def _names(option: str | None) -> Sequence[str] | None:
    """The class names of a file, or of "coco"."""
    return coco_names() if option == "coco" else None if option is None else read_names(option)


def _input_size(flat: FlatFile, path: str) -> tuple[int, int]:
    shapes = [tensor.shape for tensor in flat.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise ModelError(f"{shown(path)} must have one input (1, height, width, channels), got {shapes}")
    return shapes[0][1], shapes[0][2]


def _check_size(spec: ModelSpec, size: tuple[int, int] | None, what: str) -> None:
    if size is not None and size != spec.input_size:
        raise OptionError(
            f"the network's input is {spec.input_size[0]} high and {spec.input_size[1]} wide, but {what} "
            f"say{'s' if what.startswith('the') else ''} {size[0]} and {size[1]}"
        )


def _resized(spec: ModelSpec, shapes: Sequence[Shape]) -> ModelSpec:
    """A .cfg's network at the size that its finest head shows: anchors are network pixels at any size."""
    finest = max((cells_of(shape)[:2] for shape in shapes), default=())
    stride = min(head.stride for head in spec.heads)
    try:
        return dataclasses.replace(spec, input_size=tuple(cells * stride for cells in finest))  # type: ignore[arg-type]
    except SpecError:
        return spec


def _model_order(network: Network, spec: ModelSpec) -> list[int]:
    """For every head of the spec its output among the model's own."""
    shapes = [cells_of(tensor.shape) for tensor in network.outputs]
    if network.head_names is None:
        return match_heads(spec, shapes)
    return match_heads(spec, shapes, names=[tensor.name for tensor in network.outputs], head_names=network.head_names)


def _sources(outputs: Sequence[FlatTensor], cells: Sequence[Shape]) -> list[int]:
    """Which of the model's outputs each array is: by position where they come in its order, else by shape."""
    own = [cells_of(tensor.shape) for tensor in outputs]
    if list(cells) == own:
        return list(range(len(own)))
    sources: list[int] = []
    for cell in cells:
        alike = [index for index, shape in enumerate(own) if shape == cell]
        if len({(outputs[index].scales, outputs[index].zero_points) for index in alike}) > 1:
            raise HeadError(
                f"outputs {', '.join(outputs[index].name for index in alike)} have one shape {cell} and different "
                f"scales, so only their order tells them apart; let them come in the model's own order"
            )
        sources.append(next(index for index in alike if index not in sources))
    return sources


def _check_floats(dtypes: Sequence[str]) -> None:
    for dtype in dtypes:
        if dtype != "float32":
            raise HeadError(
                f"heads are {dtype}, and what their bytes mean is in the model's file: add model:FILE.tflite, the one "
                f"that runs before this filter, to custom="
            )


def _scale(tensor: FlatTensor, dtype: str) -> tuple[float, int] | None:
    if dtype == "float32":
        return None
    if dtype != tensor.dtype:
        raise HeadError(
            f"output {tensor.name} is {tensor.dtype} in the model's file, got {dtype}; give the file that runs"
        )
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise HeadError(
            f"output {tensor.name} must have one scale and zero point, got {len(tensor.scales)} and "
            f"{len(tensor.zero_points)}; quantise it per tensor"
        )
    return tensor.scales[0], tensor.zero_points[0]
