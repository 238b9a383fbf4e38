"""The vx graph cache, against a delegate that believes its cache file as VX's was measured to."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastyolo.cli.app import make_app
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.runtime import graph_cache
from fastyolo.runtime.session import open_session


@pytest.fixture
def vx(tmp_path: Path, device_library: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library = tmp_path / "libvx_delegate.so"
    library.symlink_to(device_library)
    return f"{library},do=cache"


def heads(device: str, model: Path = BUNDLED_MODEL, **options: bool) -> list[bytes]:
    session = open_session(model, device=device, **options)
    session.input_view()[:] = 3
    session.invoke()
    return [session.output_view(tensor).tobytes() for tensor in session.outputs]


@pytest.fixture(scope="module")
def right() -> list[bytes]:
    session = open_session(BUNDLED_MODEL, xnnpack=False)
    session.input_view()[:] = 3
    session.invoke()
    return [session.output_view(tensor).tobytes() for tensor in session.outputs]


def kept() -> Path:
    (entry,) = graph_cache.entries()
    return entry.path


def test_the_second_start_takes_the_kept_graph(vx: str, right: list[bytes]) -> None:
    assert heads(vx) == right
    made = kept().stat().st_mtime_ns
    first_run = open_session(BUNDLED_MODEL, device=vx).first_run
    assert first_run is not None
    assert first_run.graph is not None
    assert first_run.graph.loaded
    del first_run  # never run: the graph stays believed
    gc.collect()
    assert heads(vx) == right
    assert kept().stat().st_mtime_ns == made
    assert [path.name for path in graph_cache.cache_folder().iterdir() if path.name.startswith(".")] == []


def test_another_models_graph_is_never_taken(vx: str, right: list[bytes], tmp_path: Path) -> None:
    heads(vx)
    other = tmp_path / "other.tflite"
    other.write_bytes(BUNDLED_MODEL.read_bytes() + b"more")
    heads(vx, other)
    mine, theirs = (entry.path for entry in graph_cache.entries())
    assert mine != theirs
    content = bytearray(mine.read_bytes())
    content[4:] = bytes([200]) * (len(content) - 4)
    for path in (mine, theirs):
        path.write_bytes(content)
    assert heads(vx) == right


@pytest.mark.parametrize("share", [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.95, 0.9999])
def test_a_cut_graph_is_thrown_away(vx: str, right: list[bytes], share: float) -> None:
    heads(vx)
    content = kept().read_bytes()
    kept().write_bytes(content[: int(len(content) * share)])
    assert heads(vx) == right
    assert kept().read_bytes() == content


def test_noise_is_thrown_away(vx: str, right: list[bytes]) -> None:
    heads(vx)
    kept().write_bytes(os.urandom(65536))
    assert heads(vx) == right


def test_a_run_killed_while_it_compiles_leaves_nothing_to_believe(vx: str, right: list[bytes]) -> None:
    code = f"import fastyolo, numpy; fastyolo.Detector(device='{vx},slow=20000')(numpy.zeros((8, 8, 3), 'uint8'))"
    process = subprocess.Popen([sys.executable, "-c", code])
    folder = graph_cache.cache_folder()
    until = time.monotonic() + 60
    while time.monotonic() < until and not any(path.stat().st_size for path in folder.glob(".*.make")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(folder.glob(".*.make"))
    assert graph_cache.entries() == []
    assert heads(vx) == right
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_two_processes_at_once_do_no_harm(vx: str, right: list[bytes]) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(heads, [f"{vx},slow=300"] * 2) == [right, right]
    assert heads(f"{vx},slow=300") == right
    kept()


def test_a_folder_that_cannot_be_used_is_a_warning(vx: str, right: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.warns(UserWarning, match="the compiled graph is not kept"):
        assert heads(vx) == right


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own in place of the cache folder, with these options of mount(8)."""
    folder = tmp_path / "cache"

    def mount(options: str) -> Path:
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs root, to mount a file system")
        return folder

    yield mount
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def test_a_folder_that_cannot_be_written_is_a_warning(
    vx: str, right: list[bytes], mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=1m,mode=777")
    assert heads(vx) == right
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.warns(UserWarning, match="the compiled graph is not kept: .*Read-only"):
        assert heads(vx) == right


# Of a graph of 64 KB: no byte fits, a part of it, it but not its copy, its copy but not what is spare.
@pytest.mark.parametrize("kilobytes", [0, 4, 40, 64, 80, 128, 160])
def test_a_full_disk_keeps_no_short_graph(
    vx: str, right: list[bytes], mounted: Callable[[str], Path], kilobytes: int
) -> None:
    folder = mounted("size=256k,mode=777")
    (folder / "other").write_bytes(bytes((256 - kilobytes) * 1024))
    for _ in range(2):  # the second start finds what the first has left
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert heads(vx) == right
        assert any(re.search("not kept: .*No space left", str(warning.message)) for warning in warned)
    assert [path for path in graph_cache.cache_folder().iterdir() if path.is_file()] == []
    (folder / "other").unlink()
    assert heads(vx) == right
    kept()


def test_a_disk_that_fills_up_while_the_graph_is_copied(
    vx: str, right: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="not kept: No space left"):
        assert heads(vx) == right
    assert list(graph_cache.cache_folder().iterdir()) == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"sha256": 5}', '{"model": "other"}'])
def test_a_record_that_says_nothing_of_the_graph(vx: str, right: list[bytes], content: str) -> None:
    heads(vx)
    kept().with_suffix(".json").write_text(content)
    assert heads(vx) == right
    assert [entry.sound for entry in graph_cache.entries()] == [True]


def test_what_the_delegate_loads_is_what_was_verified(vx: str, right: list[bytes]) -> None:
    heads(vx)
    session = open_session(BUNDLED_MODEL, device=vx)
    kept().write_bytes(os.urandom(65536))  # after it was verified, before the first inference
    for _ in range(3):
        session.input_view()[:] = 3
        session.invoke()
        assert [session.output_view(tensor).tobytes() for tensor in session.outputs] == right


def test_a_file_of_the_users_own_is_passed_on_with_a_warning(vx: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    with pytest.warns(UserWarning, match="passed on as it is.*another model's"):
        heads(f"{vx},allowed_cache_mode=true,cache_file_path={own}")
    assert own.stat().st_size == 65536
    assert graph_cache.entries() == []


def test_it_can_be_left_out_listed_and_cleared(vx: str, capsys: pytest.CaptureFixture[str]) -> None:
    heads(vx, graph_cache=False)
    assert graph_cache.entries() == []
    heads(vx)
    for arguments, said in (
        (["cache"], "yolov4-tiny_416_int8"),
        (["cache", "--clear"], "removed 1"),
        (["cache"], "nothing"),
    ):
        make_app()(args=arguments, standalone_mode=False)
        assert said in capsys.readouterr().out
