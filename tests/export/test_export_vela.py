"""Compiling for the NPU, with the real Vela and with ones that misbehave."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command import fastyolo, one_line
from darknet_networks import smallest, tiny, write_network
from fastyolo import Detector, ExportError, ModelError, ModelSpec, OptionError
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.export import export, vela
from fastyolo.export.vela import Compiled, Operator, compile_model
from fastyolo.flatfile import read_flatfile
from fastyolo.metadata import read_metadata
from pipeline import Element


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compiled]:
    return compile_model(BUNDLED_MODEL, target="imx93", output_dir=tmp_path_factory.mktemp("npu"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, noise: Path) -> dict[str, Path]:
    """A small network in all three formats."""
    folder = tmp_path_factory.mktemp("files")
    return dict(export(*write_network(folder, tiny()), output_dir=folder, calibration=noise).paths)


def test_the_npu_takes_all_of_yolov4_tiny(compiled: tuple[Path, Compiled]) -> None:
    path, result = compiled
    assert path.name == "yolov4-tiny_416_int8_vela.tflite"
    assert path.read_bytes() == result.content
    assert (result.npu_operators, result.cpu_operators) == (60, ())
    assert 10 < result.milliseconds < 50
    assert 0 < result.sram_bytes <= 384 * 1024
    assert result.assumptions == "Ethos-U65-256 at 1 GHz with 384 KiB of SRAM and 3.75 GB/s from the DRAM"


def test_the_compiled_file_describes_itself(compiled: tuple[Path, Compiled]) -> None:
    path, result = compiled
    assert ModelSpec.from_model(path) == ModelSpec.yolov4_tiny()
    metadata = read_metadata(path)
    source = read_metadata(BUNDLED_MODEL)
    assert {key: metadata[key] for key in source} == source
    record = metadata["compiled"]
    assert record["target"] == "imx93"
    assert record["compiler"] == result.compiler
    assert record["source_sha256"] == hashlib.sha256(BUNDLED_MODEL.read_bytes()).hexdigest()


def test_a_pipeline_reads_the_scales_of_the_compiled_file(compiled: tuple[Path, Compiled]) -> None:
    before, after = read_flatfile(BUNDLED_MODEL), read_flatfile(compiled[0])
    assert after.custom_operators == ("ethos-u",)
    assert {tensor.shape: (tensor.dtype, tensor.scales, tensor.zero_points) for tensor in after.outputs} == {
        tensor.shape: (tensor.dtype, tensor.scales, tensor.zero_points) for tensor in before.outputs
    }
    heads = [np.zeros(tensor.shape, np.int8) for tensor in after.outputs]
    ssd, expected = (Element(f"model:{path}", heads)(heads) for path in (compiled[0], BUNDLED_MODEL))
    for ours, theirs in zip(ssd, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_the_delegate_one_line_says_what_is_missing(compiled: tuple[Path, Compiled], hopper_path: Path) -> None:
    message = "is compiled by Vela for the Ethos-U of the i.MX 93 and runs nowhere else: use --device ethosu there"
    with pytest.raises(ModelError, match=message):
        Detector(compiled[0])
    run = fastyolo("detect", hopper_path, "--model", compiled[0])
    assert run.returncode == 1
    assert message in one_line(run.stderr)


def test_a_model_without_metadata_compiles_too(tmp_path: Path, files: dict[str, Path]) -> None:
    content = files["int8"].read_bytes()
    (tmp_path / "bare.tflite").write_bytes(content[: content.rindex(b"PK\x03\x04")])
    path, result = compile_model(tmp_path / "bare.tflite", output_dir=tmp_path / "out")
    assert result.cpu_operators == ()
    with pytest.raises(ModelError, match="carries no fastyolo metadata"):
        read_metadata(path)


def test_the_command_prints_the_path_and_says_the_figures(tmp_path: Path, files: dict[str, Path]) -> None:
    run = fastyolo("compile", files["int8"], "--target", "imx93", "--output", tmp_path / "model_imx93")
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{tmp_path / 'model_imx93' / 'net_64x96_int8_vela.tflite'}\n"
    figures, basis = run.stderr.splitlines()
    assert "NPU operators 29, CPU operators 0; estimated " in figures
    assert "KiB of SRAM" in figures
    assert "assuming Ethos-U65-256 at 1 GHz" in basis


def test_operators_left_on_the_cpu_are_named(tmp_path: Path, files: dict[str, Path]) -> None:
    run = fastyolo("compile", files["quant"], "-o", tmp_path)
    assert run.returncode == 0
    first, second, figures, _ = run.stderr.splitlines()
    assert {first, second} == {f"fastyolo: warning: the CPU runs DEQUANTIZE of head_{grid}" for grid in ("4x6", "8x12")}
    assert "NPU operators 29, CPU operators 2" in figures


def test_debug_shows_what_vela_says(tmp_path: Path, files: dict[str, Path]) -> None:
    run = fastyolo("compile", files["int8"], "-o", tmp_path, "--debug")
    assert "Network summary for model" in run.stderr
    assert run.stdout.count("\n") == 1


def test_one_command_exports_and_compiles(tmp_path: Path, noise: Path) -> None:
    network = write_network(tmp_path, smallest(), name="cats")
    run = fastyolo("export", *network, "-o", tmp_path / "out", "--calibration", noise, "--target", "imx93")
    assert run.returncode == 0, run.stderr
    names = [str(Path(line).relative_to(tmp_path / "out")) for line in run.stdout.splitlines()]
    assert names == [
        "cats_64x96_float32.tflite",
        "cats_64x96_int8.tflite",
        "cats_64x96_quant.tflite",
        "model_imx93/cats_64x96_int8_vela.tflite",
    ]
    assert all((tmp_path / "out" / name).is_file() for name in names)
    assert "CPU operators 0" in run.stderr
    assert "compile " in run.stderr.splitlines()[-1]
    int8 = tmp_path / "out" / names[1]
    assert read_metadata(tmp_path / "out" / names[3])["compiled"]["source_sha256"] == _sha256(int8)


def test_where_only_the_quant_file_is_asked_for_it_is_compiled(tmp_path: Path, noise: Path) -> None:
    network = write_network(tmp_path, tiny())
    result = export(*network, output_dir=tmp_path, calibration=noise, formats=["quant"], target="imx93")
    assert result.compiled is not None
    path, compiled = result.compiled
    assert path == tmp_path / "model_imx93" / "net_64x96_quant_vela.tflite"
    assert compiled.cpu_operators == (Operator("DEQUANTIZE", "head_4x6"), Operator("DEQUANTIZE", "head_8x12"))


def test_a_target_needs_an_int8_file_and_must_be_known(tmp_path: Path, noise: Path) -> None:
    network = write_network(tmp_path, tiny())
    with pytest.raises(OptionError, match="target imx93 needs the format int8 or quant"):
        export(*network, output_dir=tmp_path, target="imx93")
    with pytest.raises(OptionError, match="target must be imx8mp, imx93, got 'imx8'"):
        export(*network, output_dir=tmp_path, calibration=noise, target="imx8")  # type: ignore[arg-type]


def bad_models(files: dict[str, Path], compiled: Path) -> dict[str, tuple[bytes, str]]:
    int8 = files["int8"].read_bytes()
    return {
        "float": (files["float32"].read_bytes(), "must be an int8 model, got one of whose 29 operators the NPU takes"),
        "compiled": (compiled.read_bytes(), "must be a model that is not compiled yet, got one with the operator etho"),
        "cut off": (int8[: len(int8) // 2], "is not a whole TFLite model"),
        "cut short": (int8[:20], "is not a whole TFLite model"),
        "empty": (b"", "is not a TFLite model: expected 'TFL3' at byte 4, got b''"),
        "other": (b"not a model at all", "is not a TFLite model"),
    }


@pytest.mark.parametrize("kind", ["float", "compiled", "cut off", "cut short", "empty", "other"])
def test_what_cannot_be_compiled_is_one_line_and_leaves_no_file(
    tmp_path: Path, files: dict[str, Path], compiled: tuple[Path, Compiled], kind: str
) -> None:
    content, message = bad_models(files, compiled[0])[kind]
    (tmp_path / "model.tflite").write_bytes(content)
    run = fastyolo("compile", "model.tflite", "-o", "out", cwd=tmp_path)
    assert run.returncode == 1
    assert message in one_line(run.stderr)
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for name, reason in (("gone.tflite", "No such file"), (".", "expected a file, got a folder")):
        run = fastyolo("compile", name, cwd=tmp_path)
        assert run.returncode == 1
        assert reason in one_line(run.stderr)


SUMMARY = "mkdir out; echo inference_time,sram_memory_used > out/model_summary_x.csv"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo some chatter; echo 'Error: no such luck'; exit 1", "Error: no such luck"),
        ("exit 3", "it ended with code 3"),
        ("kill -SEGV $$", r"it crashed \(Segmentation fault\)"),
        ("exec sleep 30", "not done after 0.5 seconds"),
        ("exit 0", "expected"),
        (f"{SUMMARY}; echo 0.1,5 >> out/model_summary_x.csv", "No such file"),
        (f"{SUMMARY}; echo 0.1,5 >> out/model_summary_x.csv; cp model.tflite out/model_vela.tflite", "must be an int8"),
    ],
    ids=["error", "code", "crash", "endless", "no result", "no model", "unchanged"],
)
def test_a_vela_that_fails_is_one_line_and_leaves_no_file(
    tmp_path: Path,
    files: dict[str, Path],
    noise: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    reason: str,
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    monkeypatch.setattr(vela, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(ExportError, match=reason) as caught:
        compile_model(files["int8"], output_dir=tmp_path / "out")
    assert "\n" not in str(caught.value)
    network = write_network(tmp_path, smallest())
    with pytest.raises(ExportError, match=reason):
        export(*network, output_dir=tmp_path / "out", calibration=noise, target="imx93")
    assert not (tmp_path / "out").exists()


def test_a_summary_in_other_words_is_one_line(
    tmp_path: Path, files: dict[str, Path], compiled: tuple[Path, Compiled], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = compiled[1].content
    bare = content[: content.rindex(b"PK\x03\x04")]
    monkeypatch.setattr(vela, "_run_vela", lambda *arguments: (bare, {"inference_time": "soon"}))
    with pytest.raises(ExportError, match="wrote a summary that cannot be read: ValueError could not convert"):
        compile_model(files["int8"], output_dir=tmp_path)


def test_without_vela_one_line_says_what_to_install(files: dict[str, Path]) -> None:
    program = (
        "import sys; sys.modules['ethosu'] = None\n"
        "from fastyolo import ExportError\n"
        "from fastyolo.export.vela import compile_model\n"
        f"try: compile_model({str(files['int8'])!r}, output_dir='.')\n"
        "except ExportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "compiling needs Arm's Vela: pip install ethos-u-vela\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
