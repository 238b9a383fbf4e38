"""Times fastyolo beside its peers. `make bench` runs it in an environment that has them; README.md says how."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2

import works
from chart import draw
from contenders.ours import import_build, this_build
from fastyolo.runtime.machine import machine_record
from heads import dequantised, run_network, synthetic, worst_case
from limits import EVALUATE, FILE, FLOAT, INT8, NV12, PIXELS, RGB, WORST, limit_table
from pictures import from_folder, from_packages, jpeg_files
from report import OURS, Row, as_json, commit, difference_table, table, write_between_marks

FOLDER = Path(__file__).resolve().parent
PACKAGES = ("numpy", "opencv-python-headless", "edgefirst-decoder", "pillow", "ai-edge-litert")
AFTER_INVOKE = "decode int8, 0.25, right after invoke()"
CHARTED = (FLOAT, INT8, AFTER_INVOKE, EVALUATE.format(dtype="float32"), WORST, RGB, NV12, FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=Path, help="folder of at least 32 JPEG pictures; default: registry packages'")
    parser.add_argument("--float-model", type=Path, help="float32 export; default: the int8 heads, dequantised")
    parser.add_argument("--full-build", type=Path, required=True, help="folder with the build for this Python alone")
    parser.add_argument("--output", type=Path, required=True, help="folder for results.json and results.png")
    parser.add_argument("--seconds", type=float, default=5, help="least time for each kind of work")
    parser.add_argument("--readme", action="store_true", help="also put tables and chart into bench/README.md")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    conditions = _conditions()
    rows: list[Row] = []
    for part in _all_rows(arguments, conditions):
        rows += part
        print(f"\n{table(part)}", flush=True)
    print(f"\n{limit_table(rows)}\n\n{_told(conditions)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for folder in [arguments.output, *([FOLDER] if arguments.readme else [])]:
        (folder / "results.json").write_text(json.dumps(as_json(rows, conditions), indent=1) + "\n")
        draw(rows, CHARTED, folder / "results.png")
    if arguments.readme:
        found = f"<details><summary>What each one found</summary>\n\n{difference_table(rows)}\n\n</details>"
        tables = (_told(conditions), limit_table(rows), table(rows), found)
        write_between_marks(FOLDER / "README.md", "results", "\n\n".join(tables))


def _all_rows(arguments: argparse.Namespace, conditions: dict[str, Any]) -> Iterator[list[Row]]:
    images, conditions["pictures"] = from_folder(arguments.images) if arguments.images else from_packages()
    builds = {OURS: this_build(), f"{OURS}, build for one Python": import_build(arguments.full_build)}
    integer = run_network("int8", None, images)
    if arguments.float_model:
        real = run_network("float32", arguments.float_model, images)
        conditions["float32 heads"] = "of the float32 export"
    else:
        real = dequantised(integer, "float32")
        conditions["float32 heads"] = "the int8 model's, dequantised"
    seconds = arguments.seconds
    yield works.decode(FLOAT, real, builds, seconds, groups=True)
    yield works.decode(INT8, integer, builds, seconds, groups=True)
    for frames in (real, integer):  # what remains where there is nothing to decode
        yield works.decode(f"decode {frames.dtype}, 0.999", frames, builds, seconds / 2, score_threshold=0.999)
    yield works.after_invoke(AFTER_INVOKE, images, builds, seconds)
    for frames in (real, integer):
        work = EVALUATE.format(dtype=frames.dtype)
        yield works.decode(work, frames, builds, seconds, score_threshold=0.001, multi_label=True)
    for num_classes in (1, 365):
        few_or_many = synthetic("int8", num_classes)
        for frames in (dequantised(few_or_many, "float32"), few_or_many):
            work = f"decode {frames.dtype}, 0.25, classes: {num_classes} (synthetic)"
            yield works.decode(work, frames, builds, seconds / 2)
    yield works.decode(WORST, worst_case("float32"), builds, seconds, score_threshold=0.001, multi_label=True)
    yield works.preprocess(RGB, images, (720, 1280), builds, seconds)
    yield works.preprocess(NV12, images, (1080, 1920), builds, seconds, nv12=True)
    paths = jpeg_files(arguments.images, (427, 640))
    conditions["640x427 JPEG files"] = len(paths)
    yield works.whole(FILE, paths, 2 * seconds, pixels=False)
    yield works.whole(PIXELS, paths, 2 * seconds, pixels=True)


def _conditions() -> dict[str, Any]:
    return {
        "commit": commit(),
        "machine": machine_record(),
        "packages": {name: version(name) for name in PACKAGES},
        "compiler": platform.python_compiler(),
    }


def _told(conditions: dict[str, Any]) -> str:
    machine = conditions["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in conditions["packages"].items())
    return (
        f"Commit {conditions['commit']}; {machine['cpu']}, {machine['cores']} cores, {machine['python']}; {packages}. "
        f"{conditions['pictures']}; float32 heads: {conditions['float32 heads']}."
    )


if __name__ == "__main__":
    main()
