"""How a model's weights are quantised, and what that means on which device."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def weights_record(path: Path) -> dict[str, Any] | None:
    """How many convolutions have weights of one scale, of one per filter, and in float; None for a compiled file."""
    from fastyolo.flatfile import read_flatfile

    flat = read_flatfile(path)
    if not flat.weight_scales:
        return None
    return {
        "convolutions": len(flat.weight_scales),
        "per_tensor": sum(scales == 1 for scales in flat.weight_scales),
        "per_channel": sum(scales > 1 for scales in flat.weight_scales),
        "float": sum(scales == 0 for scales in flat.weight_scales),
    }


def weights_text(record: dict[str, Any] | None) -> list[str]:
    """The same for people."""
    if record is None:
        return ["none of convolutions: compiled for an NPU, or another kind of network"]
    count = record["convolutions"]
    if record["float"] == count:
        return ["float: for CPUs, no int8 NPU runs it"]
    if record["per_tensor"] == count:
        return [f"int8, one scale in each of {count} convolutions: what every NPU's convolution cores take"]
    kinds = (
        (record["per_channel"], "a scale per filter"),
        (record["per_tensor"], "one scale"),
        (record["float"], "float"),
    )
    shown = ", ".join(f"{what} in {number}" for number, what in kinds if number)
    return [
        f"int8, {shown} of {count} convolutions",
        "fine for CPUs and the Ethos-U; the i.MX 8M Plus' NPU runs such layers on its shader (export --target imx8mp)",
    ]
