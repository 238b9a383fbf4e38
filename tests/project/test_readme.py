"""What the README shows must run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from clips import make_clip
from command import OFFICIAL_EXPORT, fastyolo
from darknet_networks import tiny, write_network
from places import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
EXPORT = (REPOSITORY / "docs" / "export.md").read_text()
CAMERAS = (REPOSITORY / "docs" / "cameras.md").read_text()
EVALUATE = (REPOSITORY / "docs" / "evaluate.md").read_text()
SIZES = (REPOSITORY / "docs" / "sizes.md").read_text()
RETRAIN = (REPOSITORY / "docs" / "retrain.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, hopper_path: Path) -> Path:
    """The files that the snippets name."""
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for name in ("street.jpg", "pictures/1.jpg", "pictures/more/2.jpg"):
        shutil.copy(hopper_path, tmp_path / name)
    (tmp_path / "calibration").mkdir()
    for index in range(8):
        shutil.copy(hopper_path, tmp_path / "calibration" / f"{index}.jpg")
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [12, 20, 490, 575]}],
    }
    (tmp_path / "pictures.json").write_text(json.dumps(document))
    make_clip(tmp_path / "clip.mp4", [Image.open(hopper_path).resize((320, 240))] * 10, fps=5)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_python_snippets_run(folder: Path, code: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr


def test_the_snippets_find_what_they_say(folder: Path) -> None:
    detecting, decoding = blocks("python")
    run = subprocess.run([sys.executable, "-c", detecting], cwd=folder, capture_output=True, text=True, check=True)
    assert "1 person, 1 tie" in run.stdout
    assert (folder / "annotated.jpg").stat().st_size > 10_000
    run = subprocess.run([sys.executable, "-c", decoding], cwd=folder, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == "dog"


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
@pytest.mark.slow
def test_shell_snippets_run(request: pytest.FixtureRequest, folder: Path, line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "fastyolo"
    if words[1:] == list(OFFICIAL_EXPORT):
        run = request.getfixturevalue("official_export")
    else:
        run = fastyolo(*without_camera(words[1:]), cwd=folder)
    assert run.returncode == 0, run.stderr


def without_camera(words: list[str]) -> list[str]:
    """A clip takes the place of a camera, which comes to no end and is not there."""
    return ["clip.mp4" if word.startswith("/dev/video") else word for word in words]


@pytest.mark.slow
def test_shell_snippets_about_cameras_run(folder: Path) -> None:
    for line in "".join(blocks("sh", CAMERAS)).splitlines():
        run = fastyolo(*without_camera(shlex.split(line, comments=True)[1:]), cwd=folder)
        assert run.returncode == 0, run.stderr
    assert (folder / "annotated.mp4").is_file()
    assert sorted(path.name for path in (folder / "found").iterdir()) == ["clip_000005.jpg"]


@pytest.mark.slow
def test_shell_snippets_about_exporting_run_one_after_the_other(folder: Path, official_files: dict[str, Path]) -> None:
    write_network(folder, tiny(), name="my")
    (folder / "my.names").write_text("tom\nfelix\n")
    first, *lines = (shlex.split(line, comments=True)[1:] for line in "".join(blocks("sh", EXPORT)).splitlines())
    assert first == list(OFFICIAL_EXPORT)
    shutil.copytree(official_files["int8"].parent, folder / "models")
    for words in lines:
        run = fastyolo(*words, cwd=folder)
        assert run.returncode == 0, run.stderr
    for name in re.findall(r"^\| `(.*?)`", EXPORT, re.MULTILINE):
        assert (folder / "models" / name).is_file(), name


def test_what_sizes_cost_is_listed_without_weights(folder: Path) -> None:
    write_network(folder, tiny(), name="my")
    exporting, listing = "".join(blocks("sh", SIZES)).splitlines()
    assert "--dry-run" not in exporting  # three sizes of the official network: minutes
    run = fastyolo(*shlex.split(listing, comments=True)[1:], cwd=folder)
    assert run.returncode == 0, run.stderr
    assert [row.split()[1] for row in run.stdout.splitlines()[2:]] == ["320", "416", "256x416"]


@pytest.mark.slow
def test_shell_snippets_about_evaluating_run_one_after_the_other(folder: Path) -> None:
    write_labelled(folder)
    for line in "".join(blocks("sh", EVALUATE)).splitlines():
        run = fastyolo(*shlex.split(line)[1:], cwd=folder)
        assert run.returncode == 0, run.stderr
    assert (folder / "found.json").is_file()
    assert (folder / "charts" / "ap_by_class.png").is_file()
    assert (folder / "worst" / "01_1.jpg").is_file()


def write_labelled(folder: Path) -> None:
    """What labels/ for pictures/ may look like to Darknet, to Ultralytics, and in one folder."""
    for name in ("data", "labelled"):
        (folder / name).mkdir()
    shutil.copy(folder / "pictures" / "1.jpg", folder / "labelled" / "1.jpg")
    (folder / "labelled" / "1.txt").write_text("0 0.502 0.5125 0.957 0.958\n1 0.2 0.2 0.1 0.1\n")
    (folder / "data" / "obj.names").write_text("person\nbicycle\n")
    (folder / "data" / "valid.txt").write_text("labelled/1.jpg\n")
    (folder / "data" / "obj.data").write_text("classes = 2\nvalid = data/valid.txt\nnames = data/obj.names\n")
    (folder / "data.yaml").write_text("val: labelled\nnames: [person, bicycle]\n")


def test_every_option_it_names_exists() -> None:
    commands = ("detect", "export", "compile", "evaluate", "info", "doctor")
    known = " ".join(fastyolo(command, "--help", COLUMNS="200").stdout for command in commands)
    without_pip = re.sub(r"^    pip .*(\n {8}.*)*", "", README, flags=re.MULTILINE)
    assert "--find-links" not in without_pip
    pages = without_pip + EXPORT + EVALUATE + CAMERAS + SIZES + RETRAIN
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", pages)):
        assert re.search(rf"{option}\b", known), option


def test_every_file_it_links_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / target).exists(), target
