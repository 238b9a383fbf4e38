"""Video files: what a stream gives is what detecting on the decoded frames one by one gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fastyolo
from clips import NEEDS_PYAV, decoded, make_clip, moving, planes_of, rotate
from fastyolo.frames.frame import Frame
from fastyolo.sources.opening import kind_of, open_source

pytestmark = pytest.mark.pc(NEEDS_PYAV)


@pytest.fixture(scope="module")
def pictures(hopper_path: Path) -> list[Image.Image]:
    return moving(Image.open(hopper_path), 12)


@pytest.fixture(scope="module")
def detector() -> fastyolo.Detector:
    return fastyolo.Detector(threads=1)


def frames(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return [pending.load() for pending in source]


def same(found: fastyolo.Detections, expected: fastyolo.Detections) -> bool:
    return (
        np.array_equal(found.xyxy, expected.xyxy)
        and np.array_equal(found.confidence, expected.confidence)
        and np.array_equal(found.class_id, expected.class_id)
        and found.orig_shape == expected.orig_shape
    )


@pytest.mark.parametrize(
    ("name", "how", "color"),
    [
        ("h264.mp4", {}, "i420"),
        ("frames-out-of-order.mp4", {"options": {"preset": "fast", "bf": "3"}}, "i420"),
        ("hevc.mp4", {"codec": "libx265"}, "i420"),
        ("mjpeg.mkv", {"codec": "mjpeg", "pixels": "yuvj422p"}, "i422"),
        ("bt709.mp4", {"tags": {"colorspace": 1, "color_range": 2}}, "i420"),
    ],
)
def test_every_frame_has_the_boxes_of_the_frame_alone(
    tmp_path: Path, pictures: list[Image.Image], name: str, how: dict[str, Any], color: Any
) -> None:
    clip = make_clip(tmp_path / name, pictures, **how)
    meaning: dict[str, Any] = {"yuv_matrix": "bt601", "yuv_range": "limited"}
    if "mjpeg" in name:
        meaning["yuv_range"] = "full"
    if "709" in name:
        meaning = {"yuv_matrix": "bt709", "yuv_range": "full"}
    alone = fastyolo.Detector(threads=1, **meaning)
    expected = decoded(clip)
    with fastyolo.stream(clip, detector=fastyolo.Detector(threads=1)) as stream:
        found = list(stream)
    assert [result.index for result in found] == list(range(12))
    assert [result.timestamp for result in found] == pytest.approx([frame.time for frame in expected], abs=1e-6)
    assert sum(len(result) for result in found) > 0
    for result, frame in zip(found, expected, strict=True):
        assert same(result, alone(planes_of(frame), color=color))


@pytest.mark.slow
def test_three_hundred_frames_of_coco(tmp_path: Path, coco_dir: Path) -> None:
    paths = sorted((coco_dir / "val2017").glob("*.jpg"))
    pictures = [Image.open(path).convert("RGB").resize((480, 360)) for path in paths[:100]]
    clip = make_clip(tmp_path / "coco.mp4", [picture for picture in pictures for _ in range(3)])
    alone = fastyolo.Detector(yuv_matrix="bt601", yuv_range="limited")
    with fastyolo.stream(clip, detector=fastyolo.Detector()) as stream:
        found = list(stream)
    assert len(found) == 300
    for result, frame in zip(found, decoded(clip), strict=True):
        assert same(result, alone(planes_of(frame), color="i420"))


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("size", [(320, 240), (321, 239)])
def test_rotation_is_honoured(tmp_path: Path, pictures: list[Image.Image], degrees: int, size: tuple[int, int]) -> None:
    upright = [picture.resize(size) for picture in pictures[:2]]
    turned = [picture.rotate(degrees, expand=True) for picture in upright]
    pixels = "yuv420p" if size[0] % 2 == 0 else "yuvj422p"
    codec = "libx264" if size[0] % 2 == 0 else "mjpeg"
    clip = make_clip(tmp_path / "x.mp4", turned, codec=codec, pixels=pixels)
    rotate(clip, degrees)
    from fastyolo.preprocess import to_rgb

    for frame, expected in zip(frames(clip), upright, strict=True):
        assert frame.size == size[::-1]
        error = np.abs(to_rgb(frame).astype(int) - np.asarray(expected).astype(int))
        assert error.mean() < 8  # what coding loses; a wrong turn gives 60


def test_odd_sides(tmp_path: Path, pictures: list[Image.Image], detector: fastyolo.Detector) -> None:
    odd = [picture.resize((639, 427)) for picture in pictures[:3]]
    clip = make_clip(tmp_path / "odd.mkv", odd, codec="mjpeg", pixels="yuvj420p")
    found = list(fastyolo.stream(clip, detector=detector))
    alone = fastyolo.Detector(threads=1, yuv_matrix="bt601", yuv_range="full")
    assert found[0].orig_shape == (427, 639)
    for result, frame in zip(found, decoded(clip), strict=True):
        assert same(result, alone(planes_of(frame), color="i420"))


def test_frames_at_odd_times_keep_them(tmp_path: Path, pictures: list[Image.Image]) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.51, 1.5]
    clip = make_clip(tmp_path / "vfr.mp4", pictures[:6], times=times)
    assert [frame.timestamp for frame in frames(clip)] == pytest.approx(times, abs=1e-3)


def test_720_lines_are_bt709_unless_tagged(tmp_path: Path, hopper_path: Path) -> None:
    large = [Image.open(hopper_path).resize((1280, 720))]
    assert frames(make_clip(tmp_path / "hd.mp4", large))[0].yuv_matrix == "bt709"
    tagged = make_clip(tmp_path / "tagged.mp4", large, tags={"colorspace": 5, "color_range": 1})
    assert frames(tagged)[0].yuv_matrix == "bt601"
    motion_jpeg = make_clip(tmp_path / "hd.mkv", large, codec="mjpeg", pixels="yuvj420p")
    assert (frames(motion_jpeg)[0].yuv_matrix, frames(motion_jpeg)[0].yuv_range) == ("bt601", "full")


def test_planes_are_the_decoders_own(tmp_path: Path, pictures: list[Image.Image]) -> None:
    kept = frames(make_clip(tmp_path / "x.mp4", pictures))
    plane = kept[0].planes[0]
    assert plane.strides[0] > plane.shape[1], "FFmpeg pads rows: this is a copy"
    # All are kept at once, so that a reused buffer would show.
    for frame, expected in zip(kept, decoded(tmp_path / "x.mp4"), strict=True):
        assert np.array_equal(frame.planes[0][..., 0], planes_of(expected)[0])


def test_other_formats_are_converted_with_a_note(tmp_path: Path, pictures: list[Image.Image]) -> None:
    clip = make_clip(tmp_path / "444.mp4", pictures[:1], pixels="yuv444p")
    with open_source(clip) as source:
        assert "yuv444p" in source.notes[0]
        assert next(iter(source)).load().color == "rgb"


def test_a_cut_clip_gives_what_is_left_and_says_so(tmp_path: Path, pictures: list[Image.Image]) -> None:
    clip = make_clip(tmp_path / "x.mp4", pictures, container={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    with fastyolo.stream(clip) as stream:
        found = list(stream)
    assert 0 < len(found) < 12
    assert stream.source.problem is not None
    assert "of its 12 frames" in stream.source.problem
    expected = [frame for frame in decoded_until_fault(clip) if not frame.is_corrupt]
    alone = fastyolo.Detector(threads=1, yuv_matrix="bt601", yuv_range="limited")
    assert all(same(*pair) for pair in zip(found, (alone(planes_of(x), color="i420") for x in expected), strict=False))


def decoded_until_fault(path: Path) -> list[Any]:
    import av

    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                found += packet.decode()
            except av.error.FFmpegError:
                continue
    return found


def test_corrupt_frames_are_counted_and_skipped(tmp_path: Path, pictures: list[Image.Image]) -> None:
    clip = make_clip(tmp_path / "x.mkv", pictures, codec="mjpeg", pixels="yuvj420p")
    content = clip.read_bytes()
    starts = [at for at in range(len(content)) if content[at : at + 3] == b"\xff\xd8\xff"]
    assert len(starts) == 12
    broken = bytearray(content)
    broken[starts[4] : starts[4] + 600] = bytes(600)
    clip.write_bytes(broken)
    with fastyolo.stream(clip) as stream:
        assert [found.index for found in stream] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert stream.corrupt == 1


def test_a_size_that_changes_is_followed(tmp_path: Path, pictures: list[Image.Image]) -> None:
    small = make_clip(tmp_path / "a.h264", pictures[:3], options={"x264-params": "repeat-headers=1"})
    large = [picture.resize((480, 360)) for picture in pictures[:3]]
    make_clip(tmp_path / "b.h264", large, options={"x264-params": "repeat-headers=1"})
    small.write_bytes(small.read_bytes() + (tmp_path / "b.h264").read_bytes())
    sizes = [found.orig_shape for found in fastyolo.stream(small)]
    assert sizes == [(240, 320)] * 3 + [(360, 480)] * 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("no video"), "its data make no sense"),
        (lambda path: path.mkdir(), "not a regular file"),
    ],
)
def test_what_is_no_video_is_one_line(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / "x.mp4"
    make(path)
    with pytest.raises(fastyolo.SourceError, match=said):
        fastyolo.stream(path)


def test_what_a_name_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Image.Image]) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = {
        "-": "stdin",
        "0": "camera",
        "camera?size=640x480": "camera",
        "/dev/video3?fps=30": "camera",
        "rtsp://host/x.jpg": "stream",
        "HTTP://host": "stream",
        "gst:videotestsrc ! appsink": "gst",
        "x.MP4": "video",
        "x.jpg": "picture",
        "folder": "picture",
        "*.mkv": "video",
    }
    assert {name: kind_of(name) for name in kinds} == kinds
    Path("0").mkdir()
    Path("camera").write_bytes(b"\xff\xd8\xff")
    make_clip(tmp_path / "x.mp4", pictures[:1]).rename("clip")
    assert [kind_of(name) for name in ("0", "camera", "clip")] == ["picture", "picture", "video"]
