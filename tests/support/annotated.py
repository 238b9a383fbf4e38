"""Reads what `cython -a` says of a kernel: how much Python each line needs, in which function, if in a loop."""

from __future__ import annotations

import html
import io
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# setup.py as it is, for its directives decide what a line costs; it stops once the .c files and reports are written.
ANNOTATE = """
import runpy
import Cython.Compiler.Options
import setuptools

Cython.Compiler.Options.annotate = True
setuptools.setup = lambda **_: None
runpy.run_path("setup.py")
"""
REPORT_LINE = re.compile(r'<pre class="cython line score-(\d+)"[^>]*>(?:\+|&#xA0;)<span class="">0*(\d+)</span>: (.*)')


@dataclass(frozen=True)
class Line:
    """One line of a kernel. `score` is the report's yellow: 0 where the generated C never asks Python anything."""

    number: int
    text: str
    score: int
    function: str
    nogil: bool
    in_loop: bool

    def __str__(self) -> str:
        return f"line {self.number} in {self.function}, score {self.score}: {self.text.strip()}"


def annotate(repository: Path, folder: Path, appended: str = "") -> dict[str, list[Line]]:
    """Compile the kernels in `folder`, with `appended` at the end of each, and read their reports."""
    shutil.copy(repository / "setup.py", folder)
    sources = folder / "src" / "fastyolo" / "kernels"
    shutil.copytree(repository / "src" / "fastyolo" / "kernels", sources)
    (sources.parent / "__init__.py").touch()  # a package, for what kernels cimport of each other
    for kernel in sources.glob("*.pyx"):
        kernel.write_text(kernel.read_text() + appended)
    subprocess.run([sys.executable, "-c", ANNOTATE], cwd=folder, check=True, capture_output=True, timeout=300)
    return {
        kernel.stem: [line for part in _parts_of(kernel) for line in read_report(part, _report_of(folder, part))]
        for kernel in sources.glob("*.pyx")
    }


def _parts_of(kernel: Path) -> list[Path]:
    """The kernel's file and those that it includes, each of which has a report of its own."""
    return [kernel, *(kernel.with_name(name) for name in re.findall(r'^include "(.*)"', kernel.read_text(), re.M))]


def _report_of(folder: Path, source: Path) -> Path:
    (report,) = folder.rglob(f"{source.stem}.html")
    return report


def read_report(kernel: Path, report: Path) -> list[Line]:
    """Every line of code of `kernel` (comments and empty lines left out) with its score from `report`."""
    source = kernel.read_text()
    found = REPORT_LINE.findall(report.read_text())
    scores = {int(number): int(score) for score, number, _ in found}
    shown = {int(number): html.unescape(re.sub("<[^>]+>", "", text)) for _, number, text in found}
    physical = source.splitlines()
    # A report whose format this does not understand must not look like one without any Python.
    if [shown.get(number) for number in range(1, len(physical) + 1)] != physical:
        raise AssertionError(f"{report.name} does not show the lines of {kernel.name}")
    lines = []
    blocks: list[tuple[int, str]] = []  # indentation and header of everything that encloses the line
    for first, last, text in _logical_lines(source):
        indentation = len(physical[first - 1]) - len(physical[first - 1].lstrip())
        while blocks and blocks[-1][0] >= indentation:
            blocks.pop()
        headers = [header for _, header in blocks]
        if text.endswith(":"):
            blocks.append((indentation, text))
            headers.append(text)
        functions = [header for header in headers if re.match(r"(cdef|cpdef|def) .*\(", header)]
        function = re.split(r"\s*\(", functions[-1])[0].split()[-1] if functions else "module"
        nogil = any(re.search(r"\bnogil\s*:$", header) for header in headers)
        in_loop = any(re.match(r"(for|while) ", header) for header in headers)
        lines += [
            Line(number, physical[number - 1], scores[number], function, nogil, in_loop)
            for number in range(first, last + 1)
        ]
    return lines


def _logical_lines(source: str) -> Iterator[tuple[int, int, str]]:
    """First and last line number and the words of every statement, whichever lines it is spread over."""
    words: list[str] = []
    first = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            yield first, token.start[0], " ".join(words)
            words = []
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            if not words:
                first = token.start[0]
            words.append(token.string)
