"""Building again gives the same bytes; what is missing is one line."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import tools
from tools import MissingToolError, program, python_for_building, pythons

BUILD = Path(tools.__file__).with_name("build.py")


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_building_again_elsewhere_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        date = str(archive.getmembers()[0].mtime)  # the commit may be a later one, of the same files
    command = [sys.executable, BUILD, "--output", tmp_path / "again"]
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": date}, check=True, capture_output=True)
    assert sums(tmp_path / "again") == sums(dist)
    assert len(sums(dist)) == 5


def test_the_sdist_holds_what_git_tracks_and_nothing_generated(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = [member.name.partition("/")[2] for member in members]
    for needed in ("src/fastyolo/kernels/postprocess.pyx", "src/fastyolo/models/LICENSE.darknet", "wheels/check.py"):
        assert needed in names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, members[0].mtime)}


def test_without_the_cross_compiler_one_line_says_what_to_install(tmp_path: Path) -> None:
    for name in ("git", "gcc", "sh"):
        os.symlink(program(name, name), tmp_path / name)
    for python in pythons():
        os.symlink(python.executable, tmp_path / f"python3.{python.version[1]}")
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, BUILD, "--output", tmp_path / "dist"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("make wheels: aarch64-linux-gnu-gcc is missing: apt-get install gcc-aarch64-linux-gnu")
    assert not (tmp_path / "dist").exists()


def test_a_python_that_no_machine_has() -> None:
    with pytest.raises(MissingToolError, match=r"Python 3\.9 with headers .* is missing: `pyenv install 3\.9`"):
        python_for_building((3, 9))


def test_the_yocto_recipe_knows_the_licences_as_they_are(dist: Path) -> None:
    recipe = (tools.REPOSITORY / "wheels/yocto/fastyolo.bb").read_text()
    named = dict(re.findall(r"file://(\S+);md5=(\w+)", recipe))
    assert named == {
        path: hashlib.md5((tools.REPOSITORY / path).read_bytes()).hexdigest()
        for path in ("LICENSE", "src/fastyolo/models/LICENSE.darknet")
    }
    (sdist,) = dist.glob("*.tar.gz")
    assert f'PV = "{sdist.name.removeprefix("fastyolo-").removesuffix(".tar.gz")}"' in recipe
