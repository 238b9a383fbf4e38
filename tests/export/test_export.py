"""`export()` from files to files."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from darknet_networks import smallest, tiny, write_network
from fastyolo import Detector, ExportError, FastYoloError, ModelSpec, OptionError, SpecError
from fastyolo.export import ExportResult, export
from fastyolo.metadata import read_metadata


@pytest.fixture
def network(tmp_path: Path) -> tuple[Path, Path]:
    return write_network(tmp_path, tiny(64, 96, 2), name="cats")


@pytest.fixture
def small_network(tmp_path: Path) -> tuple[Path, Path]:
    return write_network(tmp_path, smallest(64, 96, 2), name="cats")


@pytest.fixture
def calibration(tmp_path: Path, noise: Path) -> Path:
    """Eight pictures that a test may spoil."""
    return Path(shutil.copytree(noise, tmp_path / "pictures"))


class Exported(NamedTuple):
    """An export, and what it was called with and reported."""

    network: tuple[Path, Path]
    calibration: Path
    folder: Path
    result: ExportResult
    progress: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, noise: Path) -> Exported:
    network = write_network(tmp_path_factory.mktemp("network"), tiny(64, 96, 2), name="cats")
    folder = tmp_path_factory.mktemp("exported") / "new" / "out"
    calls: list[tuple[str, int, int]] = []
    result = export(
        *network,
        output_dir=folder,
        calibration=noise,
        names=["tom", "felix"],
        progress=lambda *call: calls.append(call),
    )
    return Exported(network, noise, folder, result, calls)


def test_three_files_come_out_and_describe_themselves(exported: Exported) -> None:
    network, calibration, folder, result, _ = exported
    names = ["cats_64x96_float32.tflite", "cats_64x96_int8.tflite", "cats_64x96_quant.tflite"]
    assert [path.name for path in result.paths.values()] == names
    assert sorted(path.name for path in folder.iterdir()) == names
    assert set(result.seconds) == {"read", "calibrate", "quantise", "report", "write"}
    for path in result.paths.values():
        assert ModelSpec.from_model(path) == result.spec == ModelSpec.from_cfg(network[0], names=["tom", "felix"])
        metadata = read_metadata(path)
        assert metadata["outputs"] == ["head_4x6", "head_8x12"]
        assert metadata["source"]["weights_sha256"] == hashlib.sha256(network[1].read_bytes()).hexdigest()
        assert metadata["calibration"]["count"] == 8
        first = calibration / "0.png"
        assert metadata["calibration"]["files"][0] == {
            "name": "0.png",
            "sha256": hashlib.sha256(first.read_bytes()).hexdigest(),
        }
        with zipfile.ZipFile(path) as archive:
            assert json.loads(archive.read("metadata.json")) == metadata


def test_detectors_of_the_three_files_agree(exported: Exported) -> None:
    for path in exported.result.paths.values():
        detector = Detector(path, score_threshold=0.01)
        assert detector.names == ("tom", "felix")
        assert len(detector(exported.calibration / "0.png")) > 0


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, exported: Exported) -> None:
    again = export(
        *exported.network,
        output_dir=tmp_path,
        calibration=exported.calibration,
        names=["tom", "felix"],
        formats=["int8"],
    )
    assert again.paths["int8"].read_bytes() == exported.result.paths["int8"].read_bytes()


def test_without_calibration_only_float_comes_out(tmp_path: Path, network: tuple[Path, Path]) -> None:
    result = export(*network, output_dir=tmp_path)
    assert list(result.paths) == ["float32"]
    assert Detector(result.paths["float32"]).names == ("class 0", "class 1")
    assert "calibration" not in read_metadata(result.paths["float32"])


def test_the_geometry_of_calibration_is_that_of_inference(
    tmp_path: Path, small_network: tuple[Path, Path], calibration: Path
) -> None:
    result = export(*small_network, output_dir=tmp_path, calibration=calibration, resize="letterbox", formats=["int8"])
    assert Detector(result.paths["int8"]).resize == "letterbox"


def test_another_input_size_is_that_of_another_cfg(tmp_path: Path, network: tuple[Path, Path]) -> None:
    result = export(*network, output_dir=tmp_path, input_size=(32, 128))
    assert result.paths["float32"].name == "cats_32x128_float32.tflite"
    resized = tmp_path / "resized" / "cats.cfg"
    resized.parent.mkdir()
    resized.write_text(tiny(32, 128, 2))
    wanted = export(resized, network[1], output_dir=tmp_path / "resized").paths["float32"]
    assert result.paths["float32"].read_bytes() == wanted.read_bytes()
    for size in ((40, 64), (64, -64), (0, 64), (64, 16400)):
        with pytest.raises(
            OptionError, match=f"must be a multiple of 16 up to 16384 each way, got {size[0]}x{size[1]}"
        ):
            export(*network, output_dir=tmp_path, input_size=size)


def test_all_files_are_written_or_none(tmp_path: Path, small_network: tuple[Path, Path], calibration: Path) -> None:
    (tmp_path / "out" / "cats_64x96_quant.tflite").mkdir(parents=True)
    with pytest.raises(FastYoloError, match=r"cannot write .*cats_64x96_quant.tflite: it is a folder"):
        export(*small_network, output_dir=tmp_path / "out", calibration=calibration)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cats_64x96_quant.tflite"]


def test_progress_counts_every_picture(exported: Exported) -> None:
    pictures = [("calibrate", done, 8) for done in range(9)]
    assert exported.progress == pictures + [("quantise", done, 11) for done in range(12)]


def test_the_official_network_needs_no_files(tmp_path: Path, official_weights: Path) -> None:
    result = export(output_dir=tmp_path, offline=True)
    assert result.paths["float32"].name == "yolov4-tiny_416_float32.tflite"
    assert ModelSpec.from_model(result.paths["float32"]) == ModelSpec.yolov4_tiny(nms="diou")


def test_calibration_may_list_files_and_patterns(
    tmp_path: Path, small_network: tuple[Path, Path], calibration: Path
) -> None:
    arguments = [calibration / "7.png", str(calibration / "[0-6].png")]
    result = export(*small_network, output_dir=tmp_path, calibration=arguments, formats=["int8"])
    files = read_metadata(result.paths["int8"])["calibration"]["files"]
    assert [file["name"] for file in files] == [f"{index}.png" for index in range(8)]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "3.png").unlink(), "calibration needs at least 8 pictures .*, got 7"),
        (lambda folder: (folder / "3.png").write_text("not a picture"), "3.png"),
        (lambda folder: (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:2000]), "3.png"),
        (lambda folder: [path.unlink() for path in folder.iterdir()], "cannot calibrate: .* has no pictures in it"),
    ],
    ids=["too few", "no picture", "cut off", "none"],
)
def test_bad_calibration_is_one_line_and_leaves_no_file(
    tmp_path: Path, network: tuple[Path, Path], calibration: Path, break_it: object, message: str
) -> None:
    assert callable(break_it)
    break_it(calibration)
    with pytest.raises(FastYoloError, match=message) as caught:
        export(*network, output_dir=tmp_path / "out", calibration=calibration)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_options_that_do_not_fit_are_refused(tmp_path: Path, network: tuple[Path, Path], calibration: Path) -> None:
    with pytest.raises(OptionError, match=r"both its \.cfg and its \.weights"):
        export(network[0], output_dir=tmp_path)
    with pytest.raises(OptionError, match="format int8 needs calibration pictures"):
        export(*network, output_dir=tmp_path, formats=["int8"])
    with pytest.raises(OptionError, match="formats must be of float32, int8, quant, got 'int4'"):
        export(*network, output_dir=tmp_path, formats=["int4"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="resize must be"):
        export(*network, output_dir=tmp_path, resize="crop")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="expected 2 class names, got 1"):
        export(*network, output_dir=tmp_path, names=["tom"])


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, network: tuple[Path, Path]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"cannot create .*file/out: Not a directory"):
        export(*network, output_dir=tmp_path / "file" / "out")


def test_without_litert_one_line_says_what_to_install(network: tuple[Path, Path]) -> None:
    program = (
        "import sys; sys.modules['ai_edge_litert'] = None\n"
        "from fastyolo import ExportError\n"
        "from fastyolo.export import export\n"
        f"try: export({str(network[0])!r}, {str(network[1])!r}, output_dir='.')\n"
        "except ExportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "export needs LiteRT: pip install ai-edge-litert\n"
