"""What this machine is, by what the kernel says of it."""

from __future__ import annotations

import os
import platform
from typing import Any

# What the kernels and the runtimes can use, of the many flags a CPU lists.
_FEATURES = (
    "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "neon", "vfpv4",
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni",
)  # fmt: skip


def machine_record() -> dict[str, Any]:
    """CPU model, core count, CPU features, board model, system and Python, ready for JSON."""
    cpu = _cpuinfo()
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return {
        "cpu": cpu.get("model name") or _arm_cores(cpu) or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "features": [feature for feature in _FEATURES if feature in flags],
        "board": _device_tree("model"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cpuinfo() -> dict[str, str]:
    """The first core's entries of /proc/cpuinfo."""
    entries: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                entries.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    return entries


def _arm_cores(cpu: dict[str, str]) -> str | None:
    """Arm kernels give part numbers instead of names; these are the parts of the i.MX 8M and 9 families."""
    if cpu.get("CPU implementer") != "0x41":
        return None
    part = cpu.get("CPU part", "")
    return {"0xd03": "Cortex-A53", "0xd05": "Cortex-A55", "0xd08": "Cortex-A72"}.get(part, f"Arm part {part}")


def _device_tree(entry: str) -> str | None:
    try:
        with open(f"/proc/device-tree/{entry}", "rb") as file:
            return file.read().rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return None
