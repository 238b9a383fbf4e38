"""docs/retrain.md from its first line to its last, on a network that others trained and labels such as Darknet has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from clips import make_clip
from fastyolo.names import COCO_NAMES
from places import REPOSITORY

pytestmark = pytest.mark.slow

PAGE = (REPOSITORY / "docs" / "retrain.md").read_text()
BOARDS_WHEEL = "fastyolo-0.1.0-cp311-abi3-manylinux_2_27_aarch64.whl"
EVALUATED = 24
CALIBRATED = 8


def lines() -> list[str]:
    """The page's commands; Yolo-Fastest is a network of 320 x 320."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return "".join(blocks).replace("my_416_", "my_320_").splitlines()


@pytest.fixture(scope="session")
def network(coco_dir: Path) -> Path:
    """A .cfg with its .weights beside it, which is no part of the project."""
    path = coco_dir.parent / "networks" / "yolo-fastest-1.1.cfg"
    if not path.exists():
        pytest.skip("needs the network, beside the COCO pictures")
    return path


@pytest.fixture
def training(network: Path, coco_dir: Path, tmp_path: Path) -> Path:
    """What Darknet's trainings leave: my.cfg, my_best.weights and data/."""
    shutil.copy(network, tmp_path / "my.cfg")
    shutil.copy(network.with_suffix(".weights"), tmp_path / "my_best.weights")
    data = tmp_path / "data"
    (data / "obj").mkdir(parents=True)
    trained = sorted((coco_dir / "train2017").glob("*.jpg"))[:CALIBRATED]
    (data / "train.txt").write_text("".join(f"{path}\n" for path in trained))
    (data / "valid.txt").write_text("".join(f"data/obj/{name}\n" for name in write_labelled(coco_dir, data / "obj")))
    (data / "obj.names").write_text("".join(f"{name}\n" for name in COCO_NAMES))
    rows = (
        "classes = 80",
        "train = data/train.txt",
        "valid = data/valid.txt",
        "names = data/obj.names",
        "backup = backup/",
    )
    (data / "obj.data").write_text("\n".join(rows))
    return tmp_path


def write_labelled(coco_dir: Path, folder: Path) -> list[str]:
    """Pictures of val2017 with YOLO labels beside them; their names."""
    document = json.loads((coco_dir / "instances_val2017_128.json").read_text())
    # COCO's ids have gaps; their order is that of Darknet's names.
    class_of = {id_: index for index, id_ in enumerate(sorted(entry["id"] for entry in document["categories"]))}
    images = document["images"][:EVALUATED]
    for image in images:
        shutil.copy(coco_dir / "val2017" / image["file_name"], folder)
        rows = []
        for entry in document["annotations"]:
            if entry["image_id"] == image["id"]:
                x, y, width, height = entry["bbox"]
                across, down = image["width"], image["height"]
                box = (x + width / 2) / across, (y + height / 2) / down, width / across, height / down
                rows.append(" ".join([str(class_of[entry["category_id"]]), *(f"{share:.6f}" for share in box)]))
        (folder / image["file_name"]).with_suffix(".txt").write_text("\n".join(rows))
    return [image["file_name"] for image in images]


@pytest.fixture
def board(tmp_path: Path, wheel: Path, coco_dir: Path) -> Path:
    """A folder for the board, which `scp` and `ssh` reach; its camera shows a picture, its pip needs no network."""
    home, commands = tmp_path / "board", tmp_path / "commands"
    (home / "bin").mkdir(parents=True)
    commands.mkdir()
    with Image.open(coco_dir / "val2017" / "000000000139.jpg") as picture:
        make_clip(home / "camera.mp4", [picture.convert("RGB").resize((640, 426))] * 3)
    (tmp_path / "dist").mkdir()
    shutil.copy(wheel, tmp_path / "dist")
    write(commands / "scp", f'for last; do :; done; [ "$last" = root@board: ] && cp "${{@:1:$#-1}}" {home}/')
    write(commands / "ssh", f'[ "$1" = root@board ] && shift && cd {home} && PATH={home}/bin:$PATH exec bash -c "$*"')
    write(
        home / "bin/pip", f'[ "$3" = av ] && exec {sys.executable} -m pip install -q --no-deps --target packages "$2"'
    )
    python = f"PYTHONPATH={home}/packages exec {sys.executable} -m fastyolo"
    write(home / "bin/fastyolo", f'[ -d packages/fastyolo ] && {python} "${{@/#camera/camera.mp4}}"')
    return home


def write(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/bash\n{line}\n")
    path.chmod(0o755)


# The network comes first: where it is missing, no wheel is built for nothing.
@pytest.mark.usefixtures("network", "board")
def test_the_page_from_a_training_to_a_board(training: Path, wheel: Path) -> None:
    ours = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{training / 'commands'}:{ours}:{os.environ['PATH']}"}
    said = []
    for line in lines():
        command = line.replace(BOARDS_WHEEL, wheel.name)
        run = subprocess.run(
            ["bash", "-c", command], cwd=training, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, f"{line}\n{run.stderr}"
        said.append(run.stdout)
    _, exported, real, integer, *_, frames = said
    assert exported.split() == [f"models/my_320_{kind}.tflite" for kind in ("float32", "int8", "quant")]
    assert ap50(real) > 20
    assert ap50(integer) > ap50(real) - 5
    assert any((training / "worst").iterdir())
    found = [json.loads(row) for row in frames.splitlines()]
    assert len(found) == 3
    assert {"tv", "tvmonitor"} & {entry["name"] for entry in found[0]["detections"]}


def ap50(text: str) -> float:
    """That of all classes, as `evaluate` prints it."""
    rows = [[cell.strip() for cell in row.split("|")] for row in text.splitlines() if row.startswith("|")]
    head = next(index for index, row in enumerate(rows) if "AP50" in row)
    return float(rows[head + 2][rows[head].index("AP50")])
