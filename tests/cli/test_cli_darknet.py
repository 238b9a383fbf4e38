"""What the command line takes from a .cfg, and what it says of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command import fastyolo, one_line
from darknet_networks import cfg_text, conv, head, smallest, write_network
from fastyolo.export.fetch import OFFICIAL_CFG


def official(folder: Path, old: str = "", new: str = "") -> Path:
    """The official .cfg with something replaced."""
    path = folder / "yolov4-tiny.cfg"
    path.write_text(OFFICIAL_CFG.read_text().replace(old, new, 1))
    return path


def test_a_cfg_of_the_bundled_network_changes_how_it_is_used_and_not_its_names(
    tmp_path: Path, hopper_path: Path
) -> None:
    run = fastyolo("detect", hopper_path, "-f", "json", "--cfg", official(tmp_path))
    assert run.stderr == ""
    assert [row["name"] for row in json.loads(run.stdout)[0]["detections"]] == ["person", "tie"]


def test_letter_box_is_followed_and_said_and_an_option_wins(tmp_path: Path, hopper_path: Path) -> None:
    cfg = official(tmp_path, "[net]", "[net]\nletter_box=1")
    letterbox = fastyolo("detect", hopper_path, "-f", "json", "--resize", "letterbox")
    stretch = fastyolo("detect", hopper_path, "-f", "json")
    followed = fastyolo("detect", hopper_path, "-f", "json", "--cfg", cfg)
    assert boxes(followed.stdout) == boxes(letterbox.stdout) != boxes(stretch.stdout)
    assert "but 'letterbox' is given; using 'letterbox'" in one_line(followed.stderr)
    assert boxes(fastyolo("detect", hopper_path, "-f", "json", "--cfg", cfg, "--resize", "stretch").stdout) == boxes(
        stretch.stdout
    )


def boxes(stdout: str) -> list[list[float]]:
    return [row["xyxy"] for row in json.loads(stdout)[0]["detections"]]


def test_every_class_of_a_box_on_request(hopper_path: Path) -> None:
    best, every = (
        json.loads(fastyolo("detect", hopper_path, "-f", "json", "--conf", "0.001", *option).stdout)[0]["detections"]
        for option in ((), ("--every-class",))
    )
    assert len({tuple(row["xyxy"]) for row in every}) < len(every)
    assert len(best) < len(every)


def test_a_slip_in_a_cfg_is_one_line(tmp_path: Path, hopper_path: Path) -> None:
    cfg = official(tmp_path, "nms_kind", "nms_knid")
    run = fastyolo("detect", hopper_path, "--cfg", cfg)
    assert run.returncode == 0
    assert "Darknet knows no 'nms_knid' in [yolo]" in one_line(run.stderr)
    scored = fastyolo("evaluate", "--images", tmp_path, "--annotations", tmp_path / "gone.json", "--cfg", cfg)
    assert scored.stderr.splitlines()[0].startswith("fastyolo: warning: yolov4-tiny.cfg line ")
    dry = fastyolo("export", cfg, "--dry-run")
    assert dry.returncode == 0
    assert "did you mean nms_kind?" in one_line(dry.stderr)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ((conv(4), "[maxpool]\nsize=2\nantialiasing=1\n", head("0", 2)), "line 15: expected antialiasing=0, got 1"),
        ((conv(4), "[maxpool]\npadding=2\nsize=2\n", head("0", 2)), "expected padding from 0 to 1, got 2"),
        ((conv(4), head("0", 2, more="nms_kind=diounms\nbeta_nms=1")), "expected beta_nms=0.6 with nms_kind=diounms"),
        ((conv(7), "[region]\nclasses=2\n"), "layer [region] cannot be exported: it is the head of YOLOv2"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_line_and_no_file(tmp_path: Path, layers: tuple[str, ...], said: str) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(*layers))
    weights = tmp_path / "net.weights"
    weights.write_bytes(bytes(20))
    for arguments in ((cfg, "--dry-run"), (cfg, weights, "--output", tmp_path / "out")):
        run = fastyolo("export", *arguments)
        assert run.returncode == 1
        assert said in one_line(run.stderr)
    assert not (tmp_path / "out").exists()


def test_info_says_how_the_model_is_used() -> None:
    assert "use          stretch, NMS iou" in fastyolo("info").stdout.splitlines()


def test_the_nms_of_a_cfg_is_in_the_model_file_unless_an_option_wins(tmp_path: Path, float_model: Path) -> None:
    assert "use          stretch, NMS diou" in fastyolo("info", "--model", float_model).stdout.splitlines()
    cfg, weights = write_network(tmp_path, smallest().replace("[net]\n", "[net]\nletter_box=1\n"))
    for options, use in (((), "letterbox, NMS iou"), (("--resize", "stretch", "--nms", "diou"), "stretch, NMS diou")):
        run = fastyolo("export", cfg, weights, "--format", "float32", "--output", tmp_path / "out", *options)
        assert run.returncode == 0, run.stderr
        (model,) = (tmp_path / "out").iterdir()
        assert f"use          {use}" in fastyolo("info", "--model", model).stdout.splitlines()
