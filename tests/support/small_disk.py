"""Runs a command that sees a small file system, in a mount namespace of its own: the real disk is never filled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def on_small_disk(where: Path, size: int, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a file system of `size` bytes mounted at `where`; list what it left there on stdout."""
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*private, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs user namespaces: this system forbids unshare")
    where.mkdir()
    script = 'mount -t tmpfs -o size="$1" tmpfs "$0" && shift && { "$@"; code=$?; find "$0" -type f; exit $code; }'
    return subprocess.run(
        [*private, "sh", "-c", script, str(where), str(size), *map(str, command)],
        cwd=where.parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
