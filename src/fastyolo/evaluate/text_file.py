"""Text files of others: lines without their ends, whichever system wrote them."""

from __future__ import annotations

import re
from pathlib import Path

from fastyolo.darknet.reading import open_regular
from fastyolo.errors import EvaluationError
from fastyolo.files import shown

_LINE_END = re.compile(r"\r\n|\r|\n")


def read_text(path: Path) -> str:
    """The text of a file; a byte order mark is left out, bytes that are no UTF-8 stay as they do in file names.

    Raises:
        EvaluationError: it cannot be read, or is no text.
    """
    with open_regular(path, EvaluationError) as (file, _):
        content = file.read()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise EvaluationError(f"{shown(path)} is UTF-16 text; save it as UTF-8")
    if b"\0" in content:
        raise EvaluationError(f"{shown(path)} holds binary data, expected text")
    return content.decode("utf-8-sig", "surrogateescape")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number, from 1, and content of each line that is not blank, without space around it."""
    lines = enumerate(_LINE_END.split(read_text(path)), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]
