"""How text of unknown origin is shown: names of classes, tensors and files, metadata, the words of other libraries."""

from __future__ import annotations

from collections.abc import Iterable

MOST_SHOWN = 2000
"""Characters of one message, beyond which its middle is left out."""


def printable(text: str) -> str:
    """The text as it can be printed anywhere, on one line and without effect on a terminal.

    Escaped is all that has no shape of its own: control characters (ESC and C1 begin a terminal's commands), line ends,
    marks that turn the direction of writing, invisible ones, and the lone surrogates that stand for undecodable bytes.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(message: object) -> str:
    """A message as one printable line of bounded length; white space, line ends included, becomes single spaces."""
    return printable(shortened(" ".join(str(message).split()), MOST_SHOWN))


def shortened(text: str, most: int) -> str:
    """The text with its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    ahead = (most - 5) * 2 // 3
    return f"{text[:ahead]} ... {text[len(text) - (most - 5 - ahead) :]}"


def brief(value: object, most: int = 80) -> str:
    """repr() of a value that somebody gave, bounded: for "got ..." in messages."""
    try:
        text = repr(value)
    except Exception:  # objects of others; there is a message to finish
        text = f"<{type(value).__name__}>"
    return printable(shortened(text, most))


def joined(texts: Iterable[str], most: int = 10) -> str:
    """The first texts of a list, and how many more there are."""
    every = list(texts)
    more = [f"{len(every) - most} more"] if len(every) > most else []
    return ", ".join([*(shortened(text, 80) for text in every[:most]), *more])
