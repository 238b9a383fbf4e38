"""The script as NNStreamer's interpreter finds it: nothing of its environment on the path, messages on stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fastyolo.detector import BUNDLED_MODEL
from fastyolo.nnstreamer import SCRIPT

pytestmark = pytest.mark.pc("each process takes ten emulated seconds")

STANDIN = Path(__file__).parents[1] / "support" / "nnstreamer"
# NumPy is loaded by then, the distribution's own; the script's folder is appended, and the script imported by its name.
EMBEDDED = """
import sys, numpy
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + {paths!r}
from {script} import CustomFilter
import nnstreamer_python as nns
made = CustomFilter(*{words!r})
gives = made.setInputDim([nns.TensorShape([255, side, side, 1], numpy.int8) for side in (26, 13)])
result = made.invoke([numpy.full(side * side * 255, -128, numpy.int8) for side in (26, 13)])
assert [array.size for array in result] == [400, 100, 100, 1], result
assert made.invoke.__self__.__class__.__module__ == "fastyolo.nnstreamer.filter"
assert not {{"ai_edge_litert", "tflite_runtime", "PIL", "typer", "rich"}} & set(sys.modules)
{more}
"""


def embedded(*words: str, more: str = "", script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    code = EMBEDDED.format(paths=[str(STANDIN), str(script.parent)], script=script.stem, words=words, more=more)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


def test_it_finds_its_package_and_says_nothing() -> None:
    run = embedded(f"model:{BUNDLED_MODEL}")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_an_error_is_one_line_on_stderr() -> None:
    for words, more, message in [
        (("model:/none.tflite",), "", "fastyolo: cannot read model /none.tflite: No such file or directory\n"),
        (
            (f"model:{BUNDLED_MODEL}",),
            "made.invoke([])",
            "fastyolo: this frame must have heads int8 (172380,), int8 (43095,), got none",
        ),
        ((), "", "fastyolo: heads are int8, and what their bytes mean is in the model's file"),
    ]:
        run = embedded(*words, more=more)
        assert run.returncode == 1
        assert run.stdout == ""
        assert run.stderr.startswith(message)
        assert run.stderr.count("\n") == 1


def test_others_exceptions_are_shown_as_before() -> None:
    run = embedded(f"model:{BUNDLED_MODEL}", more="raise ValueError('not ours')")
    assert run.stderr.startswith("Traceback")
    assert run.stderr.endswith("ValueError: not ours\n")


def test_a_package_built_for_another_python_is_one_line(tmp_path: Path) -> None:
    import shutil

    package = SCRIPT.parents[2]
    shutil.copytree(package, tmp_path / "fastyolo", ignore=shutil.ignore_patterns("*.so", "models"))
    run = embedded(script=tmp_path / "fastyolo" / SCRIPT.relative_to(package))
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith(f"fastyolo: cannot be loaded by NNStreamer's Python {sys.version_info.major}.")
    assert "install fastyolo's wheel for that Python" in run.stderr
