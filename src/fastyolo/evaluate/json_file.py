"""JSON of others: read whole, and looked into with errors that say where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastyolo.errors import EvaluationError
from fastyolo.files import shown

Id = int | str


def load_json(path: Path, kind: str) -> Any:
    """The content of a JSON file; `kind` is what it should be.

    Raises:
        EvaluationError: it cannot be read, or is no JSON.
    """
    return parse_json(path, kind, read_json(path, kind))


def read_json(path: Path, kind: str) -> str:
    """The text of such a file."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        raise EvaluationError(f"cannot read {shown(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EvaluationError(f"{shown(path)} is no {kind}: not JSON: it is not UTF-8 text") from None
    except ValueError as error:  # a NUL character in the path
        raise EvaluationError(f"cannot read {shown(path)}: {error}") from None


def parse_json(path: Path, kind: str, text: str, *, line: int = 1) -> Any:
    """What a text says that begins in this line of the file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno + line - 1}, column {error.colno}"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise EvaluationError(f"{shown(path)} is no {kind}: not JSON: {reason}")


class JsonObject:
    """One JSON object of a file, and how to name it in an error."""

    def __init__(self, path: Path, kind: str, value: Any, name: str = "the document") -> None:
        self.path = path
        self.kind = kind
        self.name = name
        self.value: dict[str, Any] = value
        if not isinstance(value, dict):
            raise self.error("be an object {...}", value)

    def error(self, expected: str, got: Any) -> EvaluationError:
        text = "nothing" if got is None else json.dumps(got)
        text = text if len(text) <= 60 else f"{text[:60]}..."
        return EvaluationError(f"{shown(self.path)} is no {self.kind}: {self.name} must {expected}, got {text}")

    def entries(self, key: str) -> Iterator[JsonObject]:
        """The objects of a list, whose ids must differ."""
        values = self.value.get(key)
        if not isinstance(values, list):
            raise self.error(f'have a list "{key}"', values)
        seen: set[Id] = set()
        for index, value in enumerate(values):
            entry = JsonObject(self.path, self.kind, value, f"{key}[{index}]")
            if entry.id in seen:
                raise entry.error('have an "id" of its own', entry.id)
            seen.add(entry.id)
            yield entry

    @property
    def id(self) -> Id:
        return self.identity("id")

    def identity(self, key: str) -> Id:
        """A whole number, or a text."""
        value = self.value.get(key)
        if isinstance(value, str) and value:
            return value
        # Beyond 64 bits pycocotools would fail, far from here.
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**62:
            raise self.error(f'have a whole number or a text "{key}"', value)
        return value

    def text(self, key: str) -> str:
        value = self.value.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(f'have a text "{key}"', value)
        return value


def is_number(value: Any) -> bool:
    """Whether it is a finite number."""
    return not isinstance(value, bool) and isinstance(value, int | float) and -1e300 < value < 1e300
