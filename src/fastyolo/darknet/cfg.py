"""The syntax of a .cfg file: sections of key=value lines, and where each stands."""

from __future__ import annotations

import codecs
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fastyolo.darknet.reading import open_regular
from fastyolo.errors import SpecError
from fastyolo.files import shown

COMMENT = re.compile("[#;]")
MAX_CFG_BYTES = 1 << 20
MAX_INTEGER = 1 << 20
"""Largest size, count or index a .cfg may name. Real ones stay far below; a typo must not become a huge allocation."""

MAX_SIDE = 16384
"""Largest height or width of a network input, in pixels."""


class Option(NamedTuple):
    """The text behind ``key=``, the line it stands on, and whether a comment follows on that line."""

    text: str
    line: int
    comment: bool = False


@dataclass(frozen=True)
class Section:
    """One ``[type]`` section. The getters raise `SpecError` with file and line when a value is not what they expect.

    Attributes:
        file: the file's name, for error messages.
        type: the word in brackets.
        line: the line of the bracket, counted from 1.
        options: by key, without blanks; a repeated key keeps its first value, as in Darknet.
    """

    file: str
    type: str
    line: int
    options: Mapping[str, Option] = field(default_factory=dict)

    def error(self, expected: str, got: str, *, key: str | None = None) -> SpecError:
        """The one-line error for this section, pointing at the line of `key` where the section has it."""
        line = self.options[key].line if key is not None and key in self.options else self.line
        return SpecError(f"{self.file} line {line}: expected {expected}, got {got}")

    def text(self, key: str, default: str) -> str:
        option = self.options.get(key)
        return default if option is None else option.text

    def integer(self, key: str, default: int | None, *, low: int = 0, high: int = MAX_INTEGER) -> int:
        """A whole number between `low` and `high`; without a default the key must be there."""
        option = self.options.get(key)
        if option is None:
            if default is None:
                raise self.error(f"{key}= in [{self.type}]", "none")
            return default
        return self._integer(key, option.text, low, high)

    def integers(self, key: str, *, low: int, high: int) -> tuple[int, ...]:
        """Whole numbers separated by commas; empty when the key is missing."""
        return tuple(self._integer(key, part, low, high) for part in self._parts(key))

    def number(self, key: str, default: float) -> float:
        option = self.options.get(key)
        return default if option is None else self._number(key, option.text)

    def numbers(self, key: str) -> tuple[float, ...]:
        """Finite numbers separated by commas; empty when the key is missing."""
        return tuple(self._number(key, part) for part in self._parts(key))

    def _parts(self, key: str) -> list[str]:
        text = self.text(key, "").rstrip(",")
        return text.split(",") if text else []

    def _integer(self, key: str, text: str, low: int, high: int) -> int:
        # int() takes underscores, foreign digits and thousands of digits; a .cfg has none of them. Darknet's atoi()
        # would make 0 of what is no number.
        digits = text[1:] if text[:1] in "+-" else text
        if digits.isascii() and digits.isdigit() and len(digits) <= 18 and low <= int(text) <= high:
            return int(text)
        raise self.error(f"{key} to be a whole number from {low} to {high}", shorten(text), key=key)

    def _number(self, key: str, text: str) -> float:
        try:
            value = float(text) if "_" not in text else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{key} to be a finite number", shorten(text), key=key)
        return value


@dataclass(frozen=True)
class Cfg:
    """A .cfg file: its name, the ``[net]`` section, and the layer sections in order."""

    file: str
    net: Section
    sections: tuple[Section, ...]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the network input."""
        height, width = (self.net.integer(key, None, low=1, high=MAX_SIDE) for key in ("height", "width"))
        return height, width, self.net.integer("channels", 3, low=1, high=1024)


def read_cfg(path: str | os.PathLike[str]) -> Cfg:
    """Read a Darknet .cfg file.

    A comment starts with # or ;, also behind a value, and may hold any bytes: what is not UTF-8 counts as Latin-1.

    Raises:
        SpecError: missing, unreadable, not text, or not in .cfg syntax (with the line number).
    """
    file = shown(os.path.basename(path))
    sections: list[Section] = []
    options: dict[str, Option] = {}
    for number, raw in enumerate(_read_text(path).split("\n"), start=1):
        content = COMMENT.split(raw, maxsplit=1)
        line = "".join(content[0].split())
        if not line:
            continue
        if line[0] == "[":
            if line[-1] != "]" or len(line) < 3:
                raise SpecError(f"{file} line {number}: expected a section such as [net], got {shorten(line)}")
            options = {}
            sections.append(Section(file, line[1:-1], number, options))
            continue
        key, equals, text = line.partition("=")
        if not (key and equals and text):
            raise SpecError(f"{file} line {number}: expected key=value, got {shorten(line)}")
        if not sections:
            raise SpecError(f"{file} line {number}: expected a section before the first option, got {shorten(line)}")
        options.setdefault(key, Option(text, number, len(content) > 1))
    if not sections or sections[0].type not in ("net", "network"):
        first = f"[{shorten(sections[0].type)[1:-1]}]" if sections else "no section"
        raise SpecError(f"{file} line {sections[0].line if sections else 1}: expected [net] first, got {first}")
    return Cfg(file, sections[0], tuple(sections[1:]))


def _read_text(path: str | os.PathLike[str]) -> str:
    with open_regular(path, SpecError) as (file, size):
        if size > MAX_CFG_BYTES:
            raise SpecError(f"{shown(path)} is no .cfg file: expected at most {MAX_CFG_BYTES} bytes, got {size}")
        content = file.read(MAX_CFG_BYTES)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SpecError(f"{shown(path)} is in UTF-16: save it as UTF-8")
    if b"\0" in content:
        raise SpecError(f"{shown(path)} is no .cfg file: expected text, got binary data")
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # takes any bytes, so that an accent in a comment harms nobody
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shorten(text: str) -> str:
    """The text in quotes, cut to fit an error line."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
