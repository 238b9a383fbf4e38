"""YOLO labels: a text file for each picture, which Darknet, Ultralytics and most labelling tools read."""

from __future__ import annotations

from pathlib import Path

from fastyolo.errors import FastYoloError
from fastyolo.files import atomic_write, shown
from fastyolo.results.output_names import OutputNames
from fastyolo.results.writer import Output, Result, ResultWriter

CLASSES = "obj.names"
"""The file beside the labels that names their classes, one a line, as Darknet has it: a .txt would pass for labels."""


class YoloWriter(ResultWriter):
    """``class centre_x centre_y width height confidence`` a line, sides as shares of the picture's; prints the paths.

    A picture with nothing found has an empty file; one that failed has none. Labels that fastyolo did not write stay.
    """

    pictures_only = True
    writes_files = True

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        assert output.folder is not None
        self._folder = output.folder
        self._names = OutputNames(output.folder, output.inputs, suffix=".txt", is_own=_is_own)
        self._classes: str | None = None

    def write(self, result: Result) -> None:
        if result.detections is None:
            return
        found = result.detections
        if self._classes is None:
            self._classes = "".join(f"{shown(name)}\n" for name in found.names)
            _write_classes(self._folder / CLASSES, self._classes)
        height, width = found.orig_shape
        path = self._names.path_for(result.source)
        with atomic_write(path, text=True) as file:
            for detection in found:
                x1, y1, x2, y2 = detection.xyxy
                box = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
                numbers = " ".join(f"{number:.6f}" for number in (*box, detection.confidence))
                file.write(f"{detection.class_id} {numbers}\n")
        self._stream.write(f"{shown(path)}\n")
        self._stream.flush()


def _write_classes(path: Path, content: str) -> None:
    if path.exists() and path.read_bytes() != content.encode():
        raise FastYoloError(f"{shown(path)} names other classes than this model; choose another folder with --output")
    with atomic_write(path, text=True) as file:
        file.write(content)


def _is_own(path: str) -> bool:
    """Six columns: what people label has five. An empty file says nothing, so it is ours only if no other can be."""
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read(1 << 20).splitlines()
    except (OSError, ValueError):
        return False
    if lines:
        return all(len(line.split()) == 6 for line in lines)
    # Of an earlier run, which found nothing: then nothing with five columns lies beside it.
    labels = Path(path).parent.glob("*.txt")
    return all(label.stat().st_size == 0 or _is_own(str(label)) for label in labels)
