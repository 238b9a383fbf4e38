"""What stdin holds is told by its first bytes."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from clips import NEEDS_PYAV, make_clip, moving
from fastyolo.errors import SourceError
from fastyolo.sources.source import FrameSource
from fastyolo.sources.stdin import Picture, Pipe, jpeg_end, read_pipe


@pytest.fixture
def piped() -> Callable[[bytes], Picture | FrameSource]:
    """Gives what `read_pipe` makes of bytes that come through a real pipe."""

    def read(content: bytes) -> Picture | FrameSource:
        ours, theirs = os.pipe()

        def write() -> None:
            with open(theirs, "wb") as file:
                file.write(content)

        threading.Thread(target=write, daemon=True).start()
        return read_pipe(Pipe(ours))

    return read


def encoded(picture: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM"])
def test_one_picture(piped: Callable[[bytes], object], hopper_path: Path, kind: str) -> None:
    content = encoded(Image.open(hopper_path), kind)
    assert piped(content) == Picture(content)


def test_a_preview_inside_a_jpeg_is_no_second_picture(piped: Callable[[bytes], object], hopper_path: Path) -> None:
    picture = Image.open(hopper_path).convert("RGB")
    preview = encoded(picture.reduce(8), "JPEG")
    content = encoded(picture, "JPEG", exif=b"Exif\0\0" + preview, progressive=True)
    assert content.count(b"\xff\xd8\xff") == 2
    assert jpeg_end(content) == len(content)
    assert piped(content) == Picture(content)
    assert jpeg_end(content[:-500]) is None


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b"hello, this is no video at all", "make no sense")])
@pytest.mark.pc(NEEDS_PYAV)
def test_nothing_to_see(piped: Callable[[bytes], object], content: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        piped(content)


@pytest.mark.pc(NEEDS_PYAV)
def test_jpegs_in_a_row_and_videos(piped: Callable[[bytes], object], hopper_path: Path, tmp_path: Path) -> None:
    pictures = moving(Image.open(hopper_path), 5)
    clip = make_clip(tmp_path / "x.mkv", pictures)
    for content in (b"".join(encoded(picture, "JPEG") for picture in pictures), clip.read_bytes()):
        with piped(content) as source:  # type: ignore[attr-defined]
            frames = [pending.load() for pending in source]
        assert [frame.size for frame in frames] == [(240, 320)] * 5
        assert not source.live


@pytest.mark.pc(NEEDS_PYAV)
def test_an_mp4_with_its_index_behind_says_what_to_do(piped: Callable[[bytes], object], tmp_path: Path) -> None:
    # Larger than what is read to find out what it is.
    noise = [Image.effect_noise((640, 480), 200) for _ in range(5)]
    clip = make_clip(tmp_path / "x.mp4", noise, options={"crf": "5"})
    with pytest.raises(SourceError, match="faststart"):
        list(piped(clip.read_bytes()))  # type: ignore[call-overload]
