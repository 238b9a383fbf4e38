"""What surrounds an NPU on this machine: versions, delegates, nodes, governor, heat, memory."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from glob import glob

import numpy as np

from fastyolo.errors import FastYoloError
from fastyolo.runtime.devices import NPUS, find_chip, find_library, find_nodes
from fastyolo.runtime.session import RUNTIMES, runtime_version


def surroundings() -> dict[str, str]:
    """Ready for a table or JSON; what the system does not say is "unknown"."""
    return {
        "chip": find_chip()[0],
        "numpy": np.__version__,
        "runtimes": _runtimes(),
        "delegates": ", ".join(f"{kind} {path}" for kind in NPUS if (path := find_library(kind))) or "none",
        "nodes": ", ".join(dict.fromkeys(node for kind in NPUS for node in find_nodes(kind))) or "none",
        "firmware": ", ".join(_firmware()) or "none",
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "heat": _heat(),
        "memory": _memory(),
    }


def _runtimes() -> str:
    found = []
    for name in RUNTIMES:
        try:
            found.append(f"{name} {runtime_version(name)}")
        except (ImportError, FastYoloError):
            continue
    return ", ".join(found) or "none"


def _firmware() -> list[str]:
    folders = dict.fromkeys(map(os.path.realpath, ("/lib/firmware", "/usr/lib/firmware")))
    names = ("*ethosu*", "*[Nn]eutron*")
    return sorted(path for folder in folders for name in names for path in glob(f"{folder}/{name}"))


def _heat() -> str:
    degrees = []
    for path in glob("/sys/class/thermal/thermal_zone*/temp"):
        with suppress(ValueError):  # a zone without a sensor says nothing, or no number
            degrees.append(int(_read(path)) / 1000)
    return f"{max(degrees):.0f} degrees C" if degrees else "unknown"


def _memory() -> str:
    for line in _read("/proc/meminfo").splitlines():
        if found := re.match(r"MemAvailable:\s+([0-9]{1,18})\b", line):
            return f"{int(found[1]) / 1024:.0f} MB free"
    return "unknown"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16).strip()
    except OSError:
        return "unknown"
