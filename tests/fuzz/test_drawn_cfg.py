"""Whatever a .cfg holds, reading it gives a spec or one line that can be printed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_networks import cfg_text, conv, head, pool, tiny, yolov3_tiny
from fastyolo import FastYoloError, ModelSpec
from fastyolo.darknet import Cfg, Yolo, read_cfg, spec_from_cfg, with_input_size
from fastyolo.darknet.grids import LAYERS
from fastyolo.darknet.heads import OTHER_HEADS
from fastyolo.darknet.options import OPTIONS
from fastyolo.export.build import supported_layers

T = TypeVar("T")

SEEDS = [
    tiny(),
    yolov3_tiny(),
    cfg_text(conv(8, 3, 2), "[avgpool]\n", conv(8, 1), "[scale_channels]\nfrom=-3\n", head("0", 1)),
    cfg_text(pool(2, 2), "[dropout]\n[shortcut]\nfrom=-1\n", head("0,2", 3, more="nms_kind=greedynms\nscale_x_y=1.05")),
]
KEYS = sorted({key for known in OPTIONS.values() for key in known.used | known.ignored | known.neutral.keys()})
SECTIONS = sorted({*OPTIONS, *LAYERS, *OTHER_HEADS, "lstm", "local"})
VALUES = [
    "0", "1", "2", "-1", "-2", "3.5", "nan", "inf", "-inf", "1e400", "1e-400", "9999999999999999999", "0x10", "1_000",
    ",", "1,,2", "-1,-2", "leaky", "greedynms", "diounms", "255", "256", "1048576", "1048577", "\u0663", "9" * 400,
    "\x1b[2J", "\u202e", "#", ";", "=", "[",
]  # fmt: skip

numbers = st.integers(-3, 40) | st.integers(-300, 3000)
values = numbers.map(str) | st.sampled_from(VALUES) | st.lists(numbers, min_size=1, max_size=6).map(str).map(
    lambda text: text[1:-1]
)  # fmt: skip
options = st.builds("{}={}".format, st.sampled_from(KEYS), values)
# Free text mostly ends at the first look, so it is rare.
noise = st.text(max_size=30) | st.text(max_size=20).map("[{}]".format) | st.text(max_size=20).map("width={}".format)
lines_ = st.one_of(*[options] * 6, *[st.sampled_from(SECTIONS).map("[{}]".format)] * 2, noise)


@st.composite
def cfgs(draw: st.DrawFn) -> bytes:
    """A network that is one, after a few slips of the pen and of the disk."""
    lines = draw(st.sampled_from(SEEDS)).split("\n")
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["value", "value", "insert", "insert", "line", "delete", "repeat", "move", "cut"])):
            case "value" if "=" in lines[at]:
                lines[at] = lines[at].split("=")[0] + "=" + draw(values)
            case "line":
                lines[at] = draw(lines_)
            case "insert":
                lines.insert(at, draw(lines_))
            case "delete":
                del lines[at : at + draw(st.integers(1, 8))]
            case "repeat":
                lines[at:at] = lines[at : at + 8] * draw(st.integers(1, 3))
            case "move":
                lines.insert(0, lines.pop(at))
            case "cut":
                del lines[at + 1 :]
        lines = lines or [""]
    content = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=8)) + content[at + draw(st.integers(0, 8)) :]
    return content


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "net.cfg"


def attempt(step: Callable[[], T]) -> T | None:
    """What a step gives, or None for an error that is one printable line. Any other exception fails the test."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = step()
        except FastYoloError as error:
            result = None
            check_line(str(error))
    for warning in caught:
        assert warning.category is UserWarning
        check_line(str(warning.message))
    return result


def check_line(message: str) -> None:
    assert message.isprintable(), message
    assert len(message) < 400, message


def check(cfg: Cfg) -> None:
    spec = attempt(lambda: spec_from_cfg(cfg))
    attempt(lambda: with_input_size(cfg, (416, 320)))
    layers = attempt(lambda: supported_layers(cfg))
    if spec is None:
        return
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    # What can be exported has the heads that decoding sees.
    if layers is not None:
        assert tuple(layer.head for layer in layers if isinstance(layer, Yolo)) == spec.heads


@given(content=cfgs())
def test_a_spoiled_cfg_is_a_spec_or_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    cfg = attempt(lambda: read_cfg(path))
    if cfg is not None:
        check(cfg)


@given(content=st.binary(max_size=400))
def test_bytes_are_one_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    cfg = attempt(lambda: read_cfg(path))
    if cfg is not None:
        check(cfg)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_networks(path: Path, seed: str) -> None:
    path.write_text(seed)
    assert spec_from_cfg(read_cfg(path)).heads
