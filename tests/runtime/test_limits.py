"""What a model may ask for is known before a runtime sees it."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from command import fastyolo, one_line
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.errors import ModelError, OptionError
from fastyolo.flatbuffer import MAX_ITEMS
from fastyolo.runtime.limits import check_limits, find_needs

BUNDLED = BUNDLED_MODEL.read_bytes()
Code = schema.BuiltinOperator


def edited(edit: Callable[[Any], None]) -> bytes:
    """The bundled model with `edit(model: schema.ModelT)` applied, without its metadata."""
    model = schema.ModelT.InitFromPackedBuf(BUNDLED, 0)
    edit(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operators(model: Any, code: int) -> list[Any]:
    return [
        operator
        for operator in model.subgraphs[0].operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == code
    ]


def constant(model: Any, operator: Any, at: int, values: list[int]) -> None:
    """Another content for a constant input."""
    tensor = model.subgraphs[0].tensors[operator.inputs[at]]
    model.buffers[tensor.buffer].data = np.frombuffer(np.array(values, "<i4").tobytes(), np.uint8)


def larger_input(model: Any) -> None:
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape = [1, 41600, 41600, 3]


def more_padding(model: Any) -> None:
    constant(model, operators(model, Code.PAD)[0], 1, [0, 0, 10000, 10000, 10000, 10000, 0, 0])


def larger_upsampling(model: Any) -> None:
    constant(model, operators(model, Code.RESIZE_NEAREST_NEIGHBOR)[0], 1, [9000, 9000])


def computed_size(model: Any) -> None:
    resize = operators(model, Code.RESIZE_NEAREST_NEIGHBOR)[0]
    resize.inputs = [resize.inputs[0], model.subgraphs[0].inputs[0]]


def negative_side(model: Any) -> None:
    model.subgraphs[0].tensors[5].shape = [1, -7, 8, 8]


def no_stride(model: Any) -> None:
    operators(model, Code.CONV_2D)[3].builtinOptions.strideW = 0


def more_work(model: Any) -> None:
    """Little memory, but hours: a window over a whole picture, at each of its places."""
    pool = operators(model, Code.MAX_POOL_2D)[0].builtinOptions
    pool.filterWidth = pool.filterHeight = 30000
    pool.padding, pool.strideW, pool.strideH = schema.Padding.SAME, 1, 1


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (larger_input, "MB of memory, more than the limit of 1024 MB"),
        (more_padding, "MB of memory, more than the limit of 1024 MB"),
        (larger_upsampling, "MB of memory, more than the limit of 1024 MB"),
        (more_work, "billion multiplications"),
        (computed_size, "is computed, not a constant"),
        (negative_side, "has the shape"),
        (no_stride, "a stride of 0"),
    ],
)
def test_what_asks_for_too_much_is_one_line_at_once(tmp_path: Path, edit: Callable[[Any], None], said: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(edited(edit))
    started = time.monotonic()
    with pytest.raises(ModelError, match=said) as raised:
        Detector(path)
    assert time.monotonic() - started < 2
    assert "\n" not in str(raised.value)


def test_the_limit_can_be_raised_and_lowered() -> None:
    assert find_needs(BUNDLED).memory < 8 << 20
    Detector(max_memory=8 << 20)
    with pytest.raises(ModelError, match=r"asks for [0-9.]+ MB of memory, more than the limit of 2 MB; .*--max-memory"):
        Detector(max_memory=2 << 20)
    with pytest.raises(OptionError, match="max_memory must be a number of bytes"):
        Detector(max_memory=0)
    assert "limit of 1 MB" in one_line(fastyolo("info", "--max-memory", "1").stderr)


@pytest.mark.parametrize("side", [416, 672])
def test_sizes_are_those_that_the_runtime_computes(side: int) -> None:
    """From an input of another size on, whatever the file says of all that follows."""

    def resize(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].shape = [1, side, side, 3]
        constant(model, operators(model, Code.RESIZE_NEAREST_NEIGHBOR)[0], 1, [side // 16, side // 16])

    content = edited(resize)
    # Resized to what it has already: a runtime reports the shapes it computed only then.
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [1, side, side, 3])
    interpreter.allocate_tensors()
    needs = find_needs(content)
    outputs = {tuple(details["shape"].tolist()) for details in interpreter.get_output_details()}
    assert outputs == {(1, side // 32, side // 32, 255), (1, side // 16, side // 16, 255)}
    assert f"{side // 2 + 1}, {side // 2 + 1}, 32)" in needs.largest
    # 3.45 billion at 416 x 416: half of Darknet's "BFLOPS", which counts additions too.
    assert needs.products == pytest.approx(3.47e9 * (side / 416) ** 2, rel=0.02)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_are_measured_or_refused(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(25):
        content = bytearray(BUNDLED)
        for _ in range(draw.choice((1, 3, 30))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        if draw.random() < 0.3:
            del content[draw.randrange(8, len(content)) :]
        with suppress(ModelError):
            find_needs(content)


def test_a_file_that_leads_in_circles_is_given_up() -> None:
    """A hundred thousand times the same graph with a hundred thousand times the same tensor."""
    count = 100_000
    vtable = struct.pack("<HHHHHHH", 14, 8, 0, 0, 4, 0, 0)
    offsets = b"".join(struct.pack("<I", 4 * (count - index)) for index in range(count))
    # Where the vector ends lies a table whose field 2 leads back to the vector.
    start = 4 + len(vtable) + 2
    table = start + 4 + len(offsets)
    content = struct.pack("<I", table) + vtable + b"\0\0" + struct.pack("<I", count) + offsets
    content += struct.pack("<iI", table - 4, (start - table - 4) & 0xFFFFFFFF)
    started = time.monotonic()
    with pytest.raises(ModelError):
        find_needs(content)
    assert time.monotonic() - started < 5
    assert count < MAX_ITEMS


@pytest.mark.slow
def test_mutated_models_take_neither_gigabytes_nor_minutes(tmp_path: Path) -> None:
    """The runtime itself, in a process of its own for each, on copies whose structure was changed at random places."""
    script = (
        "import sys, time, fastyolo\n"
        "started = time.monotonic()\n"
        "try:\n    fastyolo.Detector(sys.argv[1], threads=1)\n"
        "except fastyolo.FastYoloError as error:\n    assert len(str(error).splitlines()) == 1\n"
        # Not getrusage's peak, which a process inherits from the one that started it.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(peak.split()[1]) // 1024, time.monotonic() - started)\n"
    )
    draw = random.Random(5)
    ends = len(BUNDLED) - 140_000, len(BUNDLED) - 20_000
    numbers = [*range(0, 40_000, 4), *range(*ends, 4)]
    for index in range(12):
        content = bytearray(BUNDLED)
        for _ in range(2):
            struct.pack_into("<i", content, draw.choice(numbers), draw.choice((0, 1, -1, 255, 65536, 1 << 30)))
        path = tmp_path / f"{index}.tflite"
        path.write_bytes(content)
        run = subprocess.run(
            [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 0, run.stderr
        megabytes, seconds = run.stdout.split()
        assert int(megabytes) < 700
        assert float(seconds) < 20


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "short.tflite").write_bytes(BUNDLED[:9])
    with pytest.raises(ModelError, match="cut off, or damaged"):
        check_limits(str(tmp_path / "short.tflite"))
