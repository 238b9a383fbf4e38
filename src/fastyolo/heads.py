"""Which of a network's outputs is which head: the one place that decides it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastyolo.errors import HeadError
from fastyolo.names import COCO_NAMES
from fastyolo.spec import ModelSpec

Shape = tuple[int, ...]


def match_heads(
    spec: ModelSpec,
    shapes: Sequence[Shape],
    *,
    names: Sequence[str] | None = None,
    head_names: Sequence[str] | None = None,
) -> list[int]:
    """Return for every head of `spec`, in its order, the position of its output among `shapes`.

    An output has the shape (rows, columns, anchors * (5 + classes)), with or without a batch axis of 1, or with that
    axis (1, rows, columns, anchors, 5 + classes). By shape alone, never by position, since runtimes give outputs in any
    order. Where heads are alike in shape, outputs with `names` (tensors of a model) are told apart by `head_names`, the
    name of each head's tensor; outputs without names (arrays that somebody collected) are taken in the order of `spec`.

    Raises:
        HeadError: the outputs are not those of the network, or cannot be told apart.
    """
    cells = [cells_of(shape) for shape in shapes]
    if sorted(cells) != sorted(spec.head_shapes):
        raise HeadError(_mismatch(spec, shapes, cells, names))
    order: list[int] = []
    for index, expected in enumerate(spec.head_shapes):
        alike = [position for position, cell in enumerate(cells) if cell == expected]
        if names is not None and len(alike) > 1:
            order.append(_by_name(alike, names, head_names, index, expected))
        else:
            order.append(next(position for position in alike if position not in order))
    return order


def cells_of(shape: Shape) -> Shape:
    """The shape (rows, columns, channels) of an output of one image; any other is returned as it is."""
    if len(shape) == 5 and shape[0] == 1:
        return (shape[1], shape[2], shape[3] * shape[4])
    return shape[1:] if len(shape) == 4 and shape[0] == 1 else shape


def fitting_spec(shapes: Iterable[Sequence[int]]) -> str | None:
    """The `ModelSpec` call that would fit two heads of these (rows, columns, channels), for error messages."""
    heads = sorted((tuple(shape) for shape in shapes), reverse=True)
    if len(heads) != 2 or any(len(shape) != 3 or min(shape) < 1 for shape in heads):
        return None
    fine, coarse = heads
    classes, rest = divmod(coarse[2], 3)
    if fine != (coarse[0] * 2, coarse[1] * 2, coarse[2]) or rest or classes <= 5:
        return None
    arguments = []
    if classes - 5 != len(COCO_NAMES):
        arguments.append(f"names=[... your {classes - 5} class names]")
    if coarse[:2] != (13, 13):
        arguments.append(f"input_size=({coarse[0] * 32}, {coarse[1] * 32})")
    return f"ModelSpec.yolov4_tiny({', '.join(arguments)})"


def fitting_hint(shapes: Iterable[Sequence[int]]) -> str:
    """How to go on from heads of these shapes, to end an error message with; empty where nothing is known.

    Shapes alone are no proof: Yolo-Fastest has YOLOv4-tiny's, and read as such it gives boxes of nothing.
    """
    call = fitting_spec(shapes)
    if call is None:
        return ""
    proviso = "with its anchors, scale_x_y=1.05 and your classes in order"
    cure = "else describe the network by its .cfg: ModelSpec.from_cfg(...), --cfg FILE"
    return f"; by shape {call} would fit, right only for a YOLOv4-tiny {proviso}, {cure}"


def _by_name(
    alike: Sequence[int], names: Sequence[str], head_names: Sequence[str] | None, index: int, shape: Shape
) -> int:
    # Of metadata that anybody may have written.
    wanted = head_names[index] if isinstance(head_names, list | tuple) and index < len(head_names) else None
    named = [position for position in alike if names[position] == wanted]
    if len(named) != 1:
        listed = ", ".join(names[position] for position in alike)
        raise HeadError(f"outputs {listed} all have shape {shape}, and no metadata names the one of head {index}")
    return named[0]


def _mismatch(spec: ModelSpec, shapes: Sequence[Shape], cells: Sequence[Shape], names: Sequence[str] | None) -> str:
    """The one line that says which heads were expected and which came."""
    expected = spec.head_shapes
    got = [str(shape) for shape in shapes]
    if names is not None:
        got = [f"{name} {shape}" for name, shape in zip(names, got, strict=True)]
    message = (
        f"heads must have shapes {_listed(map(str, expected))} for this spec (batch axis optional), got {_listed(got)}"
    )
    cure = _cure(spec, shapes)
    return f"{message}; {cure}" if cure is not None else message + fitting_hint(cells)


def _listed(texts: Iterable[str]) -> str:
    return " and ".join(texts) or "no arrays"


def _cure(spec: ModelSpec, shapes: Sequence[Shape]) -> str | None:
    """What makes heads of other layouts those of the spec, for a layout that others use."""
    without_batch = [shape[1:] if len(shape) == 4 and shape[0] == 1 else shape for shape in shapes]
    if sorted(without_batch) == sorted((channels, rows, columns) for rows, columns, channels in spec.head_shapes):
        return "these are channels-first: pass head.transpose(1, 2, 0) of each"
    grids = [
        (rows, columns, len(head.anchors))
        for head, (rows, columns, _) in zip(spec.heads, spec.head_shapes, strict=True)
    ]
    terms, found = 5 + spec.num_classes, sorted(shapes)
    if found == sorted((1, anchors, rows, columns, terms) for rows, columns, anchors in grids):
        return "their anchors come first: pass head.transpose(0, 2, 3, 1, 4) of each"
    flat = [(1, rows * columns * anchors, terms) for rows, columns, anchors in grids]
    if found == sorted(flat):
        targets = [f"head.reshape{shape}" for shape in spec.head_shapes]
        return f"their cells and anchors are one axis: pass {_listed(targets)}"
    if found == [(1, sum(boxes for _, boxes, _ in flat), terms)]:
        return "all are one array: cut it at its second axis and reshape each piece to its head"
    return None
