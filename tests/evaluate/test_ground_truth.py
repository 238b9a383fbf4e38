"""What annotation files may say, and the one line each wrong one gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.ground_truth import match_classes, read_ground_truth
from fastyolo.names import COCO_CATEGORY_IDS, COCO_NAMES, common_name, is_coco

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """Two pictures; a person in the first, a motorcycle in the second."""
    return {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg", "height": 48, "width": 64}],
        "categories": [{"id": 1, "name": "person"}, {"id": 4, "name": "motorcycle"}],
        "annotations": [
            {"id": 0, "image_id": 3, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 900.5, "iscrowd": 0},
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [1.5, 2, 10, 20]},
        ],
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes the annotation file next to a folder with both pictures."""
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.jpg", "unlisted.jpg"):
        (tmp_path / "images" / name).touch()

    def write(document: Any) -> Path:
        path = tmp_path / "truth.json"
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return path

    return write


def test_pictures_come_by_id_and_objects_as_listed(write: Callable[[Any], Path], document: Document) -> None:
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    assert [(picture.id, picture.path.name, picture.size) for picture in truth.pictures] == [
        (3, "a.jpg", (48, 64)),
        (7, "b.jpg", None),
    ]
    assert truth.categories == {1: "person", 4: "motorcycle"}
    person, motorcycle = truth.objects
    assert person.area == 900.5
    assert motorcycle.area == 200  # that of the box, where the file says none
    assert not motorcycle.crowd


def test_a_limit_takes_the_first_and_forgets_the_objects_of_the_rest(
    write: Callable[[Any], Path], document: Document
) -> None:
    path = write(document)
    (path.parent / "images" / "b.jpg").unlink()  # not asked for, so not missed
    truth = read_ground_truth(path, path.parent / "images", limit=1)
    assert [picture.id for picture in truth.pictures] == [3]
    assert [entry.category_id for entry in truth.objects] == [1]


@pytest.mark.parametrize("id_", [0, 9])
def test_a_category_without_objects_may_bear_the_name_of_another(
    write: Callable[[Any], Path], document: Document, id_: int
) -> None:
    document["categories"].insert(0 if id_ == 0 else 2, {"id": id_, "name": "person", "supercategory": "none"})
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    assert truth.categories == {1: "person", 4: "motorcycle"}
    assert match_classes(["person", "motorbike"], truth) == (1, 4)


def test_file_names_may_be_written_on_windows(write: Callable[[Any], Path], document: Document) -> None:
    path = write(document)
    (path.parent / "a.jpg").touch()
    document["images"][0]["file_name"] = "images\\b.jpg"
    truth = read_ground_truth(write(document), path.parent)
    assert [picture.path for picture in truth.pictures if picture.id == 7] == [path.parent / "images" / "b.jpg"]


def test_a_backslash_in_a_name_that_exists_is_kept(write: Callable[[Any], Path], document: Document) -> None:
    path = write(document)
    (path.parent / "images" / "odd\\name.jpg").touch()
    document["images"][0]["file_name"] = "odd\\name.jpg"
    truth = read_ground_truth(write(document), path.parent / "images")
    assert truth.pictures[1].path.name == "odd\\name.jpg"


def test_ids_may_be_texts(write: Callable[[Any], Path], document: Document) -> None:
    for entry in (*document["images"], *document["categories"]):
        entry["id"] = f"<{entry['id']}>"
    for entry in document["annotations"]:
        entry.update(id=f"a{entry['id']}", image_id=f"<{entry['image_id']}>", category_id=f"<{entry['category_id']}>")
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    assert [(picture.id, picture.name) for picture in truth.pictures] == [(0, "b.jpg"), (1, "a.jpg")]
    assert [(entry.image_id, entry.category_id) for entry in truth.objects] == [(1, 0), (0, 1)]
    assert truth.given_ids == ({0: "<7>", 1: "<3>"}, {0: "<1>", 1: "<4>"})


WRONG: dict[str, tuple[Callable[[Document], object], str]] = {
    "no images": (lambda d: d.pop("images"), 'the document must have a list "images", got nothing'),
    "no annotations": (lambda d: d.pop("annotations"), 'must have a list "annotations"'),
    "categories not a list": (lambda d: d.update(categories={}), 'must have a list "categories", got {}'),
    "entry not an object": (lambda d: d["images"].append(5), "images[2] must be an object {...}, got 5"),
    "no file name": (lambda d: d["images"][1].pop("file_name"), 'images[1] must have a text "file_name"'),
    "empty file name": (lambda d: d["images"][1].update(file_name=""), 'images[1] must have a text "file_name"'),
    "id a fraction": (lambda d: d["images"][0].update(id=7.5), 'must have a whole number or a text "id", got 7.5'),
    "id true": (lambda d: d["images"][0].update(id=True), 'whole number or a text "id", got true'),
    "huge id": (lambda d: d["images"][0].update(id=2**63), 'whole number or a text "id"'),
    "id of another kind": (lambda d: d["annotations"][0].update(image_id="3"), '"image_id" of an entry in "images"'),
    "image twice": (lambda d: d["images"][1].update(id=7), 'images[1] must have an "id" of its own, got 7'),
    "annotation twice": (lambda d: d["annotations"][1].update(id=0), 'annotations[1] must have an "id" of its own'),
    "category twice": (lambda d: d["categories"][1].update(id=1), 'categories[1] must have an "id" of its own'),
    "same name": (
        lambda d: (
            d["categories"].append({"id": 9, "name": "Motorbike"}),
            d["annotations"].append({"id": 2, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]}),
        ),
        "categories 4 and 9",
    ),
    "short box": (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), '"bbox" [x, y, width, height], got [1, 2, 3]'),
    "box of text": (lambda d: d["annotations"][0].update(bbox="1 2 3 4"), '"bbox" [x, y, width, height]'),
    "box not finite": (lambda d: d["annotations"][0].update(bbox=[1, 2, 3, float("nan")]), '"bbox"'),
    "box beyond floats": (lambda d: d["annotations"][0].update(bbox=[1, 2, 3, 10**400]), '"bbox"'),
    "negative width": (lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4]), '"bbox"'),
    "no box": (lambda d: d["annotations"][0].pop("bbox"), '"bbox" [x, y, width, height], got nothing'),
    "negative area": (lambda d: d["annotations"][0].update(area=-1), '"area" of at least 0, got -1'),
    "crowd of two": (lambda d: d["annotations"][0].update(iscrowd=2), '"iscrowd" 0 or 1, got 2'),
    "unknown image": (lambda d: d["annotations"][0].update(image_id=5), '"image_id" of an entry in "images", got 5'),
    "unknown category": (lambda d: d["annotations"][1].update(category_id=5), '"category_id" of an entry in "categor'),
    "nothing annotated": (lambda d: d.update(annotations=[]), "no object is annotated in"),
    "only crowds": (lambda d: [entry.update(iscrowd=1) for entry in d["annotations"]], "no object is annotated in"),
    "picture missing": (lambda d: d["images"][0].update(file_name="gone.jpg"), "1 of 2 images are not in"),
    "name with NUL": (lambda d: d["images"][0].update(file_name="a\0.jpg"), r"images: a\x00.jpg"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_line(write: Callable[[Any], Path], document: Document, case: str) -> None:
    change, said = WRONG[case]
    change(document)
    path = write(document)
    with pytest.raises(EvaluationError) as error:
        read_ground_truth(path, path.parent / "images")
    assert said in str(error.value)
    assert str(path) in str(error.value) or "not in" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON: Expecting value in line 1, column 1"),
        (b'{"images": [\n,', "in line 2, column 1"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"[" * 100_000, "recursion"),
        (b"[1]", "the document must be an object {...}, got [1]"),
        (b'{"images": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_is_not_even_json(write: Callable[[Any], Path], content: bytes, said: str) -> None:
    path = write(content)
    with pytest.raises(EvaluationError, match="is no COCO annotation file") as error:
        read_ground_truth(path, path.parent / "images")
    assert said in str(error.value)


def test_missing_files_and_folders(write: Callable[[Any], Path], document: Document) -> None:
    path = write(document)
    with pytest.raises(EvaluationError, match=r"cannot read annotations .*gone\.json: No such file"):
        read_ground_truth(path.with_name("gone.json"), path.parent / "images")
    with pytest.raises(EvaluationError, match="nothing says what the classes"):
        read_ground_truth(path.parent, path.parent / "images")
    with pytest.raises(EvaluationError, match=r"there is no folder of images .*gone"):
        read_ground_truth(path, path.parent / "gone")


def test_missing_pictures_are_counted_and_the_first_are_named(write: Callable[[Any], Path], document: Document) -> None:
    document["images"] += [{"id": 10 + index, "file_name": f"sub/{index}.jpg"} for index in range(8)]
    path = write(document)
    with pytest.raises(EvaluationError, match=r"8 of 10 images are not in .*: sub/0\.jpg, .*sub/4\.jpg and 3 more$"):
        read_ground_truth(path, path.parent / "images")


def test_classes_match_in_either_spelling_and_case(write: Callable[[Any], Path], document: Document) -> None:
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    assert match_classes(["motorbike", "Person"], truth) == (4, 1)
    assert match_classes([" motorcycle ", "person", "zebra"], truth) == (4, 1, None)


def test_objects_without_a_class_are_an_error_other_categories_are_not(
    write: Callable[[Any], Path], document: Document
) -> None:
    document["categories"].append({"id": 5, "name": "kite"})  # nothing is annotated as one
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    assert match_classes(["motorbike", "person"], truth) == (4, 1)
    with pytest.raises(EvaluationError, match=r"no class for 'motorcycle' \(1\), categories of .*such as 'person'"):
        match_classes(["person"], truth)


@pytest.mark.parametrize("names", [("person", "motorbike", "motorcycle"), ("person", "person", "motorbike")])
def test_two_classes_cannot_share_a_category(
    write: Callable[[Any], Path], document: Document, names: tuple[str, ...]
) -> None:
    path = write(document)
    truth = read_ground_truth(path, path.parent / "images")
    with pytest.raises(EvaluationError, match="both match category"):
        match_classes(names, truth)


def test_the_table_of_spellings_covers_darknets_names(coco_dir: Path) -> None:
    path = coco_dir / "instances_val2017_128.json"
    truth = read_ground_truth(path, coco_dir / "val2017")
    assert match_classes(COCO_NAMES, truth) == COCO_CATEGORY_IDS
    assert is_coco(list(truth.categories.values()))
    assert not is_coco([*COCO_NAMES[1:], COCO_NAMES[0]])
    assert common_name("TVmonitor") == common_name("tv")
