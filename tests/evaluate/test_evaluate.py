"""AP computed by hand, by pycocotools directly, and by us; and the command."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coco_eval import coco_accuracy, score_results
from command import COMMAND, fastyolo, one_line
from fastyolo import Detections, Detector
from fastyolo.cli.markdown import difference, markdown_table
from fastyolo.errors import EvaluationError, FastYoloError
from fastyolo.evaluate import Evaluation, Settings, evaluate, evaluate_detectors, write_results
from fastyolo.evaluate.charts import draw_charts
from fastyolo.evaluate.ground_truth import GivenIds, GroundTruth, LabelledObject, Picture

Box = tuple[float, float, float, float]
NAMES = ("person", "motorbike")
PERSON, MOTORBIKE = 0, 1


def truth_of(*objects: tuple[int, int, Box], crowds: Sequence[tuple[int, int, Box]] = ()) -> GroundTruth:
    """(image, class, xyxy) of every object in pictures 1, 2, 3."""
    labelled = [
        LabelledObject(image, class_id + 1, (x1, y1, x2 - x1, y2 - y1), (x2 - x1) * (y2 - y1), entry in crowds)
        for entry in (*objects, *crowds)
        for image, class_id, (x1, y1, x2, y2) in [entry]
    ]
    pictures = tuple(Picture(id_, Path(f"{id_}.jpg"), f"{id_}.jpg") for id_ in (1, 2, 3))
    return GroundTruth(Path("truth.json"), pictures, {1: "person", 2: "motorcycle"}, tuple(labelled))


def detections(*found: tuple[int, Box, float]) -> Detections:
    """(class, xyxy, confidence), best first."""
    if not found:
        return Detections.empty(NAMES, (100, 100))
    class_ids, boxes, confidence = zip(*found, strict=True)
    return Detections(
        np.array(boxes, np.float32), np.array(confidence, np.float32), np.array(class_ids, np.int32), NAMES, (100, 100)
    )


def run(truth: GroundTruth, found: dict[int, Detections], **settings: Any) -> Evaluation:
    """Score a detector that finds `found` in each picture and nothing in the others."""

    def detect(path: Path) -> Detections:
        return found.get(int(path.stem), detections())

    return evaluate_detectors([detect, detect], NAMES, truth, settings=Settings(**settings), model={})


BOX: Box = (10, 10, 50, 50)
OTHER: Box = (60, 60, 90, 90)


def test_finding_exactly_what_is_there_is_100() -> None:
    truth = truth_of((1, PERSON, BOX), (2, PERSON, OTHER), (2, MOTORBIKE, BOX))
    perfect = {1: detections((PERSON, BOX, 0.9)), 2: detections((PERSON, OTHER, 0.8), (MOTORBIKE, BOX, 0.002))}
    scores = run(truth, perfect).scores
    assert (scores.ap, scores.ap50, scores.ap75) == pytest.approx((100, 100, 100))
    assert scores.ap_small == pytest.approx(100)  # 30 x 30
    assert scores.ap_medium == pytest.approx(100)  # 40 x 40
    assert scores.ap_large is None
    assert [(category.name, category.objects) for category in scores.categories] == [("person", 2), ("motorcycle", 1)]
    assert [category.ap for category in scores.categories] == pytest.approx([100, 100])


def test_half_of_the_objects_is_recall_up_to_a_half() -> None:
    truth = truth_of((1, PERSON, BOX), (2, PERSON, OTHER))
    # Precision 1 at the 51 of 101 recall points from 0.00 to 0.50.
    assert run(truth, {1: detections((PERSON, BOX, 0.9))}).scores.ap50 == pytest.approx(100 * 51 / 101)


def test_a_better_scored_mistake_halves_precision() -> None:
    truth = truth_of((1, PERSON, BOX))
    assert run(truth, {1: detections((PERSON, OTHER, 0.9), (PERSON, BOX, 0.8))}).scores.ap == pytest.approx(50)
    assert run(truth, {1: detections((PERSON, BOX, 0.9), (PERSON, OTHER, 0.8))}).scores.ap == pytest.approx(100)


def test_overlap_of_0_62_counts_at_three_of_ten_thresholds() -> None:
    truth = truth_of((1, PERSON, (0, 0, 100, 100)))
    scores = run(truth, {1: detections((PERSON, (0, 0, 100, 62), 0.9))}).scores
    assert (scores.ap50, scores.ap75) == (pytest.approx(100), 0)
    assert scores.ap == pytest.approx(30)


def test_what_is_found_in_a_crowd_is_neither_right_nor_wrong() -> None:
    crowd = (1, PERSON, (50.0, 50.0, 100.0, 100.0))
    found = {1: detections((PERSON, OTHER, 0.9), (PERSON, (70, 70, 80, 80), 0.85), (PERSON, BOX, 0.8))}
    assert run(truth_of((1, PERSON, BOX), crowds=[crowd]), found).scores.ap == pytest.approx(100)
    assert run(truth_of((1, PERSON, BOX)), found).scores.ap == pytest.approx(100 / 3)


def test_a_class_without_objects_is_not_averaged() -> None:
    evaluation = run(truth_of((1, PERSON, BOX)), {1: detections((PERSON, BOX, 0.9), (MOTORBIKE, BOX, 0.8))})
    assert evaluation.scores.ap == pytest.approx(100)
    assert evaluation.scores.categories[1].ap is None


def test_more_than_100_objects_of_one_class_in_one_picture_count() -> None:
    boxes: list[Box] = [
        (10.0 * (i % 20), 10.0 * (i // 20), 10.0 * (i % 20) + 8, 10.0 * (i // 20) + 8) for i in range(200)
    ]
    found = {1: detections(*((PERSON, box, 0.9 - i / 1000) for i, box in enumerate(boxes)))}
    truth = truth_of(*((1, PERSON, box) for box in boxes))
    assert run(truth, found).scores.ap == pytest.approx(100)
    assert run(truth, found, max_detections=100).scores.ap50 == pytest.approx(100 * 51 / 101)


def test_finding_nothing_is_0() -> None:
    evaluation = run(truth_of((1, PERSON, BOX)), {})
    assert evaluation.scores.ap == 0
    assert evaluation.to_dict()["detections"] == 0


def test_classes_the_file_does_not_know_are_named_and_left_out() -> None:
    truth = GroundTruth(Path("t.json"), (Picture(1, Path("1.jpg"), "1.jpg"),), {1: "person"},
                        truth_of((1, PERSON, BOX)).objects)  # fmt: skip
    with pytest.warns(UserWarning, match="1 of 2 classes are not scored, as t.json has no such category: motorbike"):
        evaluation = run(truth, {1: detections((MOTORBIKE, BOX, 0.9), (PERSON, BOX, 0.8))})
    assert evaluation.scores.ap == pytest.approx(100)
    assert len(evaluation.found) == 1


def test_a_picture_of_another_size_than_annotated_is_worth_a_warning() -> None:
    truth = truth_of((1, PERSON, BOX))
    truth = truth.of([Picture(1, Path("1.jpg"), "1.jpg", (50, 200))])
    with pytest.warns(UserWarning, match=r"1 images have another size .* 1\.jpg \(100 x 100, annotated as 200 x 50\)"):
        run(truth, {1: detections((PERSON, BOX, 0.9))})


def test_stopped_early_it_scores_what_was_done() -> None:
    stop = Event()
    seen: list[int] = []

    def detect(path: Path) -> Detections:
        seen.append(int(path.stem))
        if len(seen) == 3:
            stop.set()
        time.sleep(0.02)
        return detections((PERSON, BOX, 0.9))

    pictures = [Picture(id_, Path(f"{id_}.jpg"), f"{id_}.jpg") for id_ in range(1, 51)]
    objects = tuple(LabelledObject(picture.id, 1, (10, 10, 40, 40), 1600, False) for picture in pictures)
    truth = GroundTruth(Path("truth.json"), tuple(pictures), {1: "person", 2: "motorcycle"}, objects)
    evaluation = evaluate_detectors([detect], NAMES, truth, settings=Settings(), model={}, stop=stop)
    assert 3 <= evaluation.images < 10
    assert evaluation.images_listed == 50
    assert evaluation.interrupted
    assert evaluation.scores.objects == evaluation.images  # the others are not missed
    assert evaluation.scores.ap == pytest.approx(100)


def test_an_exception_in_progress_ends_the_run() -> None:
    seen: list[Path] = []

    def detect(path: Path) -> Detections:
        seen.append(path)
        time.sleep(0.01)
        return detections()

    def interrupt(_step: str, done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    pictures = [Picture(id_, Path(f"{id_}.jpg"), f"{id_}.jpg") for id_ in range(1, 101)]
    truth = GroundTruth(Path("truth.json"), tuple(pictures), {1: "person"}, truth_of((1, PERSON, BOX)).objects)
    with pytest.raises(KeyboardInterrupt):
        evaluate_detectors([detect], ("person",), truth, settings=Settings(), model={}, progress=interrupt)
    assert len(seen) < 20


def test_without_pycocotools_or_matplotlib_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    evaluation = run(truth_of((1, PERSON, BOX)), {})
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(FastYoloError, match="pip install pycocotools"):
        evaluate(images="nowhere", annotations="nowhere")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FastYoloError, match="pip install matplotlib"):
        draw_charts(evaluation.scores, tmp_path)


def test_markdown_tables_are_aligned_and_escape_the_bar() -> None:
    assert markdown_table(("class", "AP"), [("a|b", "1.00"), ("x\n", "12.00")]).splitlines() == [
        "| class |    AP |",
        "| :---- | ----: |",
        r"| a\|b  |  1.00 |",
        r"| x\n   | 12.00 |",
    ]
    assert difference(1.005, 0.994) == "+0.01"
    assert difference(None, 1) == "-"


@pytest.mark.slow
def test_the_numbers_are_pycocotools(coco_dir: Path) -> None:
    ours = evaluate(images=coco_dir / "val2017", annotations=coco_dir / "instances_val2017_128.json", limit=40).scores
    theirs = coco_accuracy(Detector(score_threshold=0.001, multi_label=True), coco_dir, 40)
    # to_coco() rounds a little more than we do.
    assert (ours.ap, ours.ap50, ours.ap_small) == pytest.approx(theirs, abs=0.02)


def test_a_results_file_speaks_of_images_as_the_annotations_do(tmp_path: Path) -> None:
    truth = replace(truth_of((1, PERSON, BOX)), given_ids=GivenIds({1: "left", 2: "right"}, {1: "people"}))
    write_results(run(truth, {1: detections((PERSON, BOX, 0.9))}), tmp_path / "found.json")
    (entry,) = json.loads((tmp_path / "found.json").read_text())
    assert (entry["image_id"], entry["category_id"]) == ("left", "people")


def test_the_results_file_scores_the_same(on_coco: Evaluation, coco_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(on_coco, path)
    ours = on_coco.scores
    assert (ours.ap, ours.ap50, ours.ap_small) == pytest.approx(score_results(str(path), coco_dir), abs=1e-9)
    assert os.listdir(tmp_path) == ["results.json"]


def test_the_number_of_cores_does_not_matter(coco_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, three = (
        evaluate(
            images=coco_dir / "val2017",
            annotations=coco_dir / "instances_val2017_128.json",
            threads=threads,
            limit=12,
        )
        for threads in (1, 3)
    )
    assert one == three
    for first, second in zip(one.found._columns(), three.found._columns(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert capfd.readouterr().out == ""  # pycocotools is kept quiet


def test_settings_reach_the_detector(coco_dir: Path) -> None:
    def detected(**settings: Any) -> np.ndarray:
        steps: list[tuple[str, int, int]] = []
        evaluation = evaluate(
            images=coco_dir / "val2017",
            annotations=coco_dir / "instances_val2017_128.json",
            limit=2,
            settings=Settings(**settings),
            progress=lambda *step: steps.append(step),
        )
        assert [step for step in steps if step[0] == "detecting"] == [("detecting", 1, 2), ("detecting", 2, 2)]
        assert steps[-1] == ("scoring", 80, 80)
        assert evaluation.settings == Settings(**{"resize": "stretch", "nms": "iou", **settings})
        return evaluation.found.bbox

    assert len(detected()) > len(detected(multi_label=False)) > len(detected(score_threshold=0.3))
    assert len(detected(max_detections=7)) == 14
    first = slice(5)  # the best of the first picture
    assert not np.allclose(detected(resize="letterbox")[first], detected()[first], atol=0.5)


@pytest.mark.parametrize("classes", [1, 2, 80])
@pytest.mark.slow
def test_charts_are_pictures_of_sensible_size(on_coco: Evaluation, tmp_path: Path, classes: int) -> None:
    from dataclasses import replace

    categories = on_coco.scores.categories[:classes]
    categories = (replace(categories[0], name="猫 $x$ and a name that is far too long"), *categories[1:])
    for path in draw_charts(replace(on_coco.scores, categories=categories), tmp_path):
        with Image.open(path) as chart:
            assert chart.format == "PNG"
            width, height = chart.size
            assert 500 < width < 2000
            assert 150 < height < 2500
            assert len(chart.convert("L").getcolors() or ()) > 10


@pytest.fixture
def dataset(tmp_path: Path, hopper_path: Path) -> Path:
    """images/1.jpg to 3.jpg, each with Grace Hopper and her tie, and truth.json."""
    (tmp_path / "images").mkdir()
    for index in (1, 2, 3):
        shutil.copy(hopper_path, tmp_path / "images" / f"{index}.jpg")
    write_truth(tmp_path, range(1, 4))
    return tmp_path


def write_truth(folder: Path, ids: Sequence[int], **changes: Any) -> None:
    document = {
        "images": [{"id": id_, "file_name": f"{id_}.jpg"} for id_ in ids],
        "categories": [{"id": 1, "name": "person"}, {"id": 32, "name": "tie"}],
        "annotations": [
            {"id": 2 * index + tie, "image_id": id_, "category_id": 32 if tie else 1, "bbox": box}
            for index, id_ in enumerate(ids)
            for tie, box in enumerate(([12, 20, 490, 575], [222, 420, 62, 175]))
        ],
        **changes,
    }
    (folder / "truth.json").write_text(json.dumps(document))


ARGUMENTS = ("evaluate", "--images", "images", "--annotations", "truth.json")


def test_the_command_prints_a_table_and_saves_what_is_asked_for(dataset: Path) -> None:
    run = fastyolo(*ARGUMENTS, "--results", "found.json", "--plots", "plots", cwd=dataset)
    assert run.returncode == 0, run.stderr
    assert "3 images, 6 objects of 2 classes" in run.stdout
    assert "| person |       3 | 100.00 |" in run.stdout
    assert "78 of 80 classes are not scored" in run.stderr
    entries = json.loads((dataset / "found.json").read_text())
    assert {entry["category_id"] for entry in entries} == {1, 32}
    assert sorted(os.listdir(dataset / "plots")) == ["ap_by_class.png", "precision_recall.png"]


def test_json_of_the_command(dataset: Path) -> None:
    options = ("--conf", "0.5", "--iou", "0.4", "--nms", "diou", "--max-det", "9", "--resize", "letterbox")
    run = fastyolo(*ARGUMENTS, "--format", "json", "--limit", "2", "--threads", "1", *options, cwd=dataset)
    record = json.loads(run.stdout)
    assert record["images"] == record["images_listed"] == 2
    assert record["categories"][0]["ap50"] == 100
    assert {name: record["settings"][name] for name in ("score_threshold", "iou_threshold", "nms", "resize")} == {
        "score_threshold": 0.5,
        "iou_threshold": 0.4,
        "nms": "diou",
        "resize": "letterbox",
    }
    assert record["settings"]["max_detections"] == 9


def unlink(folder: Path) -> None:
    (folder / "truth.json").unlink()


def cut_json(folder: Path) -> None:
    (folder / "truth.json").write_text("{")


def list_missing_pictures(folder: Path) -> None:
    write_truth(folder, [1, 2, 3, 4, 5])


def annotate_nothing(folder: Path) -> None:
    write_truth(folder, [1], annotations=[])


def rename_tie(folder: Path) -> None:
    write_truth(folder, [1], categories=[{"id": 1, "name": "person"}, {"id": 32, "name": "necktie"}])


def remove_folder(folder: Path) -> None:
    shutil.rmtree(folder / "images")


def nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "options", "code", "said"),
    [
        (unlink, (), 1, "cannot read annotations truth.json"),
        (cut_json, (), 1, "truth.json is no COCO annotation file: not JSON"),
        (list_missing_pictures, (), 1, "2 of 5 images are not in images: 4.jpg, 5.jpg"),
        (annotate_nothing, (), 1, "no object is annotated"),
        (rename_tie, (), 1, "no class for 'necktie' (1)"),
        (remove_folder, (), 1, "no folder of images images"),
        (nothing, ("--results", "gone/found.json"), 1, "folder gone does not exist"),
        (nothing, ("--plots", "truth.json"), 1, "cannot make the folder truth.json"),
        (nothing, ("--model", "gone.tflite"), 1, "gone.tflite: No such file"),
        (nothing, ("--limit", "0"), 2, "--limit"),
        (nothing, ("--conf", "2"), 2, "--conf"),
        (nothing, ("--ladder",), 2, "--float-model"),
        (nothing, ("--float-model", "x.tflite"), 2, "--ladder"),
        (nothing, ("--ladder", "--float-model", "x", "--iou", "0.6", "--plots", "p"), 2, "no --iou or --plots"),
    ],
)
def test_every_error_is_one_line(
    dataset: Path, spoil: Callable[[Path], object], options: tuple[str, ...], code: int, said: str
) -> None:
    spoil(dataset)
    run = fastyolo(*ARGUMENTS, *options, cwd=dataset)
    assert run.returncode == code
    assert said in one_line(run.stderr)
    assert run.stdout == ""
    assert "found.json" not in os.listdir(dataset)


def test_of_several_unreadable_pictures_the_first_is_named(dataset: Path) -> None:
    ids = range(1, 41)
    for index in ids[3:]:
        (dataset / "images" / f"{index}.jpg").write_text("no picture")
    write_truth(dataset, ids)
    for threads in (1, 2, 4):
        with (
            pytest.raises(EvaluationError, match=r"^cannot score 4\.jpg: "),
            pytest.warns(UserWarning, match="not scored"),
        ):
            evaluate(images=dataset / "images", annotations=dataset / "truth.json", threads=threads)


def test_ctrl_c_prints_what_it_has(dataset: Path) -> None:
    ids = range(1, 2001)
    for index in ids[3:]:
        os.link(dataset / "images" / "1.jpg", dataset / "images" / f"{index}.jpg")
    write_truth(dataset, ids)
    # A terminal on stderr shows by its progress bar that pictures are being run.
    terminal, stderr = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *ARGUMENTS, "--results", "found.json"], cwd=dataset, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    os.close(stderr)
    shown = b""
    while b"detecting" not in shown:
        shown += os.read(terminal, 1000)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # a terminal without writers is an error, not an end
        while chunk := os.read(terminal, 1000):
            shown += chunk
    stdout, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == 130
    assert b"Traceback" not in shown
    message = shown.decode().split("fastyolo: ")[-1]
    assert message.startswith("interrupted after ")
    images = int(message.split()[2])
    assert 1 <= images < 2000
    assert f"of {len(ids)} images" in message
    assert f"{images} images, {2 * images} objects of 2 classes" in stdout
    # Not the first ones only: a core may take one more while those that wait are called off.
    found = {entry["image_id"] for entry in json.loads((dataset / "found.json").read_text())}
    assert len(found) <= images
