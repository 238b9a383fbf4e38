"""Breaks a good wheel in one place."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path


def rebuilt(
    wheel: Path, folder: Path, changes: Mapping[str, bytes | None], *, name: str = "", new_record: bool = True
) -> Path:
    """A copy with members replaced, added (bytes) or removed (None), under `name`; its RECORD is right again."""
    target = folder / (name or wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files: dict[str, bytes | None] = {member: archive.read(member) for member in archive.namelist()}
    files.update(changes)
    record = next(member for member in files if member.endswith(".dist-info/RECORD"))
    left = {member: content for member, content in files.items() if content is not None}
    if new_record:
        lines = [f"{member},{_digest(content)},{len(content)}" for member, content in left.items() if member != record]
        left[record] = "\n".join([*lines, f"{record},,"]).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for member, content in left.items():
            archive.writestr(member, content)
    return target


def compiled(folder: Path, source: str, *options: str) -> bytes:
    """A library of this machine, from C."""
    (folder / "part.c").write_text(source)
    command = ["gcc", "-shared", "-fPIC", "-o", folder / "part.so", folder / "part.c", *options]
    subprocess.run(command, check=True, cwd=folder)
    return (folder / "part.so").read_bytes()


def member(wheel: Path, ending: str) -> tuple[str, bytes]:
    """Name and content of the one member that is called or ends so."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (name,) = [ending] if ending in names else [name for name in names if name.endswith(ending)]
        return name, archive.read(name)


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
