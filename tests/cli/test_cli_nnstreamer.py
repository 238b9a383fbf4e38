"""``fastyolo nnstreamer``: one path, or the names of a model's classes."""

from __future__ import annotations

from pathlib import Path

from command import fastyolo
from fastyolo import COCO_NAMES
from fastyolo.nnstreamer import SCRIPT


def test_it_prints_the_path_of_the_script() -> None:
    run = fastyolo("nnstreamer")
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{SCRIPT}\n", "")
    assert Path(run.stdout.strip()).is_absolute()
    assert "class CustomFilter" in SCRIPT.read_text()


def test_it_prints_labels_for_the_decoder() -> None:
    assert fastyolo("nnstreamer", "--labels").stdout.splitlines() == list(COCO_NAMES)
    run = fastyolo("nnstreamer", "--labels", "--model", "/none.tflite")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "fastyolo: cannot read model /none.tflite: No such file or directory\n"
