"""How an int8 model is compiled for the Ethos-U NPU: Vela, run as a program of its own."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastyolo.darknet.reading import open_regular
from fastyolo.errors import ExportError, OptionError
from fastyolo.export.output import write_files
from fastyolo.files import shown
from fastyolo.metadata import append_metadata, find_metadata

Target = Literal["imx93"]

TARGETS: Mapping[Target, tuple[str, ...]] = {
    # What NXP's own edition of Vela (lf-6.1.22) takes for this chip when it is given no options, spelled for Arm's
    # edition: 256 multiply-accumulate units at 1 GHz, 384 KiB of SRAM for the NPU alone, 3.75 GB/s from the DRAM.
    # The memory mode with a size of its own, for only its name without one means the same in every version of Vela.
    "imx93": (
        "--accelerator-config", "ethos-u65-256", "--config", "Arm/vela.ini", "--system-config", "Ethos_U65_High_End",
        "--memory-mode", "Dedicated_Sram", "--arena-cache-size", "393216",
    ),
}  # fmt: skip
"""Vela's options by target."""

NPU_OPERATOR = "ethos-u"
"""The custom operator that stands for everything Vela took over."""

TIMEOUT_SECONDS = 900.0

StrPath = str | os.PathLike[str]
Log = Callable[[str], None]
"""Called with everything that Vela printed."""


class Operator(NamedTuple):
    """One operator of a .tflite file: its type, such as "CONV_2D", and the name of its first output."""

    type: str
    name: str


@dataclass(frozen=True)
class Compiled:
    """A model for the NPU, and what Vela says about it. Times are Vela's estimate, not a measurement.

    Attributes:
        content: the .tflite file with its metadata.
        npu_operators: how many of the source's operators the NPU runs.
        cpu_operators: those left to the CPU.
        milliseconds: estimated time of one inference, without the operators left to the CPU.
        sram_bytes, dram_bytes: memory that the NPU needs.
        assumptions: what the estimate rests on: accelerator, clock and memory.
        compiler: Vela's name and version.
    """

    content: bytes
    npu_operators: int
    cpu_operators: tuple[Operator, ...]
    milliseconds: float
    sram_bytes: int
    dram_bytes: int
    assumptions: str
    compiler: str


def compile_model(
    model: StrPath, *, target: Target = "imx93", output_dir: StrPath, log: Log | None = None
) -> tuple[Path, Compiled]:
    """Compile a .tflite file; write ``NAME_vela.tflite``, which describes itself as the source does.

    Raises:
        ExportError, ModelError: no Vela, no int8 model, or Vela failed; one line.
        OptionError: an unknown target.
    """
    path = Path(model)
    with open_regular(path, ExportError) as (file, _):
        content = file.read()
    compiled = compile_content(content, find_metadata(path), target=target, name=shown(path), log=log)
    written = Path(output_dir) / f"{path.stem}_vela.tflite"
    write_files({written: compiled.content})
    return written, compiled


def compile_content(
    content: bytes, metadata: Mapping[str, Any] | None, *, target: Target, name: str, log: Log | None = None
) -> Compiled:
    """Compile the content of a .tflite file with this metadata; `name` is what errors call it."""
    check_target(target)
    before = _operators(content, name)
    if any(operator.type == NPU_OPERATOR for operator in before):
        raise ExportError(f"{name} must be a model that is not compiled yet, got one with the operator {NPU_OPERATOR}")
    result, summary = _run_vela(content, target, name, log)
    on_cpu = tuple(operator for operator in _operators(result, "Vela's result") if operator.type != NPU_OPERATOR)
    if len(on_cpu) >= len(before):
        raise ExportError(f"{name} must be an int8 model, got one of whose {len(before)} operators the NPU takes none")
    compiler = f"ethos-u-vela {packages.version('ethos-u-vela')}"
    record = {
        "target": target,
        "compiler": compiler,
        "options": list(TARGETS[target]),
        "source_sha256": hashlib.sha256(content).hexdigest(),
        "cpu_operators": [list(operator) for operator in on_cpu],
    }
    try:
        return Compiled(
            content=append_metadata(result, {**(metadata or {}), "compiled": record}),
            npu_operators=len(before) - len(on_cpu),
            cpu_operators=on_cpu,
            milliseconds=float(summary["inference_time"]) * 1e3,
            sram_bytes=round(float(summary["sram_memory_used"]) * 1024),
            dram_bytes=round(float(summary["dram_memory_used"]) * 1024),
            assumptions=_assumptions(summary),
            compiler=compiler,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ExportError(f"{compiler} wrote a summary that cannot be read: {type(error).__name__} {error}") from None


def check_target(target: str) -> None:
    """Raise unless models can be compiled for `target` here."""
    if target not in TARGETS:
        raise OptionError(f"target must be {', '.join(TARGETS)}, got {target!r}")
    try:
        found = importlib.util.find_spec("ethosu.vela")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ExportError("compiling needs Arm's Vela: pip install ethos-u-vela")


def _run_vela(content: bytes, target: Target, name: str, log: Log | None) -> tuple[bytes, Mapping[str, str]]:
    """The compiled file and the one row of Vela's summary.

    In a process of its own: native code that stumbles over a strange model takes the whole process with it.
    """
    # A file name that no option parser can misread.
    command = [sys.executable, "-m", "ethosu.vela", "model.tflite", "--output-dir", "out", *TARGETS[target]]
    try:
        with tempfile.TemporaryDirectory(prefix="fastyolo-") as folder:
            Path(folder, "model.tflite").write_bytes(content)
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
            if log is not None:
                log(done.stdout)
            if done.returncode:
                raise ExportError(f"Vela could not compile {name}: {_reason(done)}")
            (summary,) = Path(folder, "out").glob("model_summary_*.csv")
            with open(summary, encoding="utf-8", newline="") as file:
                (row,) = csv.DictReader(file)
            return Path(folder, "out", "model_vela.tflite").read_bytes(), row
    except subprocess.TimeoutExpired:
        raise ExportError(f"Vela could not compile {name}: not done after {TIMEOUT_SECONDS:g} seconds") from None
    except (OSError, ValueError) as error:
        raise ExportError(f"Vela could not compile {name}: {' '.join(str(error).split())}") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"it crashed ({signal.strsignal(-done.returncode) or done.returncode})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with code {done.returncode}"


def _assumptions(summary: Mapping[str, str]) -> str:
    accelerator = summary["accelerator_configuration"].replace("_", "-")
    gigahertz = float(summary["core_clock"]) / 1e9
    sram, dram = float(summary["arena_cache_size"]), float(summary["dram_bandwidth"]) * 1.024**3
    return f"{accelerator} at {gigahertz:g} GHz with {sram:g} KiB of SRAM and {dram:.3g} GB/s from the DRAM"


def _operators(content: bytes, name: str) -> list[Operator]:
    """The operators of a .tflite file in order; a custom one has its own name as type."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise ExportError("compiling needs LiteRT: pip install ai-edge-litert") from None
    if content[4:8] != b"TFL3":
        raise ExportError(f"{name} is not a TFLite model: expected 'TFL3' at byte 4, got {content[4:8]!r}")
    types = {code: text for text, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    try:
        model = schema.Model.GetRootAsModel(content, 0)
        # Constants lie behind everything else: reading them all finds a file that was cut off.
        for index in range(model.BuffersLength()):
            model.Buffers(index).DataAsNumpy()
        codes = [model.OperatorCodes(index) for index in range(model.OperatorCodesLength())]
        found = []
        for number in range(model.SubgraphsLength()):
            subgraph = model.Subgraphs(number)
            for index in range(subgraph.OperatorsLength()):
                operator = subgraph.Operators(index)
                code = codes[operator.OpcodeIndex()]
                kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
                custom = (code.CustomCode() or b"").decode()
                output = subgraph.Tensors(operator.Outputs(0)).Name().decode()
                found.append(Operator(custom or types.get(kind, str(kind)), output))
    except Exception as error:  # the generated reader checks nothing: bad offsets surface as whatever comes first
        raise ExportError(f"{name} is not a whole TFLite model: {type(error).__name__} {error}") from None
    return found
