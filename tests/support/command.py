"""Runs the real command line in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "fastyolo")
OFFICIAL_EXPORT = ("export", "--calibration", "calibration/", "--target", "imx93", "--output", "models/")
"""What the manuals begin with."""

# Has imported what every command needs, and forks for each, which spares most of a command's processor time.
PARENT = """
import json, os, sys
import numpy, PIL.Image, typer.main, rich.console
import fastyolo.cli.app, fastyolo.cli.detect, fastyolo.cli.evaluate
import fastyolo.detector, fastyolo.evaluate.run, fastyolo.export
from fastyolo.cli import main

# Typer imports what checks options, half of what a command costs, when there is something to check.
try:
    fastyolo.cli.app.make_app()(args=["detect", "picture", "--conf", "2"], standalone_mode=False)
except Exception:
    pass

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["environment"])
            nothing = os.open(os.devnull, os.O_RDONLY)
            out, err = (os.open(path, os.O_WRONLY | os.O_TRUNC) for path in request["files"])
            for ours, theirs in ((nothing, 0), (out, 1), (err, 2)):
                os.dup2(ours, theirs)
            code = 0
            try:
                main(request["arguments"])
            except SystemExit as exit:
                code = exit.code if isinstance(exit.code, int) else 0
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 99
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def fastyolo(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the command prints, and its exit code; negative for a signal. For what happens at start or end: COMMAND."""
    words = [*map(str, arguments)]
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        request = {
            "arguments": words,
            "cwd": str(cwd or Path.cwd()),
            "environment": {**os.environ, **environment},
            "files": (out.name, err.name),
        }
        code = _ask(request)
        return subprocess.CompletedProcess([*COMMAND, *words], code, _text(out), _text(err))


def _ask(request: dict[str, Any]) -> int:
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(json.dumps(request) + "\n")
    parent.stdin.flush()
    return int(parent.stdout.readline())


@cache
def _parent() -> subprocess.Popen[str]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(parent.communicate)  # no more requests: it ends
    return parent


def _text(file: Any) -> str:
    return Path(file.name).read_text()


def one_line(stderr: str) -> str:
    """The message of a run that must have said exactly one line, without its prefix."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("fastyolo: ")
    return lines[0].removeprefix("fastyolo: ")
