"""What gets built here, once: the kernels take a compiler longer than anything else that tests do."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import counts
from places import REPOSITORY


def built(kind: str, source: Path, output: Path) -> Path:
    """Build with the installed tools, as an isolated build would with fetched ones."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--skip-dependency-check"]
    environment = {**os.environ, **counts.variant()}
    subprocess.run(
        [*command, "--outdir", output, source], env=environment, check=True, capture_output=True, timeout=300
    )
    (artefact,) = output.iterdir()
    return artefact


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what git tracks, so that nothing left in the working tree can help."""
    clone = tmp_path_factory.mktemp("source") / "fastyolo"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    for name in tracked.stdout.split("\0")[:-1]:
        if (REPOSITORY / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((REPOSITORY / name).read_bytes())
    return built("sdist", clone, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, with the symbols that counting instructions needs; they change nothing else."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return built("wheel", source, tmp_path_factory.mktemp("wheel"))
