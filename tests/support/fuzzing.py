"""What the fuzz tests share: whatever comes in, the answer is a value or one printable line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

from fastyolo.errors import FastYoloError

T = TypeVar("T")

INTERESTING = [0, -1, 1, 7, 32, 255, 256, 65535, 2**31 - 1, -(2**31), 2**32, 2**63, -(2**63), 10**400]
HOSTILE_TEXTS = ["", "\0", "\x1b[2J", "\u202e", "\udce9", "1e999", "NaN", "person", "x" * 5000, "9" * 5000]

texts = st.text(max_size=12) | st.sampled_from(HOSTILE_TEXTS)
numbers = st.integers(-300, 3000) | st.sampled_from(INTERESTING) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
"""Whatever JSON can say, and a little more."""


def attempt(step: Callable[[], T]) -> T | None:
    """What a step gives, None where it refuses with one printable line. Any other exception fails the test."""
    result = None
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = step()
        except FastYoloError as error:
            said.append(str(error))
    for warning in caught:
        assert warning.category is UserWarning
        said.append(str(warning.message))
    for message in said:
        assert message
        assert message.isprintable(), message
        assert len(message) <= 2000
    return result


@st.composite
def damaged(draw: st.DrawFn, content: bytes, places: Any = None) -> bytes:
    """`content` with some bytes or numbers changed, cut off, or doubled; mostly at `places` where these are given."""
    damaged = bytearray(content)
    anywhere = st.integers(0, len(content) - 1)
    where = anywhere if places is None else st.sampled_from(places) | st.sampled_from(places) | anywhere
    for _ in range(draw(st.integers(0, 6))):
        at = draw(where)
        match draw(st.sampled_from(["byte", "bit", "number", "number", "cut", "remove", "insert"])):
            case "byte" if at < len(damaged):
                damaged[at] = draw(st.integers(0, 255))
            case "bit" if at < len(damaged):
                damaged[at] ^= 1 << draw(st.integers(0, 7))
            case "number" if at + 4 <= len(damaged):
                number = draw(st.sampled_from(INTERESTING[:-2]) | st.integers(-600, 600))
                damaged[at : at + 4] = (number & 0xFFFFFFFF).to_bytes(4, "little")
            case "cut" if draw(st.integers(0, 3)) == 0:
                del damaged[at:]
            case "remove":
                del damaged[at : at + draw(st.integers(1, 8))]
            case "insert":
                damaged[at:at] = draw(st.binary(max_size=8))
    return bytes(damaged)
