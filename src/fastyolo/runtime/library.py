"""Whether a file is an external delegate that this process can load, before a runtime sees it.

The runtimes' own loaders leave a half-made object behind when it is not, which then fails once more in `__del__`.
"""

from __future__ import annotations

import ctypes

from fastyolo.errors import RuntimeUnavailableError

_FUNCTIONS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")
_MACHINES = {3: "x86", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv"}
"""ELF's numbers."""


def check_library(library: str) -> None:
    """Raise `RuntimeUnavailableError` unless `library` loads and is an external delegate."""
    try:
        loaded = ctypes.CDLL(library)
    except OSError as error:
        reason = _other_machine(library) or " ".join(str(error).split()).removeprefix(f"{library}: ")
        raise RuntimeUnavailableError(f"cannot load delegate {library}: {reason}") from None
    for function in _FUNCTIONS:
        if not hasattr(loaded, function):
            raise RuntimeUnavailableError(f"{library} is no TFLite external delegate: it has no function {function}")


def _other_machine(library: str) -> str:
    """For what the library was built, if not for this machine: the loader then says that there is no such file."""
    theirs, ours = _machine(library), _machine("/proc/self/exe")
    if not theirs or not ours or theirs == ours:
        return ""
    return f"it is built for {theirs}, and this is {ours}"


def _machine(path: str) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return ""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
    return _MACHINES.get(number, f"ELF machine {number}")
