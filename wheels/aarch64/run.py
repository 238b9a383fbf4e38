"""make test-aarch64: installs the wheel on emulated boards, runs the tests there, compares what is detected."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

import suite  # noqa: E402
from boards import BOARDS, BUILD, Board, install, new_venv, qemu  # noqa: E402
from comparing import Detections, compare, picture  # noqa: E402
from tools import REPOSITORY, MissingToolError  # noqa: E402

VERSIONS = """
from importlib.metadata import distributions
print("\\n".join(f"{d.metadata['Name']}=={d.version}" for d in distributions()))
"""


@dataclass
class Row:
    """What one board showed."""

    board: Board
    suite: suite.Outcome = field(default_factory=suite.Outcome)
    equal: int | None = None
    equal_by_litert: int = 0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run_board(board: Board, core: int, wheel: Path, prepared: Future[Detections]) -> Row:
    """Everything on one board, in a folder of its own beside nothing of the source tree but the tests."""
    started = time.monotonic()
    # Of this thread and of what it starts: threads of a runtime that wait for each other by spinning, emulated and on a
    # busy machine, would take ten times as long.
    os.sched_setaffinity(0, {core})
    row = Row(board)
    folder = BUILD / board.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    python = new_venv(board, folder / "venv")
    install(python, [str(wheel), *suite.TEST_TOOLS], folder / "pip.log")
    problems = _wrong_dependencies(board, python)
    expected = prepared.result()
    row.suite = suite.run(python, folder, board.kind)
    row.suite.problems += problems
    if board.runtime != "ai-edge-litert":
        # Runtimes round int8 networks differently. So what pip chose is compared and its differences are counted; that
        # nothing else differs is seen with the runtime that this machine has.
        row.equal, row.differences = compare(expected, _detect(python, folder))
        install(python, [f"fastyolo[litert] @ {wheel.as_uri()}"], folder / "pip.log")
    row.equal_by_litert, problems = compare(expected, _detect(python, folder, "--runtime", "litert"))
    row.suite.problems += problems
    row.seconds = time.monotonic() - started
    return row


def _wrong_dependencies(board: Board, python: Path) -> list[str]:
    """What pip chose, against what the markers are meant to choose."""
    lines = suite.output([python, "-c", VERSIONS], BUILD).split()
    versions = dict(line.lower().replace("_", "-").split("==") for line in lines)
    runtimes = sorted({"tflite-runtime", "ai-edge-litert"} & set(versions))
    chosen = [f"{name} {versions[name]}" for name in ("numpy", *runtimes)]
    print(f"{board.cpu}, Python {board.python}: pip chose {', '.join(chosen)}", flush=True)
    problems = [] if runtimes == [board.runtime] else [f"pip installed {runtimes}, expected {board.runtime}"]
    if int(versions["numpy"].partition(".")[0]) != board.numpy_major:
        problems.append(f"pip installed numpy {versions['numpy']}, expected {board.numpy_major}.x")
    return problems


def _detect(python: Path, folder: Path, *options: str) -> Detections:
    output = suite.output([python, "-m", "fastyolo", "detect", picture(), "--format", "json", *options], folder)
    found: Detections = json.loads(output)[0]["detections"]
    return found


def detect_here(wheel: Path) -> Detections:
    """Prepare the tests; what this machine's wheel of the same kind finds in the example picture."""
    suite.prepare()
    folder = BUILD / "native"
    shutil.rmtree(folder, ignore_errors=True)
    suite.output([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, wheel], BUILD)
    command: list[str | Path] = [sys.executable, "-P", "-m", "fastyolo", "detect", picture(), "--format", "json"]
    found: Detections = json.loads(suite.output(command, BUILD, {"PYTHONPATH": str(folder)}))[0]["detections"]
    return found


def report(rows: list[Row]) -> None:
    print(
        "\nequal: detections as on x86-64 (class, IoU >= 0.95, score within 0.03), with ai-edge-litert / what pip chose"
    )
    print(f"{'target':<34} {'passed':>7} {'left out':>9} {'equal':>7} {'seconds':>8}")
    for row in rows:
        name = f"{row.board.cpu}, Python {row.board.python}, cp311-abi3"
        left_out = row.suite.left_out.total()
        equal = f"{row.equal_by_litert} / {row.equal_by_litert if row.equal is None else row.equal}"
        print(f"{name:<34} {row.suite.passed:>7} {left_out:>9} {equal:>7} {row.seconds:>8.0f}")
    print(f"{'cp310':<34} not executed: no Python 3.10 for aarch64 was to be had. What wheels/check.py verified of")
    print(f"{'':<34} it: machine and suffix of its libraries, the glibc they need, that Python 3.10 exports")
    print(f"{'':<34} all they use, contents. The same sources run as cp310 on x86-64 (make test-native).")
    for row in rows:
        suite.print_left_out(row.board.cpu, row.suite)
        for difference in row.differences:
            print(f"\n{row.board.cpu}, {row.board.runtime}, counted but no failure: {difference}")
        for problem in row.suite.problems:
            print(f"\n{row.board.cpu}: {problem}")


def main() -> int:
    dist = REPOSITORY / "dist"
    (wheel,) = dist.glob("*-cp311-abi3-*aarch64.whl")
    (here,) = dist.glob("*-cp311-abi3-*x86_64.whl")
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        qemu()
        for board in BOARDS:
            _ = board.sysroot
    except MissingToolError as error:
        raise SystemExit(f"make test-aarch64: {error}") from None
    usable = sorted(os.sched_getaffinity(0))
    cores = [usable[index % len(usable)] for index in range(len(BOARDS))]
    with ThreadPoolExecutor(3) as executor:
        prepared = executor.submit(detect_here, here)
        rows = list(executor.map(lambda board, core: run_board(board, core, wheel, prepared), BOARDS, cores))
    report(rows)
    return int(any(row.suite.problems for row in rows))


if __name__ == "__main__":
    sys.exit(main())
