"""What makes a run on the emulated A53 worth something: instructions that a Cortex-A53 lacks kill the program there."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from boards import A53, A55, Board, python_command
from comparing import compare
from tools import program, python_for_building

# An extension whose answer needs one dot-product instruction, for the stable ABI like our own.
SOURCE = """
#include <Python.h>
#include <arm_neon.h>

static PyObject *answer(PyObject *self, PyObject *number)
{
    int8_t bytes[16];
    for (int index = 0; index < 16; index++)
        bytes[index] = (int8_t)PyLong_AsLong(number);
    int8x16_t values = vld1q_s8(bytes);
    return PyLong_FromLong(vaddvq_s32(vdotq_s32(vdupq_n_s32(0), values, values)));
}

static PyMethodDef methods[] = {{"answer", answer, METH_O, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "dotted", NULL, -1, methods};
PyMODINIT_FUNC PyInit_dotted(void) { return PyModule_Create(&module); }
"""


@pytest.fixture(scope="module")
def dotted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the extension, compiled for the A55."""
    folder = tmp_path_factory.mktemp("dotted")
    (folder / "dotted.c").write_text(SOURCE)
    python = python_for_building((3, 11))
    headers = subprocess.check_output(
        [python.executable, "-c", "import sysconfig; print(sysconfig.get_paths()['include'])"], text=True
    )
    compiler = program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    command = [compiler, "-O3", "-mcpu=cortex-a55", "-DPy_LIMITED_API=0x030B0000", "-I", headers.strip(), "-shared"]
    subprocess.run([*command, "-fPIC", "-o", folder / "dotted.abi3.so", folder / "dotted.c"], check=True)
    listing = subprocess.check_output(["aarch64-linux-gnu-objdump", "-d", folder / "dotted.abi3.so"], text=True)
    assert "sdot" in listing
    return folder


def run(board: Board, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*python_command(board), "-S", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_a55_has_dot_products(dotted: Path) -> None:
    assert run(A55, dotted, "import dotted; print(dotted.answer(3))").stdout == "144\n"


def test_the_a53_dies_of_dot_products_and_of_nothing_else(dotted: Path) -> None:
    assert run(A53, dotted, "import dotted; print('loaded')").stdout == "loaded\n"
    died = run(A53, dotted, "import dotted; print(dotted.answer(3))")
    assert died.returncode == -signal.SIGILL
    assert died.stdout == ""


def test_a_detection_counts_as_equal_only_if_class_place_and_score_are() -> None:
    tie = {"name": "tie", "confidence": 0.57, "xyxy": [228.0, 443.0, 291.0, 534.0]}
    assert compare([tie], [{**tie, "confidence": 0.59}]) == (1, [])
    for other in ({"name": "dog"}, {"confidence": 0.61}, {"xyxy": [228.0, 443.0, 291.0, 544.0]}):
        equal, problems = compare([tie], [{**tie, **other}])
        assert equal == 0
        assert len(problems) == 2
    assert compare([tie, tie], [tie])[0] == 1
    assert len(compare([], [tie])[1]) == 1
