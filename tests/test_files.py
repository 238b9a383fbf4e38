"""A file appears complete, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from fastyolo.errors import FastYoloError
from fastyolo.files import atomic_write, shown


def test_content_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.bin"
    with atomic_write(target) as file:
        file.write(b"half")
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_text_is_utf8_with_the_line_ends_as_written(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "out.csv", text=True) as file:
        file.write("größe\r\nnächste\n")
    assert (tmp_path / "out.csv").read_bytes() == "größe\r\nnächste\n".encode()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError, GeneratorExit])
def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")

    def write_and_stop() -> None:
        with atomic_write(target, text=True) as file:
            file.write("new")
            raise interruption

    with pytest.raises(interruption):
        write_and_stop()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "out"):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_symbolic_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(original)
    with atomic_write(link, text=True) as file:
        file.write("new")
    assert not link.is_symlink()
    assert original.read_text() == "precious"


def test_a_relative_name_is_written_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_write("plain.txt", text=True) as file:
        file.write("x")
    assert os.listdir(tmp_path) == ["plain.txt"]


def _error(path: str | Path) -> str:
    with pytest.raises(FastYoloError) as caught, atomic_write(path):
        pass
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert _error(tmp_path / "nowhere" / "x.png").endswith(f"the folder {tmp_path / 'nowhere'} does not exist")


def test_a_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    assert "it is a folder" in _error(tmp_path / "x.png")


def test_a_file_as_parent_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in _error(tmp_path / "file" / "x.png")


def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    # A pipe of our own stands for /dev/null: were the check to fail, a test run as root would replace the real one.
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in _error(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("name", ["", "nul\0l", "x" * 300])
def test_impossible_names_are_one_line_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert _error(name).startswith("cannot write ")
    assert os.listdir(tmp_path) == []


def test_no_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "x")

    # Tests may run as root, whom no permission bits stop.
    monkeypatch.setattr(os, "replace", refuse)
    assert _error(tmp_path / "x.png").endswith(f"no permission to write in {tmp_path}")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FastYoloError, match="No space left on device"), atomic_write(tmp_path / "x.bin"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert os.listdir(tmp_path) == []


def test_the_blocks_own_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="weights"), atomic_write(tmp_path / "x.bin"):
        open(tmp_path / "weights")  # noqa: SIM115
    with pytest.raises(OSError, match="elsewhere") as caught, atomic_write(tmp_path / "x.bin"):
        raise OSError(errno.ENOSPC, "No space left on device", "elsewhere")
    assert not isinstance(caught.value, FastYoloError)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("straße.jpg", "straße.jpg"),
        ("two\nlines\x1b[31m.jpg", "two\\nlines\\x1b[31m.jpg"),
        (b"caf\xe9.jpg", "caf\\udce9.jpg"),
        ("", "''"),
    ],
)
def test_shown_names_fit_on_one_printable_line(path: str | bytes, text: str) -> None:
    assert shown(path) == text
    assert shown(path).isprintable()
