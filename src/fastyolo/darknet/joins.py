"""The layers that read others by their index: [route], [shortcut], [scale_channels] and [sam]."""

from __future__ import annotations

from fastyolo.darknet.cfg import MAX_INTEGER, Section, shorten
from fastyolo.darknet.kinds import Layer, Product, Route, Shape, Shortcut, Walk

MAX_SUMMANDS = 64
"""Of [shortcut]; real ones have two or three."""


def read_route(section: Section, walk: Walk) -> Layer:
    inputs = _references(section, walk, "layers")
    if not inputs:
        raise section.error("layers= in [route]", "none")
    groups = section.integer("groups", 1, low=1)
    group_id = section.integer("group_id", 0, high=groups - 1)
    shapes = [walk.shape(index) for index in inputs]
    for shape in shapes:
        if shape[:2] != shapes[0][:2]:
            sizes = " and ".join(f"{other[0]}x{other[1]}" for other in (shapes[0], shape))
            raise section.error("layers of one size", sizes, key="layers")
        if shape[2] % groups:
            raise section.error(f"channels divisible by groups={groups}", str(shape[2]), key="groups")
    channels = sum(shape[2] // groups for shape in shapes)
    return Route(section, inputs, (shapes[0][0], shapes[0][1], channels), groups, group_id)


def read_shortcut(section: Section, walk: Walk) -> Layer:
    if section.text("weights_type", "none") != "none":
        got = shorten(section.text("weights_type", ""))
        raise section.error("weights_type=none, a sum without trained weights", got, key="weights_type")
    others = _references(section, walk, "from")
    if not 1 <= len(others) <= MAX_SUMMANDS:
        got = f"{len(others)} layers" if others else "none"
        raise section.error(f"from= in [shortcut], of at most {MAX_SUMMANDS} layers", got, key="from")
    shape = walk.shape(walk.previous)
    for index in others:
        # Darknet adds numbers in the order of memory, whatever the sizes; that makes sense for equal ones.
        if walk.shape(index)[:2] != shape[:2]:
            raise section.error("layers of one height and width", _sizes(shape, walk.shape(index)), key="from")
    return Shortcut(section, (walk.previous, *others), shape, section.text("activation", "linear"))


def read_scale_channels(section: Section, walk: Walk) -> Layer:
    factors, (other,) = walk.shape(walk.previous), _one_reference(section, walk)
    shape = walk.shape(other)
    if factors != (1, 1, shape[2]):
        expected = f"1x1x{shape[2]} before [scale_channels], a factor for each channel that it scales"
        raise section.error(expected, "x".join(map(str, factors)), key="from")
    return Product(section, (walk.previous, other), shape, section.text("activation", "linear"))


def read_sam(section: Section, walk: Walk) -> Layer:
    shape, (other,) = walk.shape(walk.previous), _one_reference(section, walk)
    if walk.shape(other) != shape:
        raise section.error("two layers of one shape", _sizes(shape, walk.shape(other)), key="from")
    return Product(section, (walk.previous, other), shape, section.text("activation", "linear"))


def _one_reference(section: Section, walk: Walk) -> tuple[int, ...]:
    found = _references(section, walk, "from")
    if len(found) != 1:
        raise section.error(f"from= one layer in [{section.type}]", f"{len(found)} layers", key="from")
    return found


def _references(section: Section, walk: Walk, key: str) -> tuple[int, ...]:
    indices = section.integers(key, low=-MAX_INTEGER, high=MAX_INTEGER)
    return tuple(walk.reference(section, key, index) for index in indices)


def _sizes(*shapes: Shape) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)
