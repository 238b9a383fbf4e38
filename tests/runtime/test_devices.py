"""Names of devices, and what really ran: on delegates that behave as accelerators were seen to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edited_models import a_scale_per_filter, edited_model
from fastyolo.detector import BUNDLED_MODEL, Detector
from fastyolo.errors import ModelError, OptionError, RuntimeUnavailableError
from fastyolo.runtime.devices import find_chip, find_device
from fastyolo.runtime.session import open_session

ONLY_FOR_DEVICES = (
    "fastyolo.doctor",
    "fastyolo.runtime.agreement",
    "fastyolo.runtime.graph_cache",
    "fastyolo.runtime.health",
    "importlib.metadata",
    "multiprocessing",
)


def board(root: Path, soc: str, *files: str, compatible: str = "") -> str:
    """A file system with these files, of a board with this chip."""
    (root / "sys/devices/soc0").mkdir(parents=True)
    (root / "sys/devices/soc0/soc_id").write_text(f"{soc}\n")
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/compatible").write_bytes(compatible.encode())
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return str(root)


@pytest.mark.parametrize(
    ("soc", "files", "kind"),
    [
        ("i.MX8MP", ("usr/lib/libvx_delegate.so", "dev/galcore"), "vx"),
        ("i.MX8MP", ("usr/lib/teflon/libteflon.so", "dev/accel/accel0"), "teflon"),
        ("i.MX93", ("usr/lib/libethosu_delegate.so.1", "dev/ethosu0"), "ethosu"),
        ("i.MX95", ("usr/lib64/libneutron_delegate.so", "dev/neutron0"), "neutron"),
    ],
)
def test_npu_is_the_one_of_this_chip(tmp_path: Path, soc: str, files: tuple[str, ...], kind: str) -> None:
    root = board(tmp_path, soc, *files)
    for asked in ("npu", "auto", kind):
        found = find_device(f"{asked},a=1", root)
        assert (found.kind, found.delegate) == (kind, (os.path.join(root, files[0]), {"a": "1"}))


def test_the_device_tree_names_the_chip_too(tmp_path: Path) -> None:
    root = board(tmp_path, "", compatible="fsl,imx8mp-evk\0fsl,imx8mp\0")
    assert find_chip(root)[0] == "i.MX 8M Plus"
    assert find_chip(board(tmp_path / "other", "", compatible="raspberrypi,5\0brcm,bcm2712\0")) == (
        "brcm,bcm2712",
        None,
    )


def test_what_is_missing_is_said_in_one_line(tmp_path: Path) -> None:
    root = board(tmp_path, "i.MX93", "usr/lib/libethosu_delegate.so")
    with pytest.raises(RuntimeUnavailableError, match=r"i\.MX 93.*no device node /dev/ethosu0; install .*firmware"):
        find_device("npu", root)
    chosen = find_device("auto", root)
    assert chosen.kind == "cpu"
    assert "/dev/ethosu0" in chosen.why
    with pytest.raises(
        RuntimeUnavailableError, match=r"no libvx_delegate\.so and no device node /dev/galcore; .*\(looked in /usr/lib"
    ):
        find_device("vx", root)
    with pytest.raises(
        RuntimeUnavailableError, match=r"^no NPU on this i\.MX 8M Plus: vx: no lib.*; or teflon: no lib"
    ) as two:
        find_device("npu", board(tmp_path / "two", "i.MX8MP"))
    assert str(two.value).count("/usr/lib,") == str(two.value).count("8M Plus") == 1
    with pytest.raises(RuntimeUnavailableError, match=r"no NPU: this is i\.MX6Q"):
        find_device("npu", board(tmp_path / "old", "i.MX6Q"))


@pytest.mark.parametrize(
    "said", [b"", b"\n\n", b"\0\0", b"\xff\xfe\x1b[31m" * 900, b"x" * 5000, b"i.MX\nmore", None, "folder"]
)
def test_a_system_that_says_nothing_of_use_is_one_line(tmp_path: Path, said: bytes | str | None) -> None:
    root = Path(board(tmp_path, ""))
    for path in (root / "sys/devices/soc0/soc_id", root / "proc/device-tree/compatible"):
        path.unlink()
        if isinstance(said, bytes):
            path.write_bytes(said)
        elif said is not None:
            path.mkdir()
    with pytest.raises(RuntimeUnavailableError, match=r"^no NPU: this is .*run on --device cpu$") as error:
        find_device("npu", str(root))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert find_device("auto", str(root)).kind == "cpu"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "key=value, got ''"),
        ("=b", "got '=b'"),
        ("a=1,a=2", "'a' is given twice"),
        ("a=\0", "NUL"),
        ("a=\udcff", "must be UTF-8"),
        ("k," * 4000, "key=value"),
    ],
)
def test_options_that_would_not_arrive_are_refused(options: str, said: str) -> None:
    with pytest.raises(OptionError, match=said) as error:
        find_device(f"lib.so,{options}")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


def test_options_arrive_as_they_are() -> None:
    delegate = find_device("lib.so,a=,b=c=d,e=two\nlines,\u043a=\u0437").delegate
    assert delegate is not None
    assert delegate.options == {"a": "", "b": "c=d", "e": "two\nlines", "\u043a": "\u0437"}


def test_a_closed_device_node_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = board(tmp_path, "i.MX93", "usr/lib/libethosu_delegate.so", "dev/ethosu0")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    with pytest.raises(RuntimeUnavailableError, match=r"may not open .*ethosu0; .*udev rule"):
        find_device("npu", root)


@pytest.mark.parametrize(
    ("do", "device", "cpu", "partitions"), [("right", 60, 0, 1), ("half", 30, 30, 1), ("holes", 48, 12, 11)]
)
def test_what_ran_is_read_from_the_interpreter(
    device_library: Path, do: str, device: int, cpu: int, partitions: int
) -> None:
    ran = open_session(BUNDLED_MODEL, device=f"{device_library},do={do}").ran
    assert ran is not None
    assert (ran.operators, ran.device, ran.cpu, ran.xnnpack, ran.partitions) == (60, device, cpu, 0, partitions)
    assert sum(ran.left.values()) == cpu


def test_on_the_cpu_xnnpack_is_named() -> None:
    ran = open_session(BUNDLED_MODEL).ran
    assert ran is not None
    assert ran.device == 0
    assert ran.xnnpack > 50
    plain = open_session(BUNDLED_MODEL, xnnpack=False).ran
    assert plain is not None
    assert (plain.cpu, plain.xnnpack) == (60, 0)


def test_a_device_that_took_nothing_is_never_named(device_library: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"took none of the model's 60 operators.*--allow-cpu"):
        Detector(device=f"{device_library},do=nothing")
    detector = Detector(device=f"{device_library},do=nothing", allow_cpu=True)
    assert detector.session.device == "cpu"
    assert "TestDevice" not in repr(detector)


def test_a_device_that_fails_to_prepare_is_quoted(device_library: Path) -> None:
    with pytest.raises(ModelError, match="the device does not answer"):
        open_session(BUNDLED_MODEL, device=f"{device_library},do=fails")


def test_a_right_device_answers_as_the_plain_cpu_does(device_library: Path) -> None:
    def heads(**options: object) -> list[bytes]:
        session = open_session(BUNDLED_MODEL, **options)  # type: ignore[arg-type]
        session.input_view()[:] = np.arange(416, dtype=np.int64).astype(np.int8)[:, None]
        session.invoke()
        return [session.output_view(tensor).tobytes() for tensor in session.outputs]

    assert heads(device=str(device_library)) == heads(xnnpack=False)


def test_models_that_do_not_fit_the_device(tmp_path: Path, device_library: Path, float_model: Path) -> None:
    teflon, ethosu = tmp_path / "libteflon.so", tmp_path / "libethosu_delegate.so"
    for path in (teflon, ethosu):
        path.symlink_to(device_library)
    with pytest.raises(ModelError, match=r"not compiled for the Ethos-U.*fastyolo compile"):
        open_session(BUNDLED_MODEL, device=str(ethosu))
    with pytest.raises(ModelError, match=r"float model.*give it the int8 file"):
        open_session(float_model, device=str(teflon))
    path = edited_model(tmp_path / "per_channel.tflite", a_scale_per_filter)
    with pytest.raises(ModelError, match="a scale per channel"):
        open_session(path, device=str(teflon))


def test_nothing_more_is_imported_for_the_cpu() -> None:
    code = f"import sys, fastyolo; fastyolo.Detector(); print(*sys.modules.keys() & {set(ONLY_FOR_DEVICES)})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
