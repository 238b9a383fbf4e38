"""Which pictures and names Darknet's .data, Ultralytics' data.yaml, lists and folders give."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from command import fastyolo, one_line
from fastyolo.errors import EvaluationError
from fastyolo.evaluate.ground_truth import kind_of, read_ground_truth
from fastyolo.evaluate.truth import GroundTruth

LABEL = "1 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Darknet's usual folder, which is the working directory: data/obj.data, data/valid.txt, data/obj/{a,b}.jpg."""
    (tmp_path / "data" / "obj").mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (200, 100)).save(tmp_path / "data" / "obj" / f"{name}.jpg")
        (tmp_path / "data" / "obj" / f"{name}.txt").write_text(LABEL)
    (tmp_path / "data" / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "data" / "valid.txt").write_text("data/obj/b.jpg\ndata/obj/a.jpg\n")
    (tmp_path / "data" / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files_of(truth: GroundTruth) -> list[str]:
    return [picture.path.name for picture in truth.pictures]


def test_darknets_data_file(project: Path) -> None:
    truth = read_ground_truth("data/obj.data")
    assert files_of(truth) == ["b.jpg", "a.jpg"]  # in the list's order
    assert truth.categories == {1: "cat", 2: "dog"}
    assert [entry.category_id for entry in truth.objects] == [2, 2]
    assert files_of(read_ground_truth("data/obj.data", limit=1)) == ["b.jpg"]


def test_from_elsewhere_paths_are_those_of_the_data_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with pytest.warns(UserWarning, match="lead nowhere from") as said:
        assert files_of(read_ground_truth(project / "data" / "obj.data")) == ["b.jpg", "a.jpg"]
    assert str(said[0].message).endswith(
        f"obj.data lead nowhere from the working directory, so they are taken from {project}"
    )
    for name in ("obj.data", "valid.txt"):
        path = project / "data" / name
        path.write_text(path.read_text().replace("data/", ""))
    with pytest.warns(UserWarning, match=f"taken from {project / 'data'}$"):
        assert files_of(read_ground_truth(project / "data" / "obj.data")) == ["b.jpg", "a.jpg"]


def test_what_windows_wrote(project: Path) -> None:
    for name in ("obj.data", "valid.txt"):
        path = project / "data" / name
        text = path.read_text().replace("/", "\\").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    assert files_of(read_ground_truth("data/obj.data")) == ["b.jpg", "a.jpg"]


def test_images_say_where_pictures_are(project: Path) -> None:
    (project / "data" / "valid.txt").write_text("/home/other/data/obj/a.jpg\nC:\\data\\obj\\b.jpg\n")
    with pytest.raises(
        EvaluationError, match=r"2 of 2 images of data/valid\.txt are not there: /home/other/.*--images"
    ):
        read_ground_truth("data/obj.data")
    assert files_of(read_ground_truth("data/obj.data", "data/obj")) == ["a.jpg", "b.jpg"]
    with pytest.raises(EvaluationError, match="there is no folder of images gone"):
        read_ground_truth("data/obj.data", "gone")


def test_pictures_listed_twice_count_once(project: Path) -> None:
    (project / "data" / "valid.txt").write_text("data/obj/a.jpg\n./data/obj/a.jpg\ndata\\obj\\a.jpg\n")
    with pytest.warns(UserWarning, match="pictures that are listed more than once count once: 2"):
        assert len(read_ground_truth("data/obj.data").pictures) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("names = data/obj.names\n", "data/obj.data must say which pictures to evaluate on, valid=FILE"),
        ("valid = data/valid.txt\n", "nothing says what the classes of data/obj.data are called; --names does"),
        ("valid = gone.txt\nnames = data/obj.names\n", "says valid=gone.txt, but there is no such file"),
        ("valid = data/valid.txt\nnames = gone.names\n", "says names=gone.names, but there is no such file"),
        (
            "# a comment\nvalid data/valid.txt\n",
            "line 2 of data/obj.data must be key = value, got 'valid data/valid.txt'",
        ),
        ("valid =\n", "line 1 of data/obj.data must be key = value"),
        ("", "must say which pictures to evaluate on"),
        ("\0", "holds binary data"),
    ],
)
def test_a_wrong_data_file_is_one_line(project: Path, content: str, said: str) -> None:
    (project / "data" / "obj.data").write_text(content)
    with pytest.raises(EvaluationError) as error:
        read_ground_truth("data/obj.data")
    assert said in str(error.value)


def test_what_a_data_file_says_twice_or_otherwise_is_worth_a_warning(project: Path) -> None:
    path = project / "data" / "obj.data"
    path.write_text(path.read_text().replace("classes = 2", "classes = 3") + "valid = other.txt\n")
    with pytest.warns(UserWarning, match="first counts|which count") as said:
        read_ground_truth(path)
    assert [str(warning.message).split("obj.data")[1] for warning in said] == [
        ": valid= stands twice; the first counts, as in Darknet",
        " says classes=3, but there are 2 names, which count",
    ]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_list_is_one_line(project: Path, content: str) -> None:
    (project / "data" / "valid.txt").write_text(content)
    with pytest.raises(EvaluationError, match="must list pictures, one path a line, got an empty file"):
        read_ground_truth("data/obj.data")


def test_a_list_by_itself_takes_the_names_that_are_given(project: Path) -> None:
    truth = read_ground_truth("data/valid.txt", names=lambda: ("tom", "rex"))
    assert truth.categories == {1: "tom", 2: "rex"}
    with pytest.raises(EvaluationError, match=r"nothing says what the classes of data/valid\.txt are called"):
        read_ground_truth("data/valid.txt")


def test_a_folder_takes_the_names_in_it_or_those_given(project: Path) -> None:
    assert read_ground_truth("data/obj", names=lambda: ("tom", "rex")).categories == {1: "tom", 2: "rex"}
    (project / "data" / "obj" / "classes.txt").write_text("felix\nrex\n")
    assert read_ground_truth("data/obj", names=lambda: ("tom", "rex")).categories == {1: "felix", 2: "rex"}


def test_a_folder_without_pictures_says_what_may_be_meant(project: Path) -> None:
    with pytest.raises(EvaluationError, match=r"^data has no pictures in it; it holds obj\.data, which may say where"):
        read_ground_truth("data", names=lambda: ("tom", "rex"))
    (project / "empty").mkdir()
    with pytest.raises(EvaluationError, match=r"^empty has no pictures in it; its subfolders are not looked into"):
        read_ground_truth("empty", names=lambda: ("tom", "rex"))
    with pytest.raises(EvaluationError, match=r"^there is no folder of images gone"):
        read_ground_truth("empty", "gone", names=lambda: ("tom", "rex"))


def test_annotations_may_come_by_a_pipe(project: Path) -> None:
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    (project / "truth.json").write_text(json.dumps(document))
    cat = subprocess.Popen(["cat", "truth.json"], stdout=subprocess.PIPE)
    assert cat.stdout is not None
    with cat, cat.stdout:
        assert len(read_ground_truth(f"/dev/fd/{cat.stdout.fileno()}", "data/obj").objects) == 1


def test_classes_of_coco_have_cocos_numbers(project: Path) -> None:
    from fastyolo.names import COCO_CATEGORY_IDS, COCO_NAMES

    assert tuple(read_ground_truth("data/obj", names=lambda: COCO_NAMES).categories) == COCO_CATEGORY_IDS


@pytest.fixture
def dataset(project: Path) -> Path:
    """Ultralytics' usual folder: set/data.yaml, set/images/val/{a,b}.jpg, set/labels/val/{a,b}.txt."""
    for kind in ("images", "labels"):
        (project / "set" / kind / "val" / "more").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg"):
        (project / "data" / "obj" / name).rename(project / "set" / "images" / "val" / "more" / name)
        (project / "set" / "labels" / "val" / "more" / name).with_suffix(".txt").write_text(LABEL)
    return project


YAML = {
    "as it should be": "path: set\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n",
    "names in a list": "path: set\nval: images/val\nnc: 2\nnames: [cat, dog]\n",
    "no path": "val: images/val\nnames: [cat, dog]\n",
    "path of another machine": "path: /content/set\nval: images/val\nnames: [cat, dog]\n",
    "several": "val: [images/val/more, images/val]\nnames: [cat, dog]\n",
    "roboflow's": "train: ../train/images\nval: ../images/val\nnames: ['cat', 'dog']\nnc: 2\n",
    "a list": "val: val.txt\nnames: [cat, dog]\n",
    "windows": "\ufeffpath: .\r\nval: images\\val\r\nnames: [cat, dog]\r\n",
    "validation": "validation: images/val\nnames: [cat, dog]\n",
}


@pytest.mark.parametrize("case", YAML)
def test_ultralytics_yaml(dataset: Path, case: str) -> None:
    (dataset / "set" / "data.yaml").write_bytes(YAML[case].encode())
    (dataset / "set" / "val.txt").write_text("./images/val/more/a.jpg\n./images/val/more/b.jpg\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = read_ground_truth("set/data.yaml")
    assert sorted(files_of(truth)) == ["a.jpg", "b.jpg"]
    assert truth.categories == {1: "cat", 2: "dog"}
    assert [entry.category_id for entry in truth.objects] == [2, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("names: [cat, dog]\n", "must say which pictures to evaluate on, val: "),
        ("val: 5\nnames: [cat, dog]\n", "a list, or several, got 5"),
        ("val: images/gone\nnames: [cat, dog]\n", "says val: images/gone, which is not there; looked for below set"),
        ("val: images/val\n", "nothing says what the classes of set/data.yaml are called"),
        ("val: images/val\nnames: {0: cat, 2: dog}\n", "must name classes 0 to 1, got names for [0, 2]"),
        (
            "val: images/val\nnames: [cat, no]\n",
            "must call class 1 by a text, got False; a name in quotes is always one",
        ),
        ("val: images/val\nnames: [cat, [dog]]\n", "must call class 1 by a text, got ['dog']"),
        ("val: images/val\nnames: cat\n", "must have a list of \"names\", or names by number, got 'cat'"),
        ("val: images/val\nnames: [cat, dog]\nnc: 3\n", "as many classes as it says, nc: 3, got 2"),
        ("val: images/val\nnames: [cat]\n", "must begin with a class from 0 to 0, as there is one name, got '1'"),
        ("val: images/val\nnames: [cat, dog]\nkpt_shape: [17, 3]\n", "is of key points (kpt_shape), expected boxes"),
        ("val: images/val\nnames: [cat, dog]\npath: 5\n", "must have a text as path, got 5"),
        ("val: [images/val\n", "is no YAML: "),
        ("val: !!python/object/apply:os.system ['touch x']\n", "is no YAML: could not determine a constructor"),
        ("[" * 10_000, "recursion"),
        ("- 1\n", "must have the keys val and names, got [1]"),
        ("", "must have the keys val and names, got None"),
    ],
)
def test_a_wrong_yaml_is_one_line(dataset: Path, content: str, said: str) -> None:
    (dataset / "set" / "data.yaml").write_text(content)
    with pytest.raises(EvaluationError) as error:
        read_ground_truth("set/data.yaml")
    assert said in str(error.value)
    assert not (dataset / "x").exists()


def test_without_pyyaml_it_says_what_to_install(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (dataset / "set" / "data.yaml").write_text(YAML["no path"])
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(EvaluationError, match=r"reading set/data\.yaml needs PyYAML: pip install pyyaml"):
        read_ground_truth("set/data.yaml")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("truth.json", "", "coco"),
        ("OBJ.DATA", "", "data"),
        ("coco.yml", "", "yaml"),
        ("val.txt", "", "list"),
        ("truth", '\ufeff\n {"images": []}', "coco"),
        ("obj", "classes=1\r\nvalid = a.txt\r\n", "data"),
        ("set", "# mine\nnames:\n  0: cat\n", "yaml"),
        ("list", "a b/1.JPG \r\nc.png\r\n", "list"),
    ],
)
def test_what_annotations_are_is_seen_by_name_or_else_by_content(
    tmp_path: Path, name: str, content: str, kind: str
) -> None:
    (tmp_path / name).write_text(content)
    assert kind_of(tmp_path / name) == kind
    assert kind_of(tmp_path) == "folder"


def test_anything_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("buy milk\n" * 9)
    with pytest.raises(EvaluationError, match="notes is none of the annotations that are understood: COCO's JSON"):
        kind_of(tmp_path / "notes")
    with pytest.raises(EvaluationError, match=r"cannot read annotations .*: embedded null"):
        kind_of(tmp_path / "a\0b")


def test_the_command_reads_darknets_files(project: Path, hopper_path: Path) -> None:
    picture = Image.open(hopper_path)
    for name in ("a", "b"):
        picture.save(project / "data" / "obj" / f"{name}.jpg")
        (project / "data" / "obj" / f"{name}.txt").write_text("0 0.502 0.5125 0.957 0.958\n1 0.505 0.803 0.129 0.158\n")
    (project / "data" / "obj.names").write_text("person\ntie\n")
    run = fastyolo("evaluate", "--annotations", "data/obj.data", cwd=project)
    assert run.returncode == 0, run.stderr
    assert "2 images, 4 objects of 2 classes" in run.stdout
    assert "| person |       2 | 100.00 |" in run.stdout
    # A folder takes the model's names, of which class 1 is the bicycle.
    run = fastyolo("evaluate", "--annotations", "data/obj", cwd=project)
    assert "| bicycle |" in run.stdout
    run = fastyolo("evaluate", "--annotations", "data/obj.data", "--max-memory", "1", cwd=project)
    assert run.returncode == 1
    assert "more than the limit of 1 MB" in one_line(run.stderr)
