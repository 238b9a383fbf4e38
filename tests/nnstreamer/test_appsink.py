"""The program that the manual shows for GStreamer without NNStreamer, in the distribution's own Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from places import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.pc("needs the machine's own GStreamer")]

PYTHON = "/usr/bin/python3"
NEEDS = "needs Debian's GStreamer in a /usr/bin/python3 of this version: apt-get install python3-gst-1.0"


@cache
def has_gstreamer() -> bool:
    """True where the distribution's Python has PyGObject and is of this one's version, so that it loads our kernels."""
    code = (
        "import sys, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None); "
        "print(*sys.version_info[:2], *[bool(Gst.ElementFactory.find(name)) for name in ('appsink', 'jpegdec')])"
    )
    try:
        run = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return False
    return run.stdout.split() == [*map(str, sys.version_info[:2]), "True", "True"]


def appsink(pipeline: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if not has_gstreamer():
        pytest.skip(NEEDS)
    (code,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "nnstreamer.md").read_text(), re.DOTALL)
    (folder / "appsink.py").write_text(code)
    # What is installed here is what that Python sees of ours; its own modules, PyGObject among them, it has itself.
    environment = {**os.environ, "PYTHONPATH": str(Path(np.__file__).parents[1])}
    command = [PYTHON, str(folder / "appsink.py"), pipeline]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def test_it_detects_in_every_frame(tmp_path: Path, hopper_path: Path) -> None:
    run = appsink(f"filesrc location={hopper_path} ! jpegdec ! videoconvert", tmp_path)
    assert (run.returncode, run.stdout) == (0, "1 person, 1 tie\n"), run.stderr


def test_rows_may_be_padded(tmp_path: Path) -> None:
    source = "videotestsrc num-buffers=2 pattern=black ! videoscale ! video/x-raw,width=322,height=242 ! identity"
    run = appsink(source, tmp_path)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.splitlines()) == {"nothing found"}


def test_a_broken_pipeline_is_one_line_and_no_hang(tmp_path: Path) -> None:
    run = appsink("filesrc location=/none.jpg ! jpegdec ! videoconvert", tmp_path)
    assert run.returncode == 1
    assert "Resource not found." in run.stderr
