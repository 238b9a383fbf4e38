"""Runtimes and delegates: real ones, believed only once they have built an interpreter."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edited_models import edited_model
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.errors import ModelError, OptionError, RuntimeUnavailableError
from fastyolo.runtime import session as runtime
from fastyolo.runtime.devices import Delegate, find_device
from fastyolo.runtime.session import open_session
from places import DATA


@pytest.fixture(scope="module")
def delegate_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/data/delegate.c, compiled."""
    library = tmp_path_factory.mktemp("delegate") / "libtest_delegate.so"
    source = DATA / "delegate.c"
    subprocess.run(["gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def test_the_bundled_model_opens_with_its_tensors_described() -> None:
    session = open_session(BUNDLED_MODEL)
    assert session.runtime == "litert"
    assert session.input_size == (416, 416)
    assert session.input.dtype == np.int8
    assert session.input.quantization == (pytest.approx(1 / 255), -128)
    assert {tensor.shape for tensor in session.outputs} == {(1, 26, 26, 255), (1, 13, 13, 255)}


def test_views_are_the_interpreters_own_memory() -> None:
    session = open_session(BUNDLED_MODEL)
    session.input_view()[:] = 7
    assert (session.input_view() == 7).all()
    session.invoke()
    view = session.output_view(session.outputs[0])
    with pytest.raises(ModelError, match="could not run"):
        session.invoke()
    del view
    session.invoke()


def test_devices() -> None:
    assert find_device("cpu").delegate is None
    assert find_device("/usr/lib/libvx_delegate.so").delegate == Delegate("/usr/lib/libvx_delegate.so", {})
    assert find_device("libx.so.2,a=1,b=c=d").delegate == Delegate("libx.so.2", {"a": "1", "b": "c=d"})
    for wrong in ("gpu", "", "CPU", "cpu,a=1"):
        with pytest.raises(OptionError, match=r"LIB\.so"):
            find_device(wrong)
    with pytest.raises(OptionError, match="key=value, got 'a'"):
        find_device("libx.so,a")


def test_an_external_delegate_is_loaded_with_its_options(delegate_library: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    detector = Detector(device=f"{delegate_library},log={log},speed=fast", allow_cpu=True)
    assert detector.session.device == "cpu"
    detector(np.zeros((20, 30, 3), np.uint8))
    del detector
    gc.collect()
    lines = log.read_text().splitlines()
    assert lines[:2] == [f"log={log}", "speed=fast"]
    assert "prepared" in lines
    assert lines[-1] == "destroyed"


def test_a_delegate_that_refuses_is_quoted(delegate_library: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="refused to start: no NPU on this board"):
        open_session(BUNDLED_MODEL, device=f"{delegate_library},refuse=no NPU on this board")


def test_a_delegate_that_gives_no_reason_is_quoted_once(delegate_library: Path) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"refused to start: it gave no reason; .* --debug shows$"
    ) as said:
        open_session(BUNDLED_MODEL, device=f"{delegate_library},refuse=")
    refused = [RuntimeUnavailableError(str(said.value))] * 2  # where two runtimes are installed
    assert str(runtime._joined("model", refused, Delegate(str(delegate_library), {}))) == str(said.value)


def test_what_is_no_delegate_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"gone\.so: cannot open shared object file"):
        open_session(BUNDLED_MODEL, device=str(tmp_path / "gone.so"))
    with pytest.raises(RuntimeUnavailableError, match="is no TFLite external delegate"):
        open_session(BUNDLED_MODEL, device="libm.so.6")


def test_a_model_made_for_a_delegate_names_what_it_needs(tmp_path: Path, delegate_library: Path) -> None:
    def compiled(model: schema.ModelT) -> None:
        code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"ethos-u"

    path = edited_model(tmp_path / "model_vela.tflite", compiled)
    with pytest.raises(ModelError, match=r"compiled by Vela for the Ethos-U of the i\.MX 93.*--device ethosu"):
        open_session(path)
    with pytest.raises(ModelError, match=r"operator 'ethos-u' cannot run by .*libtest_delegate"):
        open_session(path, device=f"{delegate_library},log={tmp_path / 'log'}")


def test_files_that_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with pytest.raises(ModelError, match=r"model\.tflite: No such file"):
        open_session(path)
    path.write_text("# not a model")
    with pytest.raises(ModelError, match="not a TFLite model"):
        open_session(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="not a TFLite model"):
        open_session(path)
    with pytest.raises(ModelError, match="Is a directory"):
        open_session(tmp_path)


@pytest.mark.parametrize("name", [b"head_26x26", b"input"])
def test_names_that_are_no_text_are_refused(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(BUNDLED_MODEL.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(ModelError, match=r"UTF-8 names, got b'\\xff"):
        open_session(path)


@pytest.mark.parametrize("share", [0.00001, 0.01, 0.3, 0.9, 0.99])
def test_truncated_models_are_refused(tmp_path: Path, share: float) -> None:
    content = BUNDLED_MODEL.read_bytes()
    path = tmp_path / "model.tflite"
    path.write_bytes(content[: max(8, int(len(content) * share))])
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(path)


def test_an_input_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    def grey(model: schema.ModelT) -> None:
        tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        tensor.type = schema.TensorType.INT16

    path = edited_model(tmp_path / "model.tflite", grey)
    with pytest.raises(ModelError):
        open_session(path)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, 10_000])
def test_thread_counts_are_checked(threads: int) -> None:
    with pytest.raises(OptionError, match="threads must be between 1 and 256"):
        open_session(BUNDLED_MODEL, threads=threads)


def test_a_runtime_can_be_forced() -> None:
    assert open_session(BUNDLED_MODEL, runtime="litert").runtime == "litert"
    with pytest.raises(RuntimeUnavailableError, match="no TFLite runtime: tensorflow is not installed"):
        open_session(BUNDLED_MODEL, runtime="tensorflow")
    with pytest.raises(OptionError, match="runtime must be auto, litert"):
        open_session(BUNDLED_MODEL, runtime="onnx")


def test_a_runtime_is_believed_only_after_it_built_an_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tflite-runtime 2.14 imports under NumPy 2 and fails in Interpreter(...): the next runtime must take over."""
    package = tmp_path / "tflite_runtime"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "interpreter.py").write_text(
        "def Interpreter(**_):\n"
        "    raise SystemError('returned a result with an exception set') from ImportError('numpy.core failed')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(runtime, "on_nxp_soc", lambda: True)
    try:
        assert runtime._preferred(None)[0] == "tflite-runtime"
        assert open_session(BUNDLED_MODEL).runtime == "litert"
        with pytest.raises(RuntimeUnavailableError, match=r"numpy\.core failed.*'numpy<2'"):
            open_session(BUNDLED_MODEL, runtime="tflite-runtime")
    finally:
        for name in [name for name in sys.modules if name.startswith("tflite_runtime")]:
            del sys.modules[name]


def test_the_order_of_runtimes() -> None:
    assert runtime._preferred(None)[0] == "litert"
    assert runtime._preferred(Delegate("libx.so", {}))[0] == "tflite-runtime"
