"""Functions that the native code of a library calls back: an exception that a signal raises in there would be lost."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
_marked: set[CodeType] = set()


def called_by_native_code(function: _Function) -> _Function:
    """Mark a function as one of them."""
    _marked.add(function.__code__)
    return function


def inside_native_code(frame: FrameType | None) -> bool:
    """Whether native code waits for what runs in this frame."""
    while frame is not None:
        if frame.f_code in _marked:
            return True
        frame = frame.f_back
    return False
