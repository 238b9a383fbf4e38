"""Runs the kernels at every input size under counter.c's plugin, each case once and then eleven times.

The argument is a file for the names of the cases, as that of bench/aarch64/workloads.py; the works lie beside it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from fastyolo import Decoder, ModelSpec
from fastyolo.preprocess import Preprocessor

# counter.c knows these numbers.
MARK, NOTHING = 900000, 9999
FRAMES = {"1280x720 RGB": ("rgb", (720, 1280, 3)), "1920x1080 NV12": ("nv12", (1620, 1920))}


def cases(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    random = np.random.RandomState(5)
    images = {name: (color, random.randint(0, 256, shape).astype(np.uint8)) for name, (color, shape) in FRAMES.items()}
    with np.load(folder / "heads.npz") as stored:
        arrays = dict(stored)
    for size, work in json.loads((folder / "works.json").read_text()):
        spec = ModelSpec.from_dict(work["spec"])
        preprocess = Preprocessor(spec.input_size)
        out = np.empty((1, *spec.input_size, 3), np.int8)
        for name, (color, image) in images.items():
            yield f"{size}: {name}", lambda p=preprocess, i=image, o=out, c=color: p(i, o, color=c)
        heads = [arrays[f"{size} {index}"] for index in range(len(spec.heads))]
        decoder = Decoder(spec, quantization=[tuple(pair) for pair in work["quantization"]])
        yield f"{size}: decoding", lambda d=decoder, h=heads: d(h, (600, 512))


def tell(number: int) -> None:
    """Close a file that is not open: the plugin listens."""
    with suppress(OSError):
        os.close(number)


def main() -> None:
    listing = Path(sys.argv[1])
    names = []
    for index, (name, run) in enumerate(cases(listing.parent)):
        names.append(name)
        run()  # tables are built and memory is touched before anything counts
        for times in (1, 11):
            tell(MARK + NOTHING)
            for _ in range(times):
                run()
            tell(MARK + index * 100 + times)
    listing.write_text("\n".join(names))


if __name__ == "__main__":
    main()
