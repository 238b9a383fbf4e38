"""What importing costs: nothing that decoding or --help does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "ai_edge_litert",
    "tflite_runtime",
    "tensorflow",
    "PIL",
    "pycocotools",
    "cv2",
    "rich",
    "matplotlib",
    "flatbuffers",
)


def loaded_after(code: str) -> set[str]:
    """The top-level names in sys.modules after `code` ran in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint('MODULES', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in run.stdout.splitlines()[-1].split()[1:]}


def test_import_fastyolo_loads_not_even_numpy() -> None:
    assert not loaded_after("import fastyolo") & {*HEAVY, "numpy", "typer"}


def test_decoding_loads_numpy_and_nothing_heavy() -> None:
    loaded = loaded_after("import fastyolo; fastyolo.decode_nms; fastyolo.Decoder; fastyolo.ModelSpec")
    assert "numpy" in loaded
    assert not loaded & {*HEAVY, "typer"}


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "detect --help",
        "export --help",
        "compile --help",
        "evaluate --help",
        "info --help",
        "nnstreamer --help",
    ],
)
def test_help_loads_nothing_heavy(command: str) -> None:
    loaded = loaded_after(
        f"from fastyolo.cli import main\ntry:\n    main({command.split()!r})\nexcept SystemExit: pass"
    )
    # Typer draws its help with rich.
    assert not loaded & ({*HEAVY, "numpy"} - {"rich"})


def test_evaluating_loads_its_extras_late() -> None:
    loaded = loaded_after("import fastyolo.evaluate.run, fastyolo.evaluate.ladder, fastyolo.evaluate.charts")
    assert not loaded & {"pycocotools", "matplotlib", "PIL", "typer", "rich", "ai_edge_litert"}


def test_detecting_loads_no_drawing() -> None:
    code = "import fastyolo, numpy; fastyolo.Detector()(numpy.zeros((8, 8, 3), 'u1'))"
    assert not loaded_after(code) & {"pycocotools", "cv2", "matplotlib", "PIL", "typer"}


def test_unknown_names_are_attribute_errors() -> None:
    import fastyolo

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fastyolo.nonsense  # noqa: B018
    assert {"Detector", "decode_nms", "__version__"} <= set(dir(fastyolo))


def test_the_script_for_nnstreamer_loads_no_runtime_and_no_command_line() -> None:
    code = "import fastyolo.nnstreamer.filter; from fastyolo.nnstreamer import SCRIPT; assert SCRIPT.is_file()"
    assert not loaded_after(code) & {*HEAVY, "typer"}
