"""What ``custom=`` says: ``key:value`` pairs behind commas or blanks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastyolo.errors import OptionError
from fastyolo.texts import brief

OUTPUTS = ("ssd", "yolov5", "json")
_LARGEST_SIDE = 2**24
_KEY = re.compile(r"([A-Za-z_]\w*):")
# What NXP's own script calls it.
_OTHER_NAMES = {"threshold": "score_threshold"}


@dataclass
class Options:
    """The options of one filter. `decoder` holds those that `Decoder` takes as they are."""

    model: str | None = None
    cfg: str | None = None
    names: str | None = None
    output: str = "ssd"
    classes: tuple[str, ...] | None = None
    height: int | None = None
    width: int | None = None
    image_size: tuple[int, int] | None = None
    decoder: dict[str, Any] = field(default_factory=dict)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) of the network's input, where both were given."""
        return None if self.height is None or self.width is None else (self.height, self.width)


def parse_options(words: Sequence[str]) -> Options:
    """The words of ``custom=``, as NNStreamer splits it at blanks -> `Options`.

    A pair ends at the comma or blank before the next ``key:``; a piece without one belongs to the value before it, so
    that ``classes:person,traffic light,tie`` is one option, and a path may hold commas and blanks. Who says ``Height``
    and ``Width`` has NXP's pipeline, whose decoder reads ``yolov5``: that is the output then, unless another is named.

    Raises:
        OptionError: an unknown key, one given twice, or a value that cannot be.
    """
    options = Options()
    seen: set[str] = set()
    for key, text in _pairs(" ".join(words)):
        name = _OTHER_NAMES.get(key.lower(), key.lower())
        if name not in _READERS:
            raise OptionError(f"custom= has an unknown option {key!r}; there are {', '.join(_READERS)}")
        if name in seen:
            raise OptionError(f"custom= has {name} twice; give it once")
        seen.add(name)
        value = _READERS[name](name, text)
        if name in _DECODERS_OWN:
            options.decoder[name] = value
        else:
            setattr(options, name, value)
    if (options.height is None) != (options.width is None):
        raise OptionError("custom= needs Height and Width together, such as Height:416,Width:416, got one of them")
    if options.input_size is not None and "output" not in seen:
        options.output = "yolov5"
    return options


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    separator = ""
    for piece in re.split(r"([, ])", text):
        key = _KEY.match(piece)
        if piece in (",", " "):
            separator += piece
        elif key is not None:
            pairs.append((key[1], piece[key.end() :]))
            separator = ""
        elif piece and pairs:
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + separator + piece)
            separator = ""
        elif piece:
            raise OptionError(f"custom= must hold key:value pairs, such as score_threshold:0.4, got {brief(piece)}")
    return pairs


def _text(name: str, text: str) -> str:
    if not text:
        raise OptionError(f"{name}: needs a value, got nothing")
    return text


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(f"{name} must be a number, got {brief(text)}") from None


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise OptionError(f"{name} must be a whole number, got {brief(text)}") from None


def _output(name: str, text: str) -> str:
    if text not in OUTPUTS:
        raise OptionError(f"output must be {', '.join(OUTPUTS)}, got {brief(text)}")
    return text


def _switch(name: str, text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise OptionError(f"{name} must be true or false, got {brief(text)}")
    return known[text.lower()]


def _classes(name: str, text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in _text(name, text).split(","))


def _size(name: str, text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,8})x(\d{1,8})", text)
    if sides is None or not all(1 <= int(side) <= _LARGEST_SIDE for side in sides.groups()):
        raise OptionError(
            f"{name} must be HEIGHTxWIDTH such as 720x1280, at most {_LARGEST_SIDE} each, got {brief(text)}"
        )
    return int(sides[1]), int(sides[2])


_READERS: dict[str, Callable[[str, str], Any]] = {
    "model": _text,
    "cfg": _text,
    "names": _text,
    "output": _output,
    "score_threshold": _number,
    "iou_threshold": _number,
    "max_detections": _whole,
    "nms": _text,
    "classes": _classes,
    "class_agnostic": _switch,
    "image_size": _size,
    "height": _whole,
    "width": _whole,
}
_DECODERS_OWN = ("score_threshold", "iou_threshold", "max_detections", "nms", "class_agnostic")
