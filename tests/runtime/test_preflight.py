"""Models and devices that do not fit each other, told apart by what the file says."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema

from edited_models import a_scale_per_filter, edited_model
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.errors import ModelError
from fastyolo.runtime.devices import Delegate, Device
from fastyolo.runtime.preflight import check_fit


def device(kind: str) -> Device:
    return Device(kind, Delegate(f"lib{kind}.so", {}))


def compiled_to(operator: bytes, folder: Path) -> str:
    """The bundled model with its first operator as a compiler would leave it."""

    def edit(model: schema.ModelT) -> None:
        code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = operator

    return str(edited_model(folder / "compiled.tflite", edit))


@pytest.mark.parametrize(
    ("operator", "own", "chip"), [(b"ethos-u", "ethosu", "i.MX 93"), (b"NeutronGraph", "neutron", "i.MX 95")]
)
def test_a_compiled_file_runs_on_its_own_npu_alone(tmp_path: Path, operator: bytes, own: str, chip: str) -> None:
    path = compiled_to(operator, tmp_path)
    check_fit(path, device(own))
    for kind in {"cpu", "vx", "ethosu", "neutron", "teflon"} - {own}:
        with pytest.raises(ModelError, match=rf"{chip}.*runs nowhere else: use --device {own} there, or the int8 file"):
            check_fit(path, device(kind))


def test_a_plain_file_fits_everything_but_what_needs_another(tmp_path: Path) -> None:
    for kind in ("cpu", "vx", "neutron", "teflon", "delegate"):
        check_fit(str(BUNDLED_MODEL), device(kind))
    with pytest.raises(ModelError, match="compile it with fastyolo compile"):
        check_fit(str(BUNDLED_MODEL), device("ethosu"))
    path = str(edited_model(tmp_path / "per_channel.tflite", a_scale_per_filter))
    for kind in ("cpu", "vx", "neutron", "delegate"):
        check_fit(path, device(kind))
    with pytest.raises(ModelError, match="a scale per channel"):
        check_fit(path, device("teflon"))


def test_a_float_model_is_slow_on_vx_and_refused_by_int8_npus(float_model: Path) -> None:
    for kind in ("neutron", "teflon"):
        with pytest.raises(ModelError, match=r"is a float model.*give it the int8 file"):
            check_fit(str(float_model), device(kind))
    with pytest.warns(UserWarning, match="many times slower than int8: give it the int8 file"):
        check_fit(str(float_model), device("vx"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_fit(str(float_model), device("cpu"))


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.5, 0.9999])
def test_damaged_files_are_errors_of_one_line_or_nothing(tmp_path: Path, share: float) -> None:
    content = BUNDLED_MODEL.read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(content[: max(8, int(len(content) * share))])
    for kind in ("cpu", "vx", "ethosu", "neutron", "teflon"):
        said = ""
        try:
            check_fit(str(path), device(kind))
        except ModelError as error:
            said = str(error)
        assert "\n" not in said
