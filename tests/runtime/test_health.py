"""What a machine says of itself, however little sense it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastyolo.runtime import health


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("45000\n", "45 degrees C"),
        ("-5000", "-5 degrees C"),
        ("", "unknown"),
        ("--5", "unknown"),
        ("\u00b2", "unknown"),
    ],
)
def test_heat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, shown: str) -> None:
    zone = tmp_path / "temp"
    zone.write_text(said)
    monkeypatch.setattr(health, "glob", lambda _: [str(zone), str(tmp_path / "gone")])
    assert health.surroundings()["heat"] == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [("MemAvailable:  2048 kB\n", "2 MB free"), ("MemAvailable:\n", "unknown"), ("MemAvailable: x kB", "unknown")],
)
def test_memory(monkeypatch: pytest.MonkeyPatch, said: str, shown: str) -> None:
    monkeypatch.setattr(health, "_read", lambda _: said)
    assert health.surroundings()["memory"] == shown
