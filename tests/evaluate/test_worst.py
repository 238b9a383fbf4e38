"""The pictures with the most mistakes: which they are, what is drawn, and where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command import fastyolo
from fastyolo.evaluate import Evaluation, evaluate_results
from fastyolo.evaluate.worst import save_worst, worst
from fastyolo.results.comparison import COLORS, Compared, Panel, draw_comparison
from fastyolo.results.render import is_own_picture

BOXES = {"a": [[100, 60, 80, 60]], "b": [[100, 60, 80, 60], [300, 60, 80, 60]], "c": [[100, 60, 80, 60]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three grey pictures; all is found in a, one of two in b; nothing but two false alarms and a weak one in c."""
    ids = {name: id_ for id_, name in enumerate(BOXES, 1)}
    (tmp_path / "pictures").mkdir()
    for name in BOXES:
        Image.new("RGB", (640, 320), (90, 90, 90)).save(tmp_path / "pictures" / f"{name}.jpg", quality=95)
    document = {
        "images": [{"id": id_, "file_name": f"{name}.jpg"} for name, id_ in ids.items()],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 10 * ids[name] + index, "image_id": ids[name], "category_id": 1, "bbox": box}
            for name, boxes in BOXES.items()
            for index, box in enumerate(boxes)
        ],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    found = [(1, 100, 0.9), (2, 100, 0.9), (3, 300, 0.8), (3, 400, 0.7), (3, 500, 0.1)]
    entries = [{"image_id": id_, "category_id": 1, "bbox": [x, 60, 80, 60], "score": s} for id_, x, s in found]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    return tmp_path


@pytest.fixture
def evaluation(folder: Path) -> Evaluation:
    return evaluate_results(folder / "found.json", annotations=folder / "truth.json", images=folder / "pictures")


def test_most_mistakes_come_first_and_none_does_not_count(evaluation: Evaluation, folder: Path) -> None:
    ranked = [(one.picture.name, one.misses, one.false_alarms) for one in worst(evaluation, 10)]
    assert ranked == [("c.jpg", 1, 2), ("b.jpg", 1, 0)]
    assert [one.picture.name for one in worst(evaluation, 1)] == ["c.jpg"]
    strict = evaluate_results(folder / "found.json", annotations=folder / "truth.json", threshold=0.75)
    assert [(one.misses, one.false_alarms) for one in worst(strict, 10)] == [(1, 1), (1, 0)]


def test_they_are_saved_by_rank_and_overwrite_nothing_of_others(evaluation: Evaluation, folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "01_c.jpg").write_text("mine")
    for _ in range(2):  # the second run overwrites the first one's
        paths = list(save_worst(evaluation, worst(evaluation, 10), folder / "out"))
        assert [path.name for path in paths] == ["01_c-2.jpg", "02_b.jpg"]
    assert (folder / "out" / "01_c.jpg").read_text() == "mine"
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["01_c-2.jpg", "01_c.jpg", "02_b.jpg"]
    assert all(map(is_own_picture, paths))


def close_to(picture: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has about this colour."""
    return (np.abs(np.asarray(picture, np.int16) - color) <= 24).all(axis=2)


def test_misses_and_false_alarms_stand_out_on_either_side(evaluation: Evaluation, folder: Path) -> None:
    (path,) = save_worst(evaluation, worst(evaluation, 1), folder)
    with Image.open(path) as picture:
        annotated, found = (
            picture.crop((0, 0, 640, picture.height // 2)),
            picture.crop((0, picture.height // 2, 640, picture.height)),
        )
        assert picture.width == 640  # it is wide, so one lies below the other
        assert picture.height > 2 * 320
    wrong = [close_to(side, COLORS["wrong"]) for side in (annotated, found)]
    right = [close_to(side, COLORS["right"]) for side in (annotated, found)]
    assert wrong[0][:, 90:200].any()
    assert not wrong[0][:, 280:].any()
    assert wrong[1][:, 290:500].any()
    assert not wrong[1][:, :200].any()
    assert not wrong[1][:, 520:].any()  # below the threshold
    assert not any(side.any() for side in right)


@pytest.mark.parametrize(
    ("size", "drawn"), [((64, 48), (640, 480)), ((800, 600), (800, 600)), ((4000, 3000), (1280, 960))]
)
def test_panels_are_large_enough_to_read_and_small_enough_to_look_through(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    boxes = [Compared((0, 0, size[0], size[1]), "cat", "right"), Compared((1, 1, 2, 2), "\u0007" * 300, "neither")]
    picture = draw_comparison(pixels, [Panel("annotated", boxes), Panel("found", [])])
    assert picture.width == 2 * drawn[0] + 8
    assert drawn[1] < picture.height < drawn[1] + 60


def test_the_command_saves_them(folder: Path) -> None:
    arguments = ("evaluate", "--annotations", "truth.json", "--images", "pictures", "--detections", "found.json")
    run = fastyolo(*arguments, "--worst", "5", "--output", "out/worst", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "fastyolo: saved 2 pictures in out/worst/\n"
    assert "| c.jpg   |      1 |     2 |" in run.stdout
    assert sorted(path.name for path in (folder / "out" / "worst").iterdir()) == ["01_c.jpg", "02_b.jpg"]
    run = fastyolo(*arguments, "--worst", "1", "-o", "out/worst", "--format", "json", cwd=folder)
    assert json.loads(run.stdout)["worst"] == [{"image": "c.jpg", "false_negatives": 1, "false_positives": 2}]
    assert run.stderr == "fastyolo: saved out/worst/01_c.jpg\n"
    run = fastyolo(*arguments, "--worst", "1", "-o", "truth.json", cwd=folder)
    assert (run.returncode, run.stdout) == (1, "")
    assert "cannot make the folder truth.json" in run.stderr


def test_the_command_with_a_model_saves_them_too(tmp_path: Path, hopper_path: Path) -> None:
    Image.open(hopper_path).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 0.1 0.1 0.1 0.1\n")
    run = fastyolo("evaluate", "--annotations", ".", "--worst", "3", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "| a.png   |      1 |     2 |" in run.stdout
    assert [path.name for path in (tmp_path / "fastyolo-out").iterdir()] == ["01_a.png"]
