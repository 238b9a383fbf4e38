"""Network streams, from real servers on this machine that are cut and come back."""

from __future__ import annotations

import io
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import fastyolo
from clips import NEEDS_PYAV, make_clip, moving
from fastyolo.errors import SourceError
from fastyolo.sources.stdin import Picture
from fastyolo.sources.streams import fetch, without_password
from fastyolo.streaming import retrying
from mjpeg_server import serving

pytestmark = pytest.mark.pc(NEEDS_PYAV)

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parents[1] / "support" / "rtsp_server.py"


@pytest.fixture(scope="module")
def pictures(hopper_path: Path) -> list[Image.Image]:
    return moving(Image.open(hopper_path), 6)


@pytest.fixture(scope="module")
def jpegs(pictures: list[Image.Image]) -> list[bytes]:
    def encoded(picture: Image.Image) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG")
        return buffer.getvalue()

    return [encoded(picture) for picture in pictures]


@pytest.fixture(scope="module")
def detector() -> fastyolo.Detector:
    return fastyolo.Detector(threads=1)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def rtsp_server(port: int) -> Iterator[None]:
    process = subprocess.Popen([SYSTEM_PYTHON, SERVER, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "needs Debian's gir1.2-gst-rtsp-server-1.0"
        yield
    finally:
        process.kill()
        process.communicate()


def test_a_cut_http_camera_is_opened_again(
    jpegs: list[bytes], detector: fastyolo.Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.05)
    said: list[str] = []
    with serving(jpegs, most=8) as server:
        address = f"{server.address}/camera"
        with fastyolo.stream(address, detector=detector, retry=2, report=said.append, max_frames=15) as stream:
            found = list(stream)
        assert stream.source.live
        assert len(found) == 15
        assert [result.index for result in found] == sorted({result.index for result in found})
        assert all(result.age is not None and result.age < 1 for result in found)
        assert server.connections >= 2
        assert said[0].endswith("/camera has ended; trying again in 0.05 s (1 of 2)")
        with pytest.raises(SourceError, match="has ended"):
            list(fastyolo.stream(address, detector=detector))


def test_closing_does_not_wait_for_a_silent_server(jpegs: list[bytes], detector: fastyolo.Detector) -> None:
    with serving(jpegs, rate=0.1) as server:
        server.pictures = jpegs
        stream = fastyolo.stream(f"{server.address}/camera", detector=detector)
        time.sleep(0.1)
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 0.8
        assert not [thread for thread in threading.enumerate() if thread.name == "fastyolo read"]


def test_what_a_server_may_send(jpegs: list[bytes], tmp_path: Path, pictures: list[Image.Image]) -> None:
    clip = make_clip(tmp_path / "x.mp4", pictures)
    with serving(jpegs) as server:
        server.clip = clip.read_bytes()
        assert fetch(f"{server.address}/one.jpg") == Picture(jpegs[0])
        with fastyolo.stream(f"{server.address}/clip") as stream:
            assert not stream.source.live
            assert len(list(stream)) == 6
        for path, said in (("/page", "is text/html"), ("/gone", "answers 404")):
            with pytest.raises(SourceError, match=said):
                fetch(server.address + path)
        with pytest.raises(SourceError, match="single picture"):
            fastyolo.stream(f"{server.address}/one.jpg")
    with pytest.raises(SourceError, match="refused"):
        fetch(server.address)


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:secret@host/x@y") == "rtsp://host/x@y"
    with pytest.raises(SourceError) as error:
        fetch(f"http://me:secret@127.0.0.1:{free_port()}/camera")
    assert "secret" not in str(error.value)


@pytest.mark.slow
def test_a_cut_rtsp_camera_is_opened_again(detector: fastyolo.Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.2)
    port = free_port()
    address = f"rtsp://127.0.0.1:{port}/h264"
    said: list[str] = []
    with rtsp_server(port):
        stream = fastyolo.stream(address, detector=detector, retry=8, report=said.append)
        first = [next(stream) for _ in range(5)]
        with fastyolo.stream(f"rtsp://127.0.0.1:{port}/jpeg", detector=detector, max_frames=3) as jpeg:
            assert [found.orig_shape for found in jpeg] == [(240, 320)] * 3
    assert first[-1].orig_shape == (240, 320)
    with rtsp_server(port):
        while not said:
            next(stream)
        later = [next(stream) for _ in range(5)]
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 1
    assert "trying again" in said[0]
    indices = [found.index for found in (*first, *later)]
    assert indices == sorted(set(indices))
    assert later[-1].timestamp is not None
    assert first[-1].timestamp is not None
    assert later[-1].timestamp > first[-1].timestamp
    with pytest.raises(SourceError, match="refused"):
        fastyolo.stream(address, detector=detector)
