"""What llvm-mca expects of the hottest loops on the boards' cores: a reading, no gate.

python bench/aarch64/mca.py [--wheel FILE]

The loops are found by counting: the smallest around the block of code on which most instructions are spent,
without what most turns jump over.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

from emulated import Frames, count, install
from tools import MissingToolError, program

from counts import built_wheel

CORES = ("cortex-a53", "cortex-a55")
ITERATIONS = 200
LONGEST_LOOP = 200


class Loop(NamedTuple):
    """The instructions from the target of a jump back to that jump."""

    place: str
    lines: list[str]
    turns: int
    share: float


def hottest_loop(frames: Frames, packages: Path) -> Loop:
    """The smallest loop around the block that costs most; where none is short enough, around the next."""
    blocks = {block: runs for block, runs in frames.blocks.items() if block[0].startswith("fastyolo/")}
    code = {library: _disassembled(packages, library) for library in {library for library, _, _ in blocks}}
    jumps = [(library, *_jump(code[library], offset + 4 * (length - 1))) for library, offset, length in blocks]
    for library, offset, length in sorted(blocks, key=lambda block: -block[2] * blocks[block]):
        end = offset + 4 * (length - 1)
        around = [(last, to) for where, last, to in jumps if where == library and to <= offset and end <= last]
        around = [(last, to) for last, to in around if last - to < 4 * LONGEST_LOOP]
        if around:
            last, first = min(around, key=lambda pair: pair[0] - pair[1])
            inside = [block for block in blocks if block[0] == library and first <= block[1] <= last]
            cost = sum(block[2] * blocks[block] for block in inside)
            turns = sum(blocks[block] for block in inside if block[1] + 4 * (block[2] - 1) == last)
            # What fewer than half of the turns come through stands beside the loop, not in it.
            usual = [block for block in inside if blocks[block] * 2 >= turns]
            addresses = {address for block in usual for address in range(block[1], block[1] + 4 * block[2], 4)}
            lines = [_labelled(code[library][address]) for address in sorted(addresses)]
            return Loop(f"{library} +{first:#x}", lines, turns, cost / frames.instructions)
    raise SystemExit("nothing that was executed lies in a loop")


def _disassembled(packages: Path, library: str) -> dict[int, str]:
    """Instruction by offset."""
    (path,) = packages.glob(f"{library}*.so")
    objdump = program("aarch64-linux-gnu-objdump", "binutils-aarch64-linux-gnu")
    listing = subprocess.check_output([objdump, "-d", "--no-show-raw-insn", path], text=True)
    found = re.findall(r"^ *([0-9a-f]+):\t(.*)$", listing, re.MULTILINE)
    return {int(address, 16): re.sub(r"\s*(//|<).*", "", text).replace("\t", " ") for address, text in found}


def _jump(code: dict[int, str], offset: int) -> tuple[int, int]:
    """Where this instruction is and where it jumps to; beyond everything, if it does not."""
    target = re.fullmatch(r"(?:b|b\.\w+|cbn?z .*|tbn?z .*),? ([0-9a-f]+)", code[offset])
    return offset, int(target[1], 16) if target else sys.maxsize


def _labelled(text: str) -> str:
    """As an assembler reads it: every jump goes to one label, which llvm-mca does not follow anyway."""
    return re.sub(r"^(b|b\.\w+|cbn?z .*|tbn?z .*?)(,?) [0-9a-f]+$", r"\1\2 loop", text)


def reading(lines: list[str], core: str) -> float:
    """Cycles of one turn of the loop."""
    mca = program("llvm-mca", "llvm")
    run = subprocess.run(
        [mca, "-mtriple=aarch64-linux-gnu", f"-mcpu={core}", f"-iterations={ITERATIONS}"],
        input="\n".join(["loop:", *lines, ""]),
        capture_output=True,
        text=True,
        check=False,
    )
    cycles = re.search(r"Total Cycles: *(\d+)", run.stdout)
    if not cycles:
        raise SystemExit(f"llvm-mca did not understand the loop: {run.stderr.strip()[:300]}")
    return int(cycles[1]) / ITERATIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="the cp311-abi3 wheel for aarch64; built first without")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            packages = install(arguments.wheel or built_wheel(folder / "dist"), folder / "packages")
            marks = count(packages, folder, caches=False)
            for index, case in enumerate((folder / "cases.txt").read_text().splitlines()):
                loop = hottest_loop(marks[index * 100 + 11], packages)
                turns = f"{loop.turns / 11:,.0f} turns a frame, {loop.share:.0%} of all"
                print(f"{case}: {loop.place}, {len(loop.lines)} instructions, {turns}")
                for core in CORES:
                    print(f"    {core}: {reading(loop.lines, core):.1f} cycles a turn")
                print("\n".join(f"        {line}" for line in loop.lines))
    except MissingToolError as error:
        raise SystemExit(f"mca.py: {error}") from None


if __name__ == "__main__":
    main()
