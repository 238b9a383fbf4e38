"""What a built interpreter will really run where: read from the interpreter, not from what was asked for.

A runtime appends a DELEGATE operator for every part of the graph that somebody took, and leaves the operators it
replaces in its list. Which those are follows from the tensors: all that lie between the part's inputs and its outputs.
With a device asked for, the runtime's own delegate (XNNPACK) is left out, so that whoever took a part is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fastyolo.texts import printable


@dataclass(frozen=True)
class Ran:
    """Counts of operators: in all, taken by the device, by XNNPACK, left to plain CPU kernels, and the parts taken.

    `left` counts by name what the device did not take; empty without a device.
    """

    operators: int
    device: int
    xnnpack: int
    cpu: int
    partitions: int
    left: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        parts = []
        if self.device:
            parts.append(f"{self.device} on the device in {_parts(self.partitions)}")
        if self.xnnpack:
            parts.append(f"{self.xnnpack} by XNNPACK in {_parts(self.partitions)}")
        if self.cpu:
            parts.append(f"{self.cpu} on the CPU" + (f" ({_named(self.left)})" if self.left and self.device else ""))
        return f"{self.operators} operators: {', '.join(parts)}"


def find_ran(interpreter: Any, *, with_device: bool) -> Ran | None:
    """What runs where; None where the runtime does not tell."""
    try:
        details = interpreter._get_ops_details()
    except Exception:  # an older runtime has no such method, a newer one may change it
        return None
    operators = [entry for entry in details if entry["op_name"] != "DELEGATE"]
    parts = [entry for entry in details if entry["op_name"] == "DELEGATE"]
    producers = {int(tensor): at for at, entry in enumerate(operators) for tensor in entry["outputs"]}
    taken = {at for part in parts for at in _replaced(part, operators, producers)}
    left = Counter(printable(str(entry["op_name"])) for at, entry in enumerate(operators) if at not in taken)
    count = len(taken)
    return Ran(
        len(operators),
        count if with_device else 0,
        0 if with_device else count,
        len(operators) - count,
        len(parts),
        dict(left.most_common()) if with_device else {},
    )


def _replaced(part: dict[str, Any], operators: list[dict[str, Any]], producers: dict[int, int]) -> set[int]:
    """The operators between a part's inputs and its outputs."""
    given = {int(tensor) for tensor in part["inputs"]}
    wanted, found = [int(tensor) for tensor in part["outputs"]], set()
    while wanted:
        tensor = wanted.pop()
        at = producers.get(tensor)
        if at is None or at in found or tensor in given:
            continue
        found.add(at)
        wanted += _indices(operators[at]["inputs"])
    return found


def _indices(tensors: Iterable[Any]) -> list[int]:
    return [int(tensor) for tensor in tensors if int(tensor) >= 0]


def _parts(count: int) -> str:
    return f"{count} part{'s' if count != 1 else ''}"


def _named(left: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in left.items())
