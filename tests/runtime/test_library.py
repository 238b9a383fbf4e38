"""Files that are no delegate of this machine's: one line each."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fastyolo.errors import RuntimeUnavailableError
from fastyolo.runtime.library import check_library


def refusal(library: Path) -> str:
    with pytest.raises(RuntimeUnavailableError) as error:
        check_library(str(library))
    assert str(error.value).isprintable()
    return str(error.value).replace(str(library), "LIB")


def test_a_library_of_another_processor_is_called_that(tmp_path: Path, device_library: Path) -> None:
    content = bytearray(device_library.read_bytes())
    library = tmp_path / "lib.so"
    for number, name in ((183, "aarch64"), (3, "x86"), (77, "ELF machine 77")):
        content[18:20] = number.to_bytes(2, "little")
        library.write_bytes(content)
        assert refusal(library).startswith(f"cannot load delegate LIB: it is built for {name}, and this is ")


def test_files_that_are_no_library(tmp_path: Path, device_library: Path) -> None:
    library = tmp_path / "lib.so"
    assert refusal(library).startswith("cannot load delegate LIB: cannot open shared object file: No such file")
    for content in (b"", b"text", device_library.read_bytes()[:100]):
        library.write_bytes(content)
        assert refusal(library).startswith("cannot load delegate LIB: ")
    library.unlink()
    library.symlink_to(library)
    assert "symbolic links" in refusal(library)
    library.unlink()
    library.mkdir()
    assert "directory" in refusal(library)


@pytest.mark.parametrize(("has", "lacks"), [("create", "destroy"), ("destroy", "create")])
def test_half_a_delegate_is_none(tmp_path: Path, has: str, lacks: str) -> None:
    source, library = tmp_path / "half.c", tmp_path / "half.so"
    source.write_text(f"void *tflite_plugin_{has}_delegate(void) {{ return 0; }}\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    assert refusal(library) == f"LIB is no TFLite external delegate: it has no function tflite_plugin_{lacks}_delegate"
