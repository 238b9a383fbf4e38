"""Where the tests lie, their data, and the repository around them."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DATA = TESTS / "data"
REPOSITORY = TESTS.parent
