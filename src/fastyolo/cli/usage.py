"""What was wrong with a command line, in our words: whichever library parses it, and whichever one checks values."""

from __future__ import annotations

import re
from typing import Any

# By the error types of pydantic, which Typer has checked values with since 0.27; before, Click did.
_EXPECTED = {
    "less_than_equal": "at most {le:g}",
    "less_than": "below {lt:g}",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "above {gt:g}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
}

_CHOICE = re.compile(r"(?:Value error, )?(.+) is not one of (.+?)\.?$", re.DOTALL)

_OPTIONS = {
    "score_threshold": "--conf",
    "iou_threshold": "--iou",
    "max_detections": "--max-det",
    "max_pixels": "--max-pixels",
    "input_range": "--input-range",
    "input_size": "--input-size",
    "calibration": "--calibration",
    "classes": "--classes",
    "device": "--device",
    "effort": "--effort",
    "format": "--format",
    "formats": "--format",
    "names": "--names",
    "nms": "--nms",
    "output_dir": "--output",
    "resize": "--resize",
    "runtime": "--runtime",
    "sizes": "--sizes",
    "target": "--target",
    "threads": "--threads",
}
"""What the arguments of our functions are called on the command line."""

_ARGUMENT = re.compile(rf"^({'|'.join(_OPTIONS)})(?==| (?:must|needs)\b| \S+ needs\b)")


def usage_message(error: Exception) -> str:
    """One line for an error of the parser: what was expected, what came."""
    if possible := getattr(error, "possibilities", None):
        return f"there is no option {getattr(error, 'option_name', '')}; did you mean {possible[0]}?"
    name = _parameter(error)
    said = str(getattr(error, "message", error))
    if name and (checked := _checked(error)) is not None:
        return f"{name} must be {checked}"
    if name and (choice := _CHOICE.match(said)) is not None:
        return f"{name} must be one of {choice[2].replace(chr(39), '')}, got {choice[1]}"
    format_message = getattr(error, "format_message", None)
    return str(format_message() if format_message else error).rstrip(".")


def option_message(message: str) -> str:
    """A message about an argument of one of our functions, for somebody who wrote an option."""
    return _ARGUMENT.sub(lambda found: _OPTIONS[found[1]], message)


def _parameter(error: Exception) -> str:
    """The option's long name or the argument's, "" if the error is about neither."""
    parameter = getattr(error, "param", None)
    options = [option for option in getattr(parameter, "opts", ()) if option.startswith("--")]
    return options[0] if options else str(getattr(parameter, "metavar", None) or "")


def _checked(error: Exception) -> str | None:
    """What a value checked by pydantic should have been, and what it was."""
    errors = getattr(error.__cause__, "errors", None)
    if errors is None:
        return None
    first: dict[str, Any] = errors()[0]
    expected = _EXPECTED.get(first.get("type", ""))
    return None if expected is None else f"{expected.format(**first.get('ctx', {}))}, got {first.get('input')!r}"
