"""How large the output of every layer is, through all kinds that Darknet has: a head's grid needs no more of them.

What stands in the way of that is an error only if a head depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fastyolo.darknet.cfg import MAX_INTEGER, Cfg, Section, shorten
from fastyolo.darknet.windows import Window, convolution_window, pooling_window
from fastyolo.errors import SpecError


class Grid(NamedTuple):
    """Rows, columns and channels of a layer's output."""

    rows: int
    columns: int
    channels: int


class _Walk:
    """What the layers so far give; in place of a size, why it is not known."""

    def __init__(self, cfg: Cfg) -> None:
        self.current: Grid | SpecError = Grid(*cfg.input_shape)
        self.outputs: list[Grid | SpecError] = []

    @property
    def previous(self) -> Grid:
        return _known(self.current)

    def output(self, section: Section, key: str, index: int) -> Grid:
        """That of an earlier layer, by its absolute or negative (relative) index."""
        return _known(self.outputs[earlier(section, key, index, len(self.outputs))])


def earlier(section: Section, key: str, index: int, count: int) -> int:
    """The absolute index of a layer before layer `count`, from an absolute or a negative (relative) one."""
    absolute = index + count if index < 0 else index
    if not 0 <= absolute < count:
        raise section.error(f"{key} to name an earlier layer of this layer {count}", str(index), key=key)
    return absolute


def head_grids(cfg: Cfg) -> tuple[tuple[Section, Grid], ...]:
    """Every [yolo] section with the grid that it reads.

    Raises:
        SpecError: a grid that cannot be known, with the line of the layer that is to blame.
    """
    walk = _Walk(cfg)
    heads = []
    for section in cfg.sections:
        if section.type == "yolo":
            heads.append((section, walk.previous))
            output = after = walk.current
        else:
            output, after = _pass(section, walk)
        walk.outputs.append(output)
        walk.current = after
    return tuple(heads)


def _pass(section: Section, walk: _Walk) -> tuple[Grid | SpecError, Grid | SpecError]:
    """What a layer gives to those that name it, and what to the next."""
    try:
        measure = LAYERS.get(section.type)
        if measure is None:
            kind = shorten(section.type)[1:-1]
            raise section.error("layers whose size is known before a [yolo]", f"[{kind}], whose size is not")
        output = _sensible(section, measure(section, walk))
        return output, _sensible(section, _blurred(section, output))
    except SpecError as error:
        return error, error


def _known(output: Grid | SpecError) -> Grid:
    if isinstance(output, SpecError):
        raise output
    return output


def _sensible(section: Section, grid: Grid) -> Grid:
    # Nothing this large is a network for this library, and numbers must not grow from layer to layer.
    if not all(1 <= side <= MAX_INTEGER for side in grid):
        raise section.error(f"an output of 1 to {MAX_INTEGER} each way", "x".join(map(str, grid)))
    return grid


def _window(section: Section) -> Window:
    return convolution_window(section) if section.type.startswith("conv") else pooling_window(section)


def _slides(section: Section, grid: Grid) -> tuple[int, int]:
    window = _window(section)
    if _smoothing(section):
        window = window._replace(stride_y=1, stride_x=1)  # the blur behind it takes the strides
    return window.positions(grid.rows, grid.columns)


def _smoothing(section: Section) -> int:
    return section.integer("antialiasing", 0, low=-MAX_INTEGER) if section.type in SMOOTHED else 0


def _blurred(section: Section, grid: Grid) -> Grid:
    """What the next layer sees. Those that name this one get it before the blur, in Darknet too."""
    kind = _smoothing(section)
    if not kind:
        return grid
    window = _window(section)
    blur = Window(2, window.stride_y, window.stride_x, 0) if kind == 2 else window._replace(size=3, padding=2)
    return Grid(*blur.positions(grid.rows, grid.columns), grid.channels)


def _convolutional(section: Section, walk: _Walk) -> Grid:
    return Grid(*_slides(section, walk.previous), section.integer("filters", 1, low=1))


def _maxpool(section: Section, walk: _Walk) -> Grid:
    before = walk.previous
    if section.integer("maxpool_depth", 0):
        return before._replace(channels=section.integer("out_channels", 1, low=1))
    return Grid(*_slides(section, before), before.channels)


def _local_avgpool(section: Section, walk: _Walk) -> Grid:
    before = walk.previous
    return Grid(*_slides(section, before), before.channels)


def _avgpool(section: Section, walk: _Walk) -> Grid:
    return Grid(1, 1, walk.previous.channels)


def _same(section: Section, walk: _Walk) -> Grid:
    return walk.previous


def _reorg(section: Section, walk: _Walk) -> Grid:
    rows, columns, channels = walk.previous
    stride = section.integer("stride", 1, low=1, high=255)
    if section.integer("reverse", 0):
        return Grid(rows * stride, columns * stride, channels // stride**2)
    return Grid(rows // stride, columns // stride, channels * stride**2)


def _upsample(section: Section, walk: _Walk) -> Grid:
    rows, columns, channels = walk.previous
    stride = section.integer("stride", 2, low=-255, high=255)
    if stride == 0:
        raise section.error("a stride other than 0", "0", key="stride")
    if stride < 0:
        return Grid(rows // -stride, columns // -stride, channels)
    return Grid(rows * stride, columns * stride, channels)


def _route(section: Section, walk: _Walk) -> Grid:
    indices = section.integers("layers", low=-MAX_INTEGER, high=MAX_INTEGER)
    if not indices:
        raise section.error("layers= in [route]", "none")
    grids = [walk.output(section, "layers", index) for index in indices]
    for grid in grids:
        if grid[:2] != grids[0][:2]:
            sizes = " and ".join(f"{other.rows}x{other.columns}" for other in (grids[0], grid))
            raise section.error("layers of one size", sizes, key="layers")
    groups = section.integer("groups", 1, low=1)
    return grids[0]._replace(channels=sum(grid.channels for grid in grids) // groups)


def _scaled(section: Section, walk: _Walk) -> Grid:
    """[scale_channels] and [sam] multiply the layer that they name."""
    return walk.output(section, "from", section.integer("from", None, low=-MAX_INTEGER))


def _connected(section: Section, walk: _Walk) -> Grid:
    return Grid(1, 1, section.integer("output", 1, low=1))


def _crop(section: Section, walk: _Walk) -> Grid:
    rows, columns = (section.integer(key, 1, low=1) for key in ("crop_height", "crop_width"))
    return Grid(rows, columns, walk.previous.channels)


def _implicit(section: Section, walk: _Walk) -> Grid:
    return Grid(section.integer("atoms", 1, low=1), 1, section.integer("filters", 128, low=1))


SMOOTHED = frozenset(("conv", "convolutional", "max", "maxpool"))
"""The kinds that read antialiasing=."""

LAYERS: Mapping[str, Callable[[Section, _Walk], Grid]] = {
    **dict.fromkeys(("conv", "convolutional"), _convolutional),
    **dict.fromkeys(("max", "maxpool"), _maxpool),
    **dict.fromkeys(("local_avg", "local_avgpool"), _local_avgpool),
    **dict.fromkeys(("avg", "avgpool"), _avgpool),
    **dict.fromkeys(("conn", "connected"), _connected),
    **dict.fromkeys(("reorg", "reorg3d"), _reorg),
    **dict.fromkeys(("scale_channels", "sam"), _scaled),
    # A shortcut has the size of the layer before it, whatever it adds to that.
    **dict.fromkeys(
        ("shortcut", "dropout", "batchnorm", "lrn", "normalization", "activation", "empty", "silence"), _same
    ),
    "route": _route,
    "upsample": _upsample,
    "crop": _crop,
    "implicit": _implicit,
}
"""Left out are the recurrent layers, [local], and what belongs to classifiers."""
