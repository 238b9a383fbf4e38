"""JSON Lines."""

from __future__ import annotations

from fastyolo.results.json import as_text, record
from fastyolo.results.writer import Result, ResultWriter


class JsonLinesWriter(ResultWriter):
    """One JSON object a line, each visible to the next program in a pipe at once."""

    def write(self, result: Result) -> None:
        self._stream.write(as_text(record(result)) + "\n")
        self._stream.flush()
