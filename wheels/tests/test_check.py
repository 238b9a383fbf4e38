"""Good wheels pass; a wheel broken in one place is refused for that reason and no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from breaking import compiled, member, rebuilt
from check import NEEDED, check, main

TAGS = ("cp310-cp310-aarch64", "cp310-cp310-x86_64", "cp311-abi3-aarch64", "cp311-abi3-x86_64")
FULL, ABI3 = "cp310-cp310-x86_64", "cp311-abi3-x86_64"
EXTENSION = "fastyolo/kernels/postprocess.abi3.so"


@pytest.mark.parametrize("tag", TAGS)
def test_what_was_built_is_as_it_should_be(wheels: dict[str, Path], tag: str) -> None:
    assert check(wheels[tag]) == []


def test_breaking_nothing_breaks_nothing(wheels: dict[str, Path], tmp_path: Path) -> None:
    assert check(rebuilt(wheels[ABI3], tmp_path, {})) == []


@pytest.mark.parametrize("needed", NEEDED)
def test_a_missing_file(wheels: dict[str, Path], tmp_path: Path, needed: str) -> None:
    name, _ = member(wheels[ABI3], needed)
    problems = check(rebuilt(wheels[ABI3], tmp_path, {name: None}))
    assert f"lacks {needed}" in problems
    assert len(problems) == (2 if needed.endswith("METADATA") else 1)


@pytest.mark.parametrize(
    "unwanted",
    ["fastyolo/kernels/postprocess.pyx", "fastyolo/x.c", "tests/x.py", "fastyolo/__pycache__/x.pyc"],
)
def test_a_file_that_does_not_belong_there(wheels: dict[str, Path], tmp_path: Path, unwanted: str) -> None:
    broken = rebuilt(wheels[FULL], tmp_path, {unwanted: b"x"})
    assert check(broken) == [f"holds {unwanted}, which does not belong there"]


def test_a_library_for_another_machine(wheels: dict[str, Path], tmp_path: Path) -> None:
    _, foreign = member(wheels[ABI3], EXTENSION)
    broken = rebuilt(wheels["cp311-abi3-aarch64"], tmp_path, {EXTENSION: foreign})
    assert f"{EXTENSION}: is for x86_64, the wheel for aarch64" in check(broken)


def test_a_library_with_another_machines_name(wheels: dict[str, Path], tmp_path: Path) -> None:
    """What a cross build gives that was not told the suffix."""
    wheel = wheels["cp310-cp310-aarch64"]
    name, content = member(wheel, "preprocess.cpython-310-aarch64-linux-gnu.so")
    (problem,) = check(rebuilt(wheel, tmp_path, {name: None, name.replace("aarch64", "x86_64"): content}))
    assert problem.startswith("holds the libraries ['fastyolo/kernels/postprocess.cpython-310-aarch64-linux-gnu.so', ")


def test_a_name_that_claims_an_older_glibc(wheels: dict[str, Path], tmp_path: Path) -> None:
    name, content = member(wheels[ABI3], ".dist-info/WHEEL")
    older = wheels[ABI3].name.replace("manylinux_2_27", "manylinux_2_17")
    broken = rebuilt(wheels[ABI3], tmp_path, {name: content.replace(b"_2_27", b"_2_17")}, name=older)
    problems = check(broken)
    assert f"{EXTENSION}: needs logf of glibc 2.27, the wheel claims 2.17" in problems
    assert all("the wheel claims 2.17" in problem for problem in problems)


def test_a_name_that_its_inside_contradicts(wheels: dict[str, Path], tmp_path: Path) -> None:
    renamed = wheels[ABI3].name.replace("cp311-abi3", "cp312-abi3")
    (problem,) = check(rebuilt(wheels[ABI3], tmp_path, {}, name=renamed))
    assert problem.startswith("says ['cp311-abi3-manylinux_2_27_x86_64'] inside and ['cp312-abi3-")


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("double log(double); double f(double x) { return log(x); }", ["-s", "-lm"], "needs log of glibc 2.29"),
        ("float logf(float); float f(float x) { return logf(x); }", ["-s"], "has logf undefined, without a version"),
        ("int f(void) { return 1; }", ["-g"], "is not stripped: has .symtab"),
        ("const char *f(void) { return \"/home/me/fastyolo/x.c\"; }", ["-s"], "holds the path /home/me/fastyolo/x.c"),
        ("int f(void) { return 1; }", ["-s", "-Wl,-rpath,/opt/python/lib"], "holds the path /opt/python/lib"),
        # PyUnicode_AsUTF8 is in every Python, in the stable ABI only since 3.13.
        (
            "void *PyUnicode_AsUTF8(void*); void *f(void *x) { return PyUnicode_AsUTF8(x); }",
            ["-s"],
            "uses PyUnicode_AsUTF8, which is not in the stable ABI of 3.11",
        ),
        (
            "int PyList_Extend(void*, void*); int f(void *x) { return PyList_Extend(x, x); }",
            ["-s"],
            "uses PyList_Extend, which Python 3.11 does not export",
        ),
    ],
)  # fmt: skip
def test_a_library_that_asks_for_too_much(
    wheels: dict[str, Path], tmp_path: Path, source: str, options: list[str], said: str
) -> None:
    broken = rebuilt(wheels[ABI3], tmp_path, {EXTENSION: compiled(tmp_path, source, *options)})
    problems = check(broken)
    assert any(problem.startswith(f"{EXTENSION}: {said}") for problem in problems), problems
    assert all(problem.startswith(EXTENSION) for problem in problems)


def test_a_library_that_needs_another_one(wheels: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "libother.so").write_bytes(compiled(tmp_path, "int other(void) { return 1; }"))
    content = compiled(tmp_path, "int f(void) { return 1; }", "-s", "-Wl,--no-as-needed", "-L.", "-lother")
    broken = rebuilt(wheels[ABI3], tmp_path, {EXTENSION: content})
    assert check(broken) == [f"{EXTENSION}: needs libother.so"]


def test_no_library_at_all_under_its_name(wheels: dict[str, Path], tmp_path: Path) -> None:
    (problem,) = check(rebuilt(wheels[ABI3], tmp_path, {EXTENSION: b"no library"}))
    assert problem.startswith(f"{EXTENSION}: is no ELF library")


def test_a_file_changed_behind_the_record(wheels: dict[str, Path], tmp_path: Path) -> None:
    broken = rebuilt(wheels[ABI3], tmp_path, {"fastyolo/py.typed": b"x"}, new_record=False)
    assert check(broken) == ["RECORD does not have the hash of fastyolo/py.typed"]


def test_a_wheel_too_large_for_a_board(wheels: dict[str, Path], tmp_path: Path) -> None:
    (problem,) = check(rebuilt(wheels[ABI3], tmp_path, {"fastyolo/models/other.tflite": os.urandom(8_000_000)}))
    assert "expected less than 8000000" in problem


def test_what_is_no_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fastyolo-0.1.0-cp311-abi3-manylinux_2_27_x86_64.whl"
    path.write_bytes(b"no archive")
    assert main([str(path)]) == 1
    assert "is no wheel: File is not a zip file" in capsys.readouterr().out
    assert main([]) == 1
