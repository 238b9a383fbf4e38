"""What preprocessing and decoding execute at each input size, on the emulated Cortex-A53 of bench/aarch64."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "aarch64"))

from emulated import count, install  # noqa: E402

from counts import per_frame  # noqa: E402
from fastyolo import Detector  # noqa: E402
from fastyolo.metadata import find_metadata  # noqa: E402
from fastyolo.runtime.outputs import match_outputs  # noqa: E402


@dataclass(frozen=True)
class Work:
    """One size: what the emulated program has to know of its network, and what that put out for a picture."""

    name: str
    description: dict[str, Any]
    heads: tuple[npt.NDArray[np.int8], ...]

    @classmethod
    def of(cls, name: str, model: Path, picture: Path) -> Work:
        detector = Detector(model)
        detector(picture)
        session = detector.session
        outputs = match_outputs(session.outputs, detector.spec, (find_metadata(model) or {}).get("outputs"))
        heads = tuple(session.output_view(output).copy() for output in outputs)
        described = {"spec": detector.spec.to_dict(), "quantization": [output.quantization for output in outputs]}
        return cls(name, described, heads)


def count_instructions(wheel: Path, works: Sequence[Work]) -> Iterator[dict[str, int]]:
    """Instructions a frame by kind of work, for each of the works."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages = install(wheel, folder / "packages")
        # Beside the file that workloads.py is told of.
        (folder / "works.json").write_text(json.dumps([[work.name, work.description] for work in works]))
        np.savez(
            folder / "heads.npz", **{f"{work.name} {i}": head for work in works for i, head in enumerate(work.heads)}
        )
        marks = count(packages, folder, caches=False, script=FOLDER / "workloads.py")
        counts = per_frame(marks, (folder / "cases.txt").read_text().splitlines())
    for work in works:
        mine = {case.split(": ")[1]: kinds for case, kinds in counts.items() if case.split(": ")[0] == work.name}
        yield {kind: numbers["instructions"] for kind, numbers in mine.items()}
