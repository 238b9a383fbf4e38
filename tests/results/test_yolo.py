"""YOLO labels: what is written, read back as any tool would, and what is left alone."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from fastyolo import Detections, FastYoloError
from fastyolo.results import writer_of
from fastyolo.results.writer import Output, Result

NAMES = ("cat", "dog")


def found(*boxes: tuple[float, float, float, float], names: tuple[str, ...] = NAMES) -> Detections:
    count = len(boxes)
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(corners, np.linspace(0.9, 0.5, count, dtype=np.float32), np.arange(count) % 2, names, (480, 640))


def write(folder: Path, *results: Result, inputs: tuple[str, ...] = ()) -> str:
    stream = io.StringIO()
    with writer_of("yolo")(Output(stream, folder, inputs)) as writer:
        for result in results:
            writer.write(result)
    return stream.getvalue()


def test_lines_are_class_centre_size_and_confidence_as_shares_of_the_picture(tmp_path: Path) -> None:
    printed = write(tmp_path, Result("a/street.jpg", found((64, 48, 320, 240), (0, 0, 640, 480))))
    assert printed == f"{tmp_path}/street.txt\n"
    assert (tmp_path / "street.txt").read_text().splitlines() == [
        "0 0.300000 0.300000 0.400000 0.400000 0.900000",
        "1 0.500000 0.500000 1.000000 1.000000 0.500000",
    ]
    assert (tmp_path / "obj.names").read_text() == "cat\ndog\n"


def test_numbers_lead_back_to_the_box(tmp_path: Path) -> None:
    boxes = np.random.default_rng(1).uniform(0, 480, (50, 2, 2))
    boxes = np.sort(boxes, axis=1).reshape(-1, 4)
    write(tmp_path, Result("x.png", found(*map(tuple, boxes))))
    labels = np.loadtxt(tmp_path / "x.txt")
    centre, size = labels[:, 1:3] * [640, 480], labels[:, 3:5] * [640, 480]
    np.testing.assert_allclose(np.hstack([centre - size / 2, centre + size / 2]), boxes, atol=1e-3)


def test_nothing_found_is_an_empty_file_and_a_failure_none(tmp_path: Path) -> None:
    write(tmp_path, Result("sky.jpg", found()), Result("gone.jpg", error="gone.jpg: no such file"))
    assert (tmp_path / "sky.txt").read_bytes() == b""
    assert not (tmp_path / "gone.txt").exists()


def test_pictures_of_one_name_get_files_of_their_own_and_a_second_run_the_same(tmp_path: Path) -> None:
    results = [Result("a/x.jpg", found((0, 0, 9, 9))), Result("b/x.png", found())]
    for _ in range(2):
        write(tmp_path, *results)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["obj.names", "x-2.txt", "x.txt"]


def test_what_people_labelled_stays(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "sky.txt").write_text("")
    write(tmp_path, Result("x.jpg", found((0, 0, 9, 9))), Result("sky.jpg", found((0, 0, 9, 9))))
    assert (tmp_path / "x.txt").read_text() == "0 0.5 0.5 0.1 0.1\n"
    assert (tmp_path / "sky.txt").read_text() == ""
    assert (tmp_path / "x-2.txt").exists()
    assert (tmp_path / "sky-2.txt").exists()


def test_labels_of_other_classes_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, Result("x.jpg", found()))
    with pytest.raises(FastYoloError, match="names other classes than this model; choose another folder"):
        write(tmp_path, Result("x.jpg", found(names=("bus", "car"))))


def test_names_cannot_break_the_list_of_classes(tmp_path: Path) -> None:
    write(tmp_path, Result("x.jpg", found(names=("a\nb", "\x1b[31m"))))
    assert (tmp_path / "obj.names").read_text() == "a\\nb\n\\x1b[31m\n"
