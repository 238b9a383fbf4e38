"""Which TFLite runtime and delegate, which tensors. The only place that imports a TFLite runtime."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fastyolo.errors import FastYoloError, ModelError, OptionError, RuntimeUnavailableError
from fastyolo.runtime.devices import Delegate, Device, find_device
from fastyolo.runtime.limits import MAX_MEMORY, check_limits
from fastyolo.runtime.preflight import check_fit
from fastyolo.runtime.ran import Ran, find_ran
from fastyolo.runtime.sums import check_sums
from fastyolo.spec import PICTURE_CHANNELS, ModelSpec
from fastyolo.texts import brief

if TYPE_CHECKING:
    from fastyolo.runtime.first_run import FirstRun

RuntimeName = Literal["litert", "tflite-runtime", "tensorflow"]
Tensor = npt.NDArray[Any]

MAX_THREADS = 256


class _Package(NamedTuple):
    module: str
    distributions: tuple[str, ...]


_PACKAGES: dict[RuntimeName, _Package] = {
    "litert": _Package("ai_edge_litert.interpreter", ("ai-edge-litert", "ai-edge-litert-nightly")),
    "tflite-runtime": _Package("tflite_runtime.interpreter", ("tflite-runtime", "tflite-runtime-nightly")),
    "tensorflow": _Package("tensorflow.lite", ("tensorflow", "tensorflow-cpu")),
}
RUNTIMES: tuple[RuntimeName, ...] = tuple(_PACKAGES)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a model.

    `quantization` is (scale, zero_point); None for a float tensor, and where `scales`, their number, is not 1.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quantization: tuple[float, int] | None
    scales: int = 0

    @property
    def affine(self) -> tuple[float, int] | None:
        """`quantization`; (1.0, 0) for an integer tensor without a scale, which holds the real numbers themselves."""
        return (1.0, 0) if self.quantization is None and self.dtype.kind in "iu" else self.quantization


class Session:
    """A model ready to run: one image input, and its outputs.

    `input_view` and `output_view` give live views of the interpreter's memory. Drop them before `invoke`, which
    refuses to run while one is alive.

    `device` is what runs the network (`open_session` keeps none that took nothing); `ran` counts who took which
    operators, None where the runtime does not tell; `why` says what chose the device.
    """

    def __init__(
        self,
        interpreter: Any,
        runtime: RuntimeName,
        device: Device,
        threads: int,
        first_run: FirstRun | None = None,
    ) -> None:
        self.runtime = runtime
        self._interpreter = interpreter
        self._with_device = device.delegate is not None
        self.device = _shown(device) if self._with_device else "cpu"
        self.why = device.why
        self.threads = threads
        self.first_run = first_run
        self._process = os.getpid()
        try:
            inputs = [_tensor_info(details) for details in interpreter.get_input_details()]
            self.outputs = tuple(_tensor_info(details) for details in interpreter.get_output_details())
        except UnicodeDecodeError as error:
            raise ModelError(f"the model's inputs and outputs must have UTF-8 names, got {error.object!r}") from None
        if len(inputs) != 1:
            names = ", ".join(tensor.name for tensor in inputs)
            raise ModelError(f"the model must have one input, an image, got {len(inputs)}: {names}")
        self.input = inputs[0]
        shape = self.input.shape
        if len(shape) != 4 or shape[0] != 1 or shape[3] not in PICTURE_CHANNELS or min(shape) < 1:
            raise ModelError(
                f"the model's input must have shape (1, height, width, 3), or for grey (1, height, width, 1), "
                f"got {shape}"
            )
        if self.input.dtype.name not in ("int8", "uint8", "float32"):
            raise ModelError(f"the model's input must be int8, uint8 or float32, got {self.input.dtype}")
        if self.input.scales > 1:
            raise ModelError(f"the model's input must have one scale for all channels, got {self.input.scales}")

    # The next two take a third of the time in which a small model loads, and few ask for them.
    @cached_property
    def version(self) -> str:
        """The runtime's."""
        return runtime_version(self.runtime)

    @cached_property
    def ran(self) -> Ran | None:
        """Who takes which operators."""
        return find_ran(self._interpreter, with_device=self._with_device)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.input.shape[1], self.input.shape[2]

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for grey."""
        return self.input.shape[3]

    def check_input(self, spec: ModelSpec, model: str | os.PathLike[str]) -> None:
        """Raise `ModelError` if the metadata of the file `model`, read as `spec`, is that of another input."""
        if spec.input_size != self.input_size:
            raise ModelError(f"{model} has input {self.input_size}, but its metadata says {spec.input_size}")
        if spec.channels != self.channels:
            raise ModelError(f"{model} has {self.channels} input channels, but its metadata says {spec.channels}")

    def check_process(self) -> None:
        """Raise `ModelError` in the child of a fork, where the runtime would wait for threads that are not there."""
        if os.getpid() != self._process:
            raise ModelError(
                "a loaded model does not survive a fork: make a Detector in the new process, or start it with "
                "multiprocessing's 'spawn'"
            )

    def input_view(self) -> Tensor:
        view: Tensor = self._interpreter.tensor(self.input.index)()
        return view

    def output_view(self, tensor: TensorInfo) -> Tensor:
        view: Tensor = self._interpreter.tensor(tensor.index)()
        return view

    def invoke(self) -> None:
        """Run the network once."""
        self.check_process()
        try:
            if self.first_run is not None:
                first, self.first_run = self.first_run, None
                with first:
                    self._interpreter.invoke()
            else:
                self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.runtime} could not run the model: {_one_line(error)}") from error


def open_session(
    model: str | os.PathLike[str],
    *,
    runtime: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    max_memory: int = MAX_MEMORY,
    allow_cpu: bool = False,
    graph_cache: bool = True,
    xnnpack: bool = True,
) -> Session:
    """Load a .tflite file into the first runtime that really builds an interpreter for it.

    Args:
        model: path of the .tflite file.
        runtime: "auto", or one of `RUNTIMES` to accept no other.
        device: ``cpu | npu | auto | vx | ethosu | neutron | teflon``, or an external delegate's library, each with its
            options as ``NAME[,key=value...]``; see `devices`.
        threads: CPU threads; None takes every core this process may use.
        max_memory: refuse a model whose tensors take more bytes at one time, or work to match; see `limits`.
        allow_cpu: take the CPU where the device takes no operator, instead of an error.
        graph_cache: keep the graph that the vx delegate compiles, for the next start; see `graph_cache`.
        xnnpack: False keeps the runtime's own delegate out on the CPU; with another device it always is.

    Raises:
        ModelError: the file is no usable model, or needs a delegate that was not given.
        RuntimeUnavailableError: no runtime, or the delegate cannot be loaded.
        OptionError: an argument outside its domain.
    """
    if runtime != "auto" and runtime not in _PACKAGES:
        raise OptionError(f"runtime must be auto, {', '.join(RUNTIMES)}, got {brief(runtime)}")
    found = find_device(device)
    delegate = found.delegate
    if delegate is not None:
        from fastyolo.runtime.library import check_library

        check_library(delegate.library)
    threads = check_threads(threads)
    path = os.fspath(model)
    _check_file(path)
    check_limits(path, check_max_memory(max_memory))
    check_sums(path)
    check_fit(path, found)
    problems: list[FastYoloError] = []
    for name in _preferred(delegate) if runtime == "auto" else [name for name in RUNTIMES if name == runtime]:
        first_run = _first_run(path, found, graph_cache) if delegate is not None else None
        try:
            given = delegate if first_run is None else first_run.delegate
            interpreter = _build(name, path, given, threads, xnnpack)
        except (ModelError, RuntimeUnavailableError) as error:
            problems.append(error)
            if first_run is not None and isinstance(error, ModelError):
                first_run.refused()
        else:
            session = Session(interpreter, name, found, threads, first_run)
            if not _takes_nothing(session, found):
                return session
            if not allow_cpu:
                raise _nothing_taken(session, found)
            # Without the delegate the CPU has XNNPACK again.
            return Session(_build(name, path, None, threads, xnnpack), name, _cpu_for(found), threads)
    raise _joined(path, problems, delegate)


def _first_run(path: str, device: Device, graph_cache: bool) -> FirstRun:
    from fastyolo.runtime.first_run import FirstRun

    return FirstRun.of(path, device, graph_cache)


def _shown(device: Device) -> str:
    """A device as users are told of it: its name, or what they wrote."""
    options = device.asked.partition(",")[2]
    name = device.kind if device.asked.partition(",")[0] in ("npu", "auto") else device.asked.partition(",")[0]
    return f"{name},{options}" if options else name


def _takes_nothing(session: Session, device: Device) -> bool:
    return device.delegate is not None and session.ran is not None and not session.ran.device


def _nothing_taken(session: Session, device: Device) -> RuntimeUnavailableError:
    count = session.ran.operators if session.ran is not None else 0
    return RuntimeUnavailableError(
        f"{_shown(device)} took none of the model's {count} operators, so all of it would run on the CPU; see what "
        f"fastyolo doctor says of it, or accept the CPU with allow_cpu (--allow-cpu)"
    )


def _cpu_for(device: Device) -> Device:
    return Device("cpu", why=f"{_shown(device)} took none of the model's operators", asked=device.asked)


def runtime_version(name: RuntimeName) -> str:
    """The installed version, "unknown" where a board's package says none."""
    # With all that it imports a tenth of the time in which this package is imported.
    from importlib import metadata

    for distribution in _PACKAGES[name].distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    module = import_module(_PACKAGES[name].module.partition(".")[0])
    return str(getattr(module, "__version__", "unknown"))


def on_nxp_soc() -> bool:
    """True on an NXP i.MX chip, by what the kernel's device tree says."""
    try:
        with open("/proc/device-tree/compatible", "rb") as file:
            return b"fsl,imx" in file.read()
    except OSError:
        return False


def _preferred(delegate: Delegate | None) -> list[RuntimeName]:
    """The order in which runtimes are tried.

    NXP builds its delegates against the tflite_runtime of the board's own image, so it comes first wherever a delegate
    may be loaded. Elsewhere LiteRT runs int8 models several times faster.
    """
    if delegate is not None or on_nxp_soc():
        return ["tflite-runtime", "litert", "tensorflow"]
    return ["litert", "tflite-runtime", "tensorflow"]


def _import(name: RuntimeName) -> Any:
    package = _PACKAGES[name].module.partition(".")[0]
    try:
        return import_module(_PACKAGES[name].module)
    except Exception as error:  # a runtime built for another NumPy fails with whatever comes first
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise RuntimeUnavailableError(f"{name} is not installed") from None
        raise RuntimeUnavailableError(f"{name} cannot be imported: {_one_line(error)}") from error


def _build(name: RuntimeName, path: str, delegate: Delegate | None, threads: int, xnnpack: bool) -> Any:
    """An interpreter with its memory allocated: only then is a runtime believed."""
    module = _import(name)
    delegates = None if delegate is None else [_load_delegate(name, module, delegate)]
    try:
        resolver = {} if delegate is None and xnnpack else _plain_resolver(module)
        interpreter = module.Interpreter(
            model_path=path, num_threads=threads, experimental_delegates=delegates, **resolver
        )
        interpreter.allocate_tensors()
    except Exception as error:  # each runtime and delegate raises what it likes
        if isinstance(error, SystemError):
            raise RuntimeUnavailableError(
                f"{name} {runtime_version(name)} does not work with NumPy {np.__version__}: "
                f"{_one_line(error.__cause__ or error)}; tflite-runtime up to 2.14 needs pip install 'numpy<2'"
            ) from error
        raise ModelError(_load_problem(name, delegate, _one_line(error))) from error
    return interpreter


def _plain_resolver(module: Any) -> dict[str, Any]:
    """Keeps out the runtime's own delegate, XNNPACK, which takes what another one left, or even all of it."""
    kinds = getattr(module, "OpResolverType", None) or getattr(module.experimental, "OpResolverType", None)
    kind = getattr(kinds, "BUILTIN_WITHOUT_DEFAULT_DELEGATES", None)
    return {} if kind is None else {"experimental_op_resolver_type": kind}


def _load_delegate(name: RuntimeName, module: Any, delegate: Delegate) -> Any:
    load = getattr(module, "load_delegate", None) or module.experimental.load_delegate
    try:
        return load(delegate.library, delegate.options)
    except Exception as error:  # a ValueError with the delegate's own words
        reason = _one_line(error).removeprefix(f"Failed to load delegate from {delegate.library}").strip()
        # Mesa's prints it instead, where the command line shows nothing of native code.
        reason = reason or "it gave no reason; what it prints itself, --debug shows"
        raise RuntimeUnavailableError(f"delegate {delegate.library} refused to start: {reason}") from error


def _load_problem(name: RuntimeName, delegate: Delegate | None, reason: str) -> str:
    custom = re.search(r"unresolved custom op: *([^\s.]+)", reason, re.IGNORECASE)
    if custom is None:
        return f"{name} failed: {reason}"
    given = "without a delegate" if delegate is None else f"by {delegate.library}"
    cure = "pass the delegate made for it as --device LIB.so[,key=value...]"
    return f"its operator '{custom[1]}' cannot run {given}; {cure}"


def check_threads(threads: int | None) -> int:
    """Return `threads`, or for None the number of cores this process may use; `OptionError` if it is neither."""
    if threads is None:
        return min(len(os.sched_getaffinity(0)), MAX_THREADS)
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise OptionError(f"threads must be between 1 and {MAX_THREADS}, got {brief(threads)}")
    return threads


def check_max_memory(max_memory: int) -> int:
    if isinstance(max_memory, bool) or not isinstance(max_memory, int) or max_memory < 1:
        raise OptionError(f"max_memory must be a number of bytes, at least 1, got {brief(max_memory)}")
    return max_memory


def _check_file(path: str) -> None:
    """Raise `ModelError` for what is plainly no .tflite file, before a runtime sees it."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from None
    if head[4:] != b"TFL3":
        raise ModelError(f"{path} is not a TFLite model: expected 'TFL3' at byte 4, got {head[4:]!r}")


def _joined(path: str, problems: list[FastYoloError], delegate: Delegate | None) -> FastYoloError:
    """One error for everything that was tried. A model that some runtime refused is the model's fault."""
    refusals = dict.fromkeys(str(problem) for problem in problems if isinstance(problem, ModelError))
    if refusals:
        return ModelError(f"{path} cannot be loaded: {'; '.join(refusals)}")
    reasons = "; ".join(str(problem) for problem in problems)
    if delegate is not None:
        installed = [str(problem) for problem in problems if not str(problem).endswith("is not installed")]
        return RuntimeUnavailableError("; ".join(dict.fromkeys(installed)) or f"no TFLite runtime: {reasons}")
    return RuntimeUnavailableError(
        f"no TFLite runtime: {reasons}; install one, such as with pip install ai-edge-litert"
    )


def _tensor_info(details: dict[str, Any]) -> TensorInfo:
    parameters = details.get("quantization_parameters") or {}
    scales = len(parameters.get("scales", ()))
    # A runtime's one pair is (0.0, 0) or the first of many where there are many.
    scale, zero_point = details["quantization"] if scales <= 1 else (0.0, 0)
    return TensorInfo(
        int(details["index"]),
        str(details["name"]),
        tuple(int(side) for side in details["shape"]),
        np.dtype(details["dtype"]),
        (float(scale), int(zero_point)) if scale else None,
        scales,
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
