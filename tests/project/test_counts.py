"""The gate on executed instructions: this build against the record, and that no silent failure passes it."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import counts

pytestmark = pytest.mark.slow

ONE_CASE = "decode hopper, 0.25, int8"


@pytest.fixture(scope="module")
def package(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return counts.build(tmp_path_factory.mktemp("profile"), wheel)


@pytest.fixture(scope="module")
def counted(package: Path) -> dict[str, int]:
    """Every case."""
    return counts.count(package)


@pytest.fixture
def recorded() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = json.loads(counts.RECORD.read_text())
    return content


def test_the_kernels_execute_as_many_instructions_as_recorded(
    package: Path, counted: dict[str, int], recorded: dict[str, Any]
) -> None:
    found = {"build": counts.describe(package), "counts": counted}
    assert counts.compare(found, recorded) == []


def test_counting_twice_gives_the_same_number(package: Path, counted: dict[str, int]) -> None:
    again = counts.count(package, only=ONE_CASE)
    assert list(again) == [ONE_CASE]
    assert again[ONE_CASE] == counted[ONE_CASE]


def test_a_stripped_kernel_is_refused(package: Path, tmp_path: Path) -> None:
    stripped = shutil.copytree(package, tmp_path / "package")
    for kernel in (stripped / "fastyolo/kernels").glob("*.so"):
        subprocess.run(["strip", kernel], check=True)
    with pytest.raises(counts.CountError, match=r"postprocess must have one function for Workspace\.run, found 0"):
        counts.count(stripped, only=ONE_CASE)
    with pytest.raises(counts.CountError, match="does not say which gcc and Cython made it"):
        counts.describe(stripped)


def test_a_function_that_is_never_seen_counts_0_and_is_refused(package: Path) -> None:
    with pytest.raises(counts.CountError, match="counted 0 instructions, but there must be at least 2535"):
        counts.count(package, toggles=["__pyx_f_8fastyolo_7kernels_11postprocess_inlined_away"], only=ONE_CASE)


def test_a_pattern_is_refused_for_it_could_match_a_nested_function_and_stop_counting_there(package: Path) -> None:
    with pytest.raises(counts.CountError, match=r"needs the exact name of one function, got '\*postprocess\*'"):
        counts.count(package, toggles=["*postprocess*"], only=ONE_CASE)


def test_half_a_percent_is_noise_and_more_is_not(recorded: dict[str, Any]) -> None:
    case, count = next(iter(recorded["counts"].items()))
    for factor, verdict in ((1.004, None), (0.996, None), (1.006, "look why"), (0.994, "keep the gain")):
        changed = copy.deepcopy(recorded)
        changed["counts"][case] = round(count * factor)
        problems = counts.compare(changed, recorded)
        assert len(problems) == (verdict is not None)
        assert not verdict or problems[0].startswith(f"{case}: ")
        assert not verdict or verdict in problems[0]


def test_another_compiler_asks_for_a_new_record(recorded: dict[str, Any]) -> None:
    changed = copy.deepcopy(recorded)
    changed["build"]["gcc"] = "99.1.0"
    (problem,) = counts.compare(changed, recorded)
    assert f"gcc {recorded['build']['gcc']!r} then and '99.1.0' now" in problem
    assert "run `make counts`" in problem


def test_a_case_that_is_missing_from_the_record_asks_for_a_new_one(recorded: dict[str, Any]) -> None:
    changed = copy.deepcopy(recorded)
    changed["counts"].popitem()
    assert counts.compare(changed, recorded) == ["counts.json has other cases than frames.py: run `make counts`"]


def test_without_valgrind_the_gate_says_what_to_install(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(package))
    with pytest.raises(counts.CountError, match="is missing; on Debian: apt-get install valgrind gcc binutils"):
        counts.count(package, only=ONE_CASE)
