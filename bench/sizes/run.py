"""What the official YOLOv4-tiny finds and costs at each input size; see README.md."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parents[1]
sys.path[:0] = [str(FOLDER), str(FOLDER.parent)]

from instructions import Work, count_instructions  # noqa: E402

import fastyolo  # noqa: E402
from fastyolo import Detector  # noqa: E402
from fastyolo.darknet import Convolutional, read_cfg, with_input_size  # noqa: E402
from fastyolo.evaluate import evaluate  # noqa: E402
from fastyolo.export import export  # noqa: E402
from fastyolo.export.build import supported_layers  # noqa: E402
from fastyolo.export.fetch import OFFICIAL_CFG  # noqa: E402
from fastyolo.export.vela import compile_model  # noqa: E402
from report import write_between_marks  # noqa: E402

Size = tuple[int, int]
"""(height, width), as everywhere."""

SIZES: tuple[Size, ...] = (
    (256, 256), (320, 320), (352, 352), (416, 416), (512, 512), (608, 608),
    (256, 416), (288, 512), (352, 608), (384, 640),
)  # fmt: skip
REFERENCE: Size = (416, 416)
ROUNDS, RUNS = 12, 5
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    coco = Path(os.environ.get("FASTYOLO_COCO", REPOSITORY.parent / "shared/coco"))
    parser.add_argument("--coco", type=Path, default=coco, help="folder of val2017/ and train2017/")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "build/sizes", help="for models and results.json")
    parser.add_argument("--wheel", type=Path, help="the boards' wheel, to count instructions with; without it none are")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/sizes.md")
    arguments = parser.parse_args()
    rows: dict[Size, Row] = {}
    for size in SIZES:
        rows[size] = {**_cost(size), **_quality(size, arguments.coco, arguments.output)}
        print(_name(size), json.dumps(rows[size]), flush=True)
    for size, milliseconds in _times({size: Path(row["int8"]["path"]) for size, row in rows.items()}).items():
        rows[size]["invoke_ms"] = milliseconds
    for row in rows.values():
        row["vela_ms"] = _estimate(Path(row["int8"]["path"]), arguments.output / "vela")
    if arguments.wheel is not None:
        works = [Work.of(_name(size), Path(row["int8"]["path"]), _hopper()) for size, row in rows.items()]
        for size, counts in zip(rows, count_instructions(arguments.wheel, works), strict=True):
            rows[size]["instructions"] = counts
    record = {_name(size): row for size, row in rows.items()}
    (arguments.output / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    tables = {"accuracy": list(_accuracy_table(rows)), "instructions": list(_instruction_table(rows))}
    for mark, lines in tables.items():
        print("\n".join(lines), end="\n\n")
        if arguments.write:
            write_between_marks(REPOSITORY / "docs/sizes.md", mark, "\n".join(lines))


def _cost(size: Size) -> Row:
    layers = supported_layers(with_input_size(read_cfg(OFFICIAL_CFG), size))
    return {"macs": sum(layer.multiply_accumulates for layer in layers if isinstance(layer, Convolutional))}


def _quality(size: Size, coco: Path, output: Path) -> Row:
    """Export both files, and score them on the same pictures."""
    made = export(output_dir=output, input_size=size, calibration=str(coco / "train2017"), formats=["float32", "int8"])
    row: Row = {"calibrated_on": made.pictures, "seconds": sum(made.seconds.values())}
    for kind, path in made.paths.items():
        found = evaluate(path, images=coco / "val2017", annotations=coco / "instances_val2017_128.json")
        row[kind] = {"ap50": found.scores.ap50, "ap": found.scores.ap, "bytes": path.stat().st_size, "path": str(path)}
    return row


def _estimate(model: Path, folder: Path) -> float:
    """What Vela says of one inference on the i.MX 93's Ethos-U65: an estimate, not a measurement."""
    _, compiled = compile_model(model, target="imx93", output_dir=folder)
    return compiled.milliseconds


def _times(models: Mapping[Size, Path]) -> dict[Size, float]:
    """Median milliseconds of one `invoke()` with one thread; the networks take turns, so that all see the same load."""
    detectors = {size: Detector(path, threads=1) for size, path in models.items()}
    taken: dict[Size, list[float]] = {size: [] for size in detectors}
    for detector in detectors.values():
        detector(_hopper())
    for _ in range(ROUNDS):
        for size, detector in detectors.items():
            taken[size] += [detector(_hopper()).speed["inference"] for _ in range(RUNS)]
    return {size: statistics.median(times) for size, times in taken.items()}


def _hopper() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def _name(size: Size) -> str:
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def _accuracy_table(rows: Mapping[Size, Row]) -> Iterator[str]:
    yield from _head(
        "`--sizes`", "GMAC", "of 416's", "AP50 float32", "AP50 int8", "int8 costs", "AP float32", "AP int8",
        "int8 costs", "int8 file, MB", "`invoke()` on x86-64, of 416's", "Vela's estimate for the i.MX 93, ms",
    )  # fmt: skip
    reference = rows[REFERENCE]
    for size, row in rows.items():
        real, integer = row["float32"], row["int8"]
        cells = [
            _name(size),
            f"{row['macs'] / 1e9:.2f}",
            f"{row['macs'] / reference['macs']:.2f}",
            *_compared(real["ap50"], integer["ap50"]),
            *_compared(real["ap"], integer["ap"]),
            f"{integer['bytes'] / 1e6:.2f}",
            f"{row['invoke_ms'] / reference['invoke_ms']:.2f}",
            f"{row['vela_ms']:.1f}",
        ]
        yield f"| {' | '.join(cells)} |"


def _compared(real: float, integer: float) -> Sequence[str]:
    """The difference is of the numbers as they are printed."""
    return f"{real:.2f}", f"{integer:.2f}", f"{round(real, 2) - round(integer, 2):+.2f}"


def _instruction_table(rows: Mapping[Size, Row]) -> Iterator[str]:
    if not all("instructions" in row for row in rows.values()):
        yield "Not counted in this run."
        return
    reference = rows[REFERENCE]["instructions"]
    titles = [title for work in reference for title in (work, "of 416's")]
    yield from _head("`--sizes`", *titles)
    for size, row in rows.items():
        counts = row["instructions"]
        cells = [cell for work in reference for cell in (f"{counts[work]:,}", f"{counts[work] / reference[work]:.2f}")]
        yield f"| {_name(size)} | {' | '.join(cells)} |"


def _head(*titles: str) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"| --- |{' ---: |' * (len(titles) - 1)}"


if __name__ == "__main__":
    print(f"fastyolo {fastyolo.__version__}", flush=True)
    main()
