"""The wheels under test: those that `make wheels` left in dist/, or in $FASTYOLO_DIST."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

WHEELS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(WHEELS))


@pytest.fixture(scope="session")
def dist() -> Path:
    return Path(os.environ.get("FASTYOLO_DIST", WHEELS.parent / "dist"))


@pytest.fixture(scope="session")
def wheels(dist: Path) -> dict[str, Path]:
    """The four of them by tag, such as cp311-abi3-x86_64."""
    found = {}
    for path in dist.glob("*.whl"):
        (tag,) = parse_wheel_filename(path.name)[3]
        found[f"{tag.interpreter}-{tag.abi}-{tag.platform.removeprefix('manylinux_2_27_')}"] = path
    assert len(found) == 4, f"run `make wheels` first: {dist} holds {sorted(found)}"
    return found
