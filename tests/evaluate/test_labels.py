"""YOLO labels: the rule by which they are found, what rows may say, and the one line each wrong one gets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fastyolo.errors import EvaluationError
from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.label_file import label_path
from fastyolo.evaluate.truth import GroundTruth

NAMES = ("cat", "dog")
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a.png (200 x 100) and b.png with the labels given for each, in one folder."""

    def write(**labels: str | bytes) -> Path:
        for name in ("a", "b"):
            Image.new("RGB", (200, 100)).save(tmp_path / f"{name}.png")
        for name, content in labels.items():
            (tmp_path / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write


def read(folder: Path) -> GroundTruth:
    return read_ground_truth(folder, names=lambda: NAMES)


def test_rows_become_boxes_in_pixels(write: Write) -> None:
    truth = read(write(a="1 0.5 0.5 0.25 0.5\n", b="0 0.25 .5 5e-1 1\n"))
    assert [(picture.id, picture.name, picture.size) for picture in truth.pictures] == [
        (1, "a.png", (100, 200)),
        (2, "b.png", (100, 200)),
    ]
    assert truth.categories == {1: "cat", 2: "dog"}
    assert [(entry.image_id, entry.category_id, entry.bbox, entry.area, entry.crowd) for entry in truth.objects] == [
        (1, 2, (75, 25, 50, 50), 2500, False),
        (2, 1, (0, 0, 100, 100), 10000, False),
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf1 0.5 0.5 0.25 0.5",
        b"1 0.5 0.5 0.25 0.5\r\n",
        b"1 0.5 0.5 0.25 0.5\r",
        b"\n\n  1\t0.5  0.5 0.25 0.5  \n\n",
        b"1.0 0.5 0.5 0.25 0.5\n",
        b"1 5E-1 0.5 .25 +0.5\n",
    ],
    ids=["BOM", "CRLF", "CR", "spaces and blank lines", "class as a fraction", "other spellings"],
)
def test_what_other_systems_write_is_the_same(write: Write, content: bytes) -> None:
    truth = read(write(a=content, b=""))
    assert [(entry.category_id, entry.bbox) for entry in truth.objects] == [(2, (75, 25, 50, 50))]


GOOD = "0 0.5 0.5 0.5 0.5\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1 0.5 0.5 0.25", "must be a class and the centre x, centre y, width and height of a box, five numbers, got"),
        ("1 0.5 0.5 0.25 0.5 0.9", "a sixth is the score of a detection"),
        ("1 0.1 0.1 0.2 0.1 0.2 0.2 0.1", "five numbers"),  # a polygon whose last corner lacks a side
        ("1,0.5,0.5,0.25,0.5", "five numbers, got '1,0.5,0.5,0.25,0.5'"),
        ("cat 0.5 0.5 0.25 0.5", "must begin with a class from 0 to 1, as there are 2 names, got 'cat'"),
        ("2 0.5 0.5 0.25 0.5", "must begin with a class from 0 to 1, as there are 2 names, got '2'"),
        ("-1 0.5 0.5 0.25 0.5", "got '-1'"),
        ("0.5 0.5 0.5 0.25 0.5", "got '0.5'"),
        ("1e99 0.5 0.5 0.25 0.5", "got '1e99'"),
        ("1 100 50 50 50", "sides as shares of the picture's, from 0 to 1, got '100'"),
        ("1 0.5 0.5 1.01 0.5", "got '1.01'"),
        ("1 0.5 -0.1 0.2 0.5", "got '-0.1'"),
        ("1 0.5 nan 0.2 0.5", "got 'nan'"),
        ("1 0.5 inf 0.2 0.5", "got 'inf'"),
        ("1 0.5 0x1 0.2 0.5", "got '0x1'"),
        ("1 0.5 1_0 0.2 0.5", "got '1_0'"),
        ("1 0.5 \u0660 0.2 0.5", "from 0 to 1, got"),
        ("1 " * 100_000, "five numbers"),
        ("\x1b[2J 0.5 0.5 0.2 0.5", r"got '\x1b[2J'"),
    ],
)
def test_a_wrong_row_is_one_line_that_names_it(write: Write, row: str, said: str) -> None:
    folder = write(a=GOOD, b=f"{GOOD}\n{row}\n")
    with pytest.raises(EvaluationError) as error:
        read(folder)
    message = str(error.value)
    assert message.startswith(f"line 3 of {folder / 'b.txt'} must ")
    assert said in message
    assert message.isprintable()
    assert len(message) < 600


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe0\x00 \x00", "is UTF-16 text; save it as UTF-8"),
        (b"0 0.5 0.5 0.5 0.5\0", "holds binary data"),
        (b"\xe9 0.5 0.5 0.5 0.5", "must begin with a class"),
    ],
)
def test_what_is_no_text(write: Write, content: bytes, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        read(write(a=content, b=GOOD))


def test_a_folder_in_place_of_labels_is_one_line(write: Write) -> None:
    folder = write(b=GOOD)
    (folder / "a.txt").mkdir()
    with pytest.raises(EvaluationError, match=r"cannot read .*a\.txt: expected a file"):
        read(folder)


def test_sides_a_little_beyond_the_picture_are_rounding(write: Write) -> None:
    (entry,) = read(write(a="0 0.5 0.5 1.000001 1\n", b="")).objects
    assert entry.bbox[2] == pytest.approx(200.0002)


def test_a_polygon_counts_by_the_box_around_it(write: Write) -> None:
    folder = write(a="1 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5\n0 0.1 0.1 0.2 0.1 0.2 0.3\n", b=GOOD)
    with pytest.warns(UserWarning, match=r"^rows that are polygons count by .*: 2, such as line 1 of .*a\.txt$"):
        truth = read(folder)
    assert truth.objects[0].bbox == pytest.approx((50, 25, 100, 50))
    assert truth.objects[1].bbox == pytest.approx((20, 10, 20, 20))


def test_repeated_rows_count_once_and_flat_ones_not_at_all(write: Write) -> None:
    folder = write(a=f"{GOOD}{GOOD}1 0.5 0.5 0 0.5\n", b=GOOD)
    with pytest.warns(UserWarning, match="left out") as said:
        assert len(read(folder).objects) == 2
    assert [str(warning.message).split(", such as")[0] for warning in said] == [
        "rows that repeat another of their file are left out: 1",
        "rows without width or height are left out: 1",
    ]


def test_pictures_without_a_label_file_are_without_objects_and_counted(write: Write) -> None:
    with pytest.warns(UserWarning, match=r"^pictures without a label file count as .*: 1 of 2, such as .*b\.png$"):
        truth = read(write(a=GOOD))
    assert len(truth.pictures) == 2
    assert {entry.image_id for entry in truth.objects} == {1}


def test_an_empty_label_file_is_worth_no_word(write: Write) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(write(a=GOOD, b="")).pictures) == 2


def test_no_label_file_at_all_is_an_error_that_says_where_it_looked(write: Write) -> None:
    with pytest.raises(EvaluationError, match=r"none of the pictures of .* has labels, such as .*a\.txt$"):
        read(write())
    with pytest.raises(EvaluationError, match="no object is annotated in"):
        read(write(a="", b=""))


def test_pictures_of_one_label_file_are_counted(write: Write) -> None:
    folder = write(a=GOOD, b=GOOD)
    Image.new("RGB", (20, 10)).save(folder / "a.bmp")
    with pytest.warns(UserWarning, match="pictures that share the label file of another: 1,"):
        assert len(read(folder).objects) == 3


def test_labels_lie_in_labels_for_pictures_in_images_else_beside_them(tmp_path: Path) -> None:
    for name in ("labels/val/a.txt", "data/labels/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert label_path(tmp_path / "images/val/a.jpg") == tmp_path / "labels/val/a.txt"
    assert label_path(tmp_path / "data/JPEGImages/b.jpeg") == tmp_path / "data/labels/b.txt"
    assert label_path(tmp_path / "images/val/c.d.jpg") == tmp_path / "images/val/c.d.txt"  # nothing in labels/
    assert label_path(tmp_path / "my_images/a.jpg") == tmp_path / "my_images/a.txt"
    assert label_path(Path("images/a.jpg")) == Path("images/a.txt")


def test_of_two_label_files_the_one_in_labels_counts_with_a_warning(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    with pytest.warns(UserWarning, match="pictures with labels in labels/, which count, and others beside them: 1"):
        assert [entry.category_id for entry in read(tmp_path / "images").objects] == [2]
    # Where tools write names beside the labels, these count.
    (tmp_path / "labels" / "classes.txt").write_text("tom\nrex\n")
    with pytest.warns(UserWarning, match="others beside them"):
        assert read(tmp_path / "images").categories == {1: "tom", 2: "rex"}
    # Labels may be named by themselves too.
    truth = read_ground_truth(tmp_path / "labels", tmp_path / "images", names=lambda: NAMES)
    assert [entry.category_id for entry in truth.objects] == [2]


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_labels_are_of_the_upright_picture(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (200, 100)).save(path, exif=exif)
    (tmp_path / "a.txt").write_text("0 0.5 0.25 0.5 0.5\n")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        truth = read(tmp_path)
    assert truth.pictures[0].size == (200, 100)
    assert truth.objects[0].bbox == (25, 0, 50, 100)
    if suffix != "tif":
        assert "pictures that EXIF turns are taken to have labels of what they show upright: 1" in str(said[0].message)


def test_pictures_called_by_numbers_have_them(write: Write) -> None:
    folder = write(a=GOOD)
    (folder / "a.png").rename(folder / "000000000139.png")
    (folder / "a.txt").rename(folder / "000000000139.txt")
    (folder / "b.png").unlink()
    assert [picture.id for picture in read(folder).pictures] == [139]


def test_a_damaged_picture_is_one_line(write: Write) -> None:
    folder = write(a=GOOD, b=GOOD)
    (folder / "b.png").write_text("no picture")
    with pytest.raises(EvaluationError, match=r"^cannot score .*b\.png: .*is not a picture"):
        read(folder)


def test_of_two_classes_of_one_name_only_one_may_have_objects(write: Write) -> None:
    folder = write(a="0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.5 0.5\n", b="")
    with pytest.raises(EvaluationError, match=r"categories 1 and 2 of .* have the same name 'Cat'"):
        read_ground_truth(folder, names=lambda: ("cat", "Cat"))
