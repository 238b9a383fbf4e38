"""Text of unknown origin is harmless wherever it is shown."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from fastyolo.detections import Detections
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.results import writer_of
from fastyolo.results.writer import Output, Result
from fastyolo.texts import MOST_SHOWN, brief, joined, one_line, printable, shortened

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mcat\u202egod\u200b\r\n\udce9"
ESCAPED = r"\x1b]0;owned\x07\x1b[2J\x9b31mcat\u202egod\u200b\r\n\udce9"


def test_what_has_no_shape_is_escaped_and_all_else_stays() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable(ESCAPED) == ESCAPED
    assert printable("größe 人 \\ 'x'") == "größe 人 \\ 'x'"


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert one_line("two\n  lines\tand \x1b[1m") == r"two lines and \x1b[1m"
    assert str(OptionError(f"no class {HOSTILE}\nhere")).isprintable()
    long = one_line(FastYoloError(f"begins {'x' * 10_000_000} ends"))
    assert len(long) <= MOST_SHOWN
    assert long.startswith("begins x")
    assert long.endswith("x ends")


@pytest.mark.parametrize("most", [6, 7, 20, 99])
def test_shortened_text_fits(most: int) -> None:
    assert shortened("x" * most, most) == "x" * most
    assert len(shortened("x" * 100, most)) == most


def test_values_are_shown_briefly_whatever_they_are() -> None:
    class Evil:
        def __repr__(self) -> str:
            raise RuntimeError

    assert brief("\x1b") == r"'\x1b'"
    assert brief(Evil()) == "<Evil>"
    assert brief(10**5000) == "<int>"  # Python itself refuses to print it
    assert len(brief(["x"] * 10_000)) == 80


def test_a_list_says_how_much_it_left_out() -> None:
    assert joined(["a", "b"]) == "a, b"
    assert joined(map(str, range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2 more"


@pytest.mark.parametrize("name", ["table", "csv", "json", "jsonl"])
def test_no_result_format_sends_a_terminal_commands(name: str) -> None:
    one = np.ones(1)
    found = Detections(np.ones((1, 4), np.float32), one, one.astype(np.int32) * 0, (HOSTILE,), (10, 10), {}, HOSTILE)
    stream = io.StringIO()
    with writer_of(name)(Output(stream)) as writer:
        writer.write(Result(HOSTILE, found))
        writer.write(Result(HOSTILE, error=str(FastYoloError(HOSTILE))))
    assert all(line.isprintable() for line in stream.getvalue().splitlines())
    assert ESCAPED.split("\\", 2)[1] in stream.getvalue() or name.startswith("json")
    if name == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(stream.getvalue())))
        assert rows[0]["name"] == rows[0]["source"] == ESCAPED
    assert str(found).replace("\n", "").isprintable()
