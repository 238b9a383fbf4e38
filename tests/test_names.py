"""What classes are called, in files, on request and in Darknet's and COCO's spelling."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from fastyolo import ModelSpec, OptionError, SpecError
from fastyolo.names import COCO_NAMES, class_ids, coco_names, is_coco, read_names, renamed, shown_ids, unnamed

NAMES = ("person", "tvmonitor", "Person", "dont_show tie", "sofa")


def test_every_class_of_a_name_is_meant() -> None:
    assert class_ids(NAMES, ["person"]) == [0, 2]
    assert class_ids(NAMES, "PERSON") == [0, 2]


@pytest.mark.parametrize(("asked", "expected"), [("tv", [1]), ("TVmonitor", [1]), ("couch", [4]), ("sofa", [4])])
def test_cocos_spelling_is_understood_as_darknets(asked: str, expected: list[int]) -> None:
    assert class_ids(NAMES, [asked]) == expected
    assert class_ids(coco_names(), [asked]) == class_ids(COCO_NAMES, [asked])


def test_where_both_spellings_are_classes_each_is_its_own() -> None:
    assert class_ids(["tv", "tvmonitor"], ["tv"]) == [0]
    assert class_ids(["tv", "tvmonitor"], ["tvmonitor"]) == [1]


def test_a_number_is_an_id_unless_a_class_is_called_so() -> None:
    assert class_ids(NAMES, [4, "1"]) == [4, 1]
    assert class_ids(["0", "1", "0"], ["0"]) == [0, 2]
    assert class_ids(["1", "0"], [0]) == [0]
    for wrong in (5, "5", -1, "unicorn", ""):
        with pytest.raises(OptionError, match="classes must be names or ids of the model"):
            class_ids(NAMES, [wrong])


def test_a_hidden_class_is_found_by_its_name() -> None:
    assert shown_ids(NAMES) == [0, 1, 2, 4]
    assert shown_ids(COCO_NAMES) is None
    assert class_ids(NAMES, ["tie"]) == [3]
    assert class_ids(NAMES, ["dont_show tie"]) == [3]


def test_coco_is_spelled_as_coco_spells() -> None:
    spelled = coco_names()
    assert is_coco(spelled)
    changed = {before: after for before, after in zip(COCO_NAMES, spelled, strict=True) if before != after}
    assert changed == {
        "motorbike": "motorcycle",
        "aeroplane": "airplane",
        "sofa": "couch",
        "pottedplant": "potted plant",
        "diningtable": "dining table",
        "tvmonitor": "tv",
    }
    assert ModelSpec.yolov4_tiny(names="coco").names == spelled


def test_renaming_takes_coco_only_for_its_80_classes() -> None:
    assert renamed(COCO_NAMES, "coco") == coco_names()
    assert renamed(unnamed(80), "coco") == coco_names()
    assert renamed(("a", "b"), ["c", "d"]) == ("c", "d")
    with pytest.raises(OptionError, match=r"of the 80 COCO classes; this one has 2 classes, the first of them 'a'"):
        renamed(("a", "b"), "coco")
    with pytest.raises(OptionError, match="must hold 2 class names for this model, got 3"):
        renamed(("a", "b"), ["c", "d", "e"])
    with pytest.raises(OptionError, match="'coco' or one name per class, got 'voc'"):
        renamed(("a", "b"), "voc")


def test_latin_1_is_taken_with_a_warning_that_shows_the_line(tmp_path: Path) -> None:
    path = tmp_path / "obj.names"
    path.write_bytes("chat\r\ncafé\r\nvélo\r\n".encode("latin-1"))
    with pytest.warns(
        UserWarning, match=r"line 2 of .*obj\.names is not UTF-8, so the file is read as Latin-1: 'café'"
    ):
        assert read_names(path) == ("chat", "café", "vélo")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(tmp_path: Path, end: str) -> None:
    path = tmp_path / "obj.names"
    # A form feed or a line separator of Unicode is part of a name.
    path.write_bytes(f"\ufeffcafé{end}a\u2028b{end}{end}".encode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_names(path) == ("café", "a\u2028b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cat\ndog\n".encode("utf-16"), "not UTF-8 but UTF-16 text; save it as UTF-8"),
        (b"cat\0dog", "holds binary data"),
        (b"\n\n", "got an empty file"),
        (b"cat\n\ndog", "got an empty line 2"),
    ],
)
def test_what_is_no_list_of_names_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "obj.names"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=said):
        read_names(path)
