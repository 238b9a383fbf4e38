"""Files of detections: scored as pycocotools scores them, and what each odd one is told."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from coco_eval import twelve_numbers
from command import fastyolo, one_line
from fastyolo.errors import EvaluationError
from fastyolo.evaluate import Evaluation, evaluate_results, write_results
from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.scoring import Scores, score

BOX = [10.0, 10.0, 40.0, 40.0]
OTHER = [60.0, 60.0, 30.0, 30.0]


def twelve(scores: Scores) -> list[float | None]:
    return [
        scores.ap, scores.ap50, scores.ap75, scores.ap_small, scores.ap_medium, scores.ap_large,
        scores.ar1, scores.ar10, scores.ar100, scores.ar_small, scores.ar_medium, scores.ar_large,
    ]  # fmt: skip


@pytest.mark.slow
def test_the_twelve_numbers_of_our_own_file_are_pycocotools(
    on_coco: Evaluation, coco_dir: Path, tmp_path: Path
) -> None:
    annotations = coco_dir / "instances_val2017_128.json"
    write_results(on_coco, tmp_path / "found.json")
    scored = evaluate_results(tmp_path / "found.json", annotations=annotations)
    assert twelve(scored.scores) == pytest.approx(twelve_numbers(str(tmp_path / "found.json"), annotations), abs=1e-9)
    # The run itself counts up to 300 of the same.
    assert on_coco.max_detections == 300
    for ours, theirs in zip(scored.found._columns(), on_coco.found._columns(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_labels_score_as_the_json_that_they_were_made_from(on_coco: Evaluation, coco_dir: Path, tmp_path: Path) -> None:
    document = json.loads((coco_dir / "instances_val2017_128.json").read_text())
    write_labels(document, coco_dir, tmp_path)
    labels = read_ground_truth(tmp_path / "coco.data")
    ours = score(labels, on_coco.found, max_detections=300)
    theirs = on_coco.scores
    assert [ours.ap, ours.ap50, ours.ap75] == pytest.approx([theirs.ap, theirs.ap50, theirs.ap75], abs=1e-6)
    assert [ours.ar1, ours.ar10, ours.ar100] == pytest.approx([theirs.ar1, theirs.ar10, theirs.ar100], abs=1e-6)
    assert (ours.counts, ours.ap50_area) == (theirs.counts, pytest.approx(theirs.ap50_area, abs=1e-6))
    assert [one.ap for one in ours.categories] == pytest.approx([one.ap for one in theirs.categories], abs=1e-6)
    # What is small is by the box there, by the outline here; without outlines the rest is the same too.
    for entry in document["annotations"]:
        del entry["area"]
    (tmp_path / "boxes.json").write_text(json.dumps(document))
    boxes = score(read_ground_truth(tmp_path / "boxes.json", coco_dir / "val2017"), on_coco.found, max_detections=300)
    assert twelve(ours) == pytest.approx(twelve(boxes), abs=1e-6)


def write_labels(document: dict[str, Any], coco_dir: Path, folder: Path) -> None:
    """The same as Darknet has it: coco.data, coco.names, val.txt, images/ and labels/."""
    (folder / "images").symlink_to(coco_dir / "val2017")
    (folder / "labels").mkdir()
    class_of = {category["id"]: number for number, category in enumerate(document["categories"])}
    images = {image["id"]: image for image in document["images"]}
    rows: dict[int, list[str]] = {id_: [] for id_ in images}
    for entry in document["annotations"]:
        assert not entry["iscrowd"]  # which labels cannot say
        image = images[entry["image_id"]]
        x, y, width, height = entry["bbox"]
        shares = ((x + width / 2) / image["width"], (y + height / 2) / image["height"],
                  width / image["width"], height / image["height"])  # fmt: skip
        numbers = " ".join(f"{share:.12f}" for share in shares)
        rows[image["id"]].append(f"{class_of[entry['category_id']]} {numbers}\n")
    for id_, image in images.items():
        (folder / "labels" / image["file_name"]).with_suffix(".txt").write_text("".join(rows[id_]))
    (folder / "val.txt").write_text("".join(f"{folder}/images/{image['file_name']}\n" for image in images.values()))
    (folder / "coco.names").write_text("".join(f"{category['name']}\n" for category in document["categories"]))
    (folder / "coco.data").write_text(f"classes=80\nvalid={folder}/val.txt\nnames={folder}/coco.names\n")


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two pictures of 200 x 100, a.png with two people and b.png with a motorcycle, in truth.json; not themselves."""
    document = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 200, "height": 100},
            {"id": 3, "file_name": "sub/b.png", "width": 200, "height": 100},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": BOX},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": OTHER},
            {"id": 3, "image_id": 3, "category_id": 4, "bbox": BOX},
        ],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(document))
    return path


def coco_entry(**changes: Any) -> dict[str, Any]:
    return {"image_id": 7, "category_id": 1, "bbox": BOX, "score": 0.9, **changes}


def darknet_entry(filename: str = "data/a.png", **changes: Any) -> dict[str, Any]:
    shares = {"center_x": 0.15, "center_y": 0.3, "width": 0.2, "height": 0.4}
    found = {"class_id": 0, "name": "person", "relative_coordinates": shares, "confidence": 0.9, **changes}
    return {"frame_id": 1, "filename": filename, "objects": [found]}


def own_entry(name: str = "data/a.png", **changes: Any) -> dict[str, Any]:
    found = {"name": "person", "class_id": 0, "confidence": 0.9, "xyxy": [10, 10, 50, 50], **changes}
    return {"source": name, "width": 200, "height": 100, "detections": [found], "speed": {}}


def scored(truth: Path, content: Any, **options: Any) -> Evaluation:
    path = truth.with_name("found.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return evaluate_results(path, annotations=truth, **options)


def empty(entry: dict[str, Any]) -> dict[str, Any]:
    key = "objects" if "objects" in entry else "detections"
    return {**entry, key: []}


# As Darknet prints it, on Windows: with a path that is no JSON, or is some of another path.
PRINTED = """[
{
 "frame_id":1, 
 "filename":"C:\\new\\data\\a.png", 
 "objects": [ 
  {"class_id":0, "name":"person", "relative_coordinates":{"center_x":0.150000, "center_y":0.300000, "width":0.200000, \
"height":0.400000}, "confidence":0.900000}
 ] 
}, 
{
 "frame_id":2, 
 "filename":"sub\\b.png", 
 "objects": [ 
 ] 
}
]
"""  # noqa: W291
FORMATS: dict[str, Any] = {
    "as darknet prints it": PRINTED,
    "coco": [coco_entry()],
    "darknet": [darknet_entry(), empty(darknet_entry("data/sub/b.png"))],
    "darknet on windows": [darknet_entry("C:\\data\\a.png"), empty(darknet_entry("C:\\data\\sub\\b.png"))],
    "json": [own_entry(), empty(own_entry("b.png"))],
    "jsonl": json.dumps(own_entry()) + "\n" + json.dumps(empty(own_entry("b.png"))) + "\n",
}


@pytest.mark.parametrize("case", FORMATS)
def test_every_format_gives_the_same_table(truth: Path, case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = scored(truth, FORMATS[case])
    assert evaluation.found.image_id.tolist() == [7]
    assert evaluation.found.category_id.tolist() == [1]
    np.testing.assert_allclose(evaluation.found.bbox, [BOX])
    assert evaluation.found.score.tolist() == [0.9]
    assert evaluation.scores.counts.precision == 100
    assert evaluation.scores.counts.recall == pytest.approx(100 / 3)
    assert evaluation.scores.ap50 == pytest.approx(100 * 51 / 101 / 2)
    assert evaluation.images == 2


def test_a_single_picture_is_a_line_of_json(truth: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 pictures of .* are not in .*, as if nothing were found: sub/b\.png"):
        assert len(scored(truth, json.dumps(own_entry())).found) == 1


def test_nothing_found_is_0(truth: Path) -> None:
    evaluation = scored(truth, "[]")
    assert (evaluation.scores.ap, evaluation.scores.counts.precision, evaluation.scores.counts.recall) == (0, None, 0)


def test_a_file_name_says_more_than_a_number(truth: Path) -> None:
    # As detect numbers pictures that are not called by numbers: by the order in which it was given them.
    evaluation = scored(truth, [coco_entry(image_id=3, file_name="a.png"), coco_entry(image_id=1, file_name="b.png")])
    assert evaluation.found.image_id.tolist() == [7, 3]


def test_what_the_annotations_do_not_list_is_named_and_left_out(truth: Path) -> None:
    entries = [coco_entry(), coco_entry(image_id=8), coco_entry(image_id="x"), coco_entry(category_id=2)]
    with pytest.warns(UserWarning, match="left out") as said:
        assert len(scored(truth, entries).found) == 1
    lines = [str(warning.message) for warning in said]
    assert lines[0].endswith("and their 2 detections are left out: 8 (1), x (1)")
    assert lines[1].endswith("are left out: 2 (1)")
    with pytest.warns(UserWarning, match=r"1 detections are of categories that .* does not have, .*: zebra \(1\)"):
        assert len(scored(truth, [darknet_entry(name="zebra"), empty(darknet_entry("b.png"))]).found) == 0


def test_names_of_classes_match_in_either_spelling(truth: Path) -> None:
    entries = [darknet_entry(name="motorbike"), empty(darknet_entry("b.png"))]
    assert scored(truth, entries).found.category_id.tolist() == [4]


def test_what_failed_had_another_size_or_is_missing_is_said(truth: Path) -> None:
    with pytest.warns(UserWarning, match="1 pictures (failed when|had another size)") as said:
        scored(truth, [{**own_entry(), "width": 100}, {"source": "b.png", "error": "b.png: no such file"}])
    assert "1 pictures had another size in" in str(said[1].message)
    assert "a.png (100 x 100, not 200 x 100)" in str(said[1].message)


def test_ids_may_be_texts(truth: Path) -> None:
    document = json.loads(truth.read_text())
    for entry in (*document["images"], *document["categories"]):
        entry["id"] = f"<{entry['id']}>"
    for entry in document["annotations"]:
        entry.update(image_id=f"<{entry['image_id']}>", category_id=f"<{entry['category_id']}>")
    truth.write_text(json.dumps(document))
    evaluation = scored(truth, [coco_entry(image_id="<7>", category_id="<1>")])
    assert evaluation.scores.counts.true_positives == 1
    # Numbers of ours are nobody's ids.
    with pytest.raises(EvaluationError, match=r"nothing in .* is of a picture of .*, but of 0 \(1\)"):
        scored(truth, [coco_entry(image_id=0, category_id=0)])


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": ("", "is no results file: not JSON: Expecting value"),
    "cut off": ('[{"image_id": 7,', "is no results file: not JSON"),
    "annotations": (
        {"annotations": [], "images": []},
        "an array of detections or of pictures; it is a COCO annotation",
    ),
    "a number": (5, "is no results file: it must be an array"),
    "numbers": ([5], "[0] must be an object {...}, got 5"),
    "unknown": ([{"label": 1}], '[0] must have "image_id", as COCO\'s, "objects", as Darknet\'s, or "source"'),
    "mixed": ([coco_entry(), darknet_entry()], '[1] must have "bbox" [x, y, width, height], got nothing'),
    "no score": ([coco_entry(score=None)], '[0] must have a number "score", got nothing'),
    "score of text": ([coco_entry(score="0.9")], '[0] must have a number "score", got "0.9"'),
    "score not finite": ([coco_entry(score=float("nan"))], 'must have a number "score", got NaN'),
    "short box": ([coco_entry(bbox=[1, 2, 3])], '[0] must have "bbox" [x, y, width, height], got [1, 2, 3]'),
    "negative side": ([coco_entry(bbox=[1, 2, -3, 4])], '[0] must have "bbox"'),
    "no category": (
        [coco_entry(category_id=None)],
        '[0] must have a whole number or a text "category_id", got nothing',
    ),
    "other pictures": ([coco_entry(image_id=5)], "nothing in"),
    "no shares": ([darknet_entry(relative_coordinates=None)], "[0].objects[0].relative_coordinates must be an object"),
    "half a share": (
        [darknet_entry(relative_coordinates={"center_x": 1})],
        '[0].objects[0].relative_coordinates must have a number "center_y", got nothing',
    ),
    "no name": ([darknet_entry(name=5)], '[0].objects[0] must have a text "name", got 5'),
    "picture twice": ([own_entry(), own_entry("other/a.png")], "must have one entry for each picture, got two for"),
    "corners crossed": ([own_entry(xyxy=[50, 10, 10, 50])], "a box whose sides are at least 0"),
    "video": ([{**own_entry(), "frame": 0}], "must be of a picture, not of a video's frame"),
    "no detections": ([{"source": "a.png"}], '[0] must have a list "detections", got nothing'),
    "line of text": (json.dumps(own_entry()) + "\nfastyolo: saved\n", "not JSON: Expecting value in line 2, column 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_line(truth: Path, case: str) -> None:
    content, said = WRONG[case]
    with pytest.raises(EvaluationError) as error:
        scored(truth, content)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_shares_need_the_size_of_their_picture(truth: Path) -> None:
    document = json.loads(truth.read_text())
    for image in document["images"]:
        del image["width"]
    truth.write_text(json.dumps(document))
    entries = [darknet_entry(), empty(darknet_entry("b.png"))]
    with pytest.raises(EvaluationError, match=r"relative to their picture's size, but .* does not say that of a\.png"):
        scored(truth, entries)
    Image.new("RGB", (200, 100)).save(truth.with_name("a.png"))
    np.testing.assert_allclose(scored(truth, entries).found.bbox, [BOX])


def test_a_limit_takes_the_first_pictures_and_knows_the_others(truth: Path) -> None:
    evaluation = scored(truth, [coco_entry(), coco_entry(image_id=3, category_id=4)], limit=1)
    assert (evaluation.images, evaluation.scores.ap50) == (1, pytest.approx(100))


DETECTIONS = ("evaluate", "--annotations", "truth.json", "--detections", "found.json")


def test_the_command_scores_a_file_without_pictures_or_a_model(truth: Path) -> None:
    truth.with_name("found.json").write_text(json.dumps([coco_entry(), coco_entry(bbox=OTHER, score=0.2)]))
    run = fastyolo(*DETECTIONS, cwd=truth.parent)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "2 detections of found.json" in run.stdout
    assert "precision 100.00, recall 33.33, F1 50.00 (TP 1, FP 0, FN 2)" in run.stdout
    run = fastyolo(*DETECTIONS, "--threshold", "0.1", "--format", "json", cwd=truth.parent)
    record = json.loads(run.stdout)
    assert record["at_threshold"]["true_positives"] == 2
    assert record["model"] == {"detections": "found.json"}
    assert record["settings"] is None


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--model", "x.tflite", "--iou", "0.6"), 2, "--detections runs no model, so it takes no --model or --iou"),
        (("--ladder", "--float-model", "x"), 2, "--ladder has rules of its own, so it takes no --detections"),
        (("--worst", "2"), 1, "2 of 2 images are not in"),
        (("--detections", "gone.json"), 1, "cannot read gone.json: No such file"),
        (("--output", "here"), 2, "--output is for --worst"),
    ],
)
def test_options_that_do_not_go_together(truth: Path, options: tuple[str, ...], code: int, said: str) -> None:
    truth.with_name("found.json").write_text("[]")
    run = fastyolo(*DETECTIONS, *options, cwd=truth.parent)
    assert run.returncode == code
    assert said in one_line(run.stderr)


@pytest.mark.parametrize("result_format", ["coco", "darknet", "json", "jsonl"])
def test_what_detect_writes_can_be_scored(tmp_path: Path, hopper_path: Path, result_format: str) -> None:
    picture = Image.open(hopper_path)
    for name in ("a", "b"):
        picture.save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("0 0.502 0.5125 0.957 0.958\n1 0.505 0.803 0.129 0.158\n")
    (tmp_path / "obj.names").write_text("person\ntie\n")
    found = fastyolo("detect", "b.png", "a.png", "--format", result_format, cwd=tmp_path)
    (tmp_path / "found").write_text(found.stdout)
    if result_format == "coco":  # whose categories are COCO's there, numbers of obj.names here
        entries = [{**entry, "category_id": {1: 1, 32: 2}[entry["category_id"]]} for entry in json.loads(found.stdout)]
        (tmp_path / "found").write_text(json.dumps(entries))
    run = fastyolo("evaluate", "--annotations", ".", "--detections", "found", "--format", "json", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    record = json.loads(run.stdout)
    assert (record["ap50"], record["at_threshold"]["false_positives"]) == (100, 0)
