"""Every pixel format against OpenCV's conversion, and against the textbook's in float64."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import Detector
from fastyolo.errors import ImageError, OptionError
from fastyolo.frames.colors import LAYOUTS, Color, YuvMatrix, YuvRange
from fastyolo.frames.frame import MAX_SIDE, view_frame
from fastyolo.preprocess import Preprocessor, to_rgb
from matching import iou_table

UInt8 = npt.NDArray[np.uint8]
FORMATS: tuple[Color, ...] = get_args(Color)
PACKED = tuple(color for color in FORMATS if "rgb" in color or "bgr" in color)
YUV = tuple(color for color in FORMATS if color not in PACKED and color != "grey")
TO_RGB = {
    "rgb": lambda image: image,
    "bgr": lambda image: image[..., ::-1],
    "rgba": lambda image: image[..., :3],
    "bgra": lambda image: image[..., 2::-1],
    "rgbx": lambda image: image[..., :3],
    "bgrx": lambda image: image[..., 2::-1],
    "xrgb": lambda image: image[..., 1:],
    "xbgr": lambda image: image[..., :0:-1],
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_GRAY2RGB),
    "nv12": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_NV12),
    "nv21": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_NV21),
    "i420": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_I420),
    "yv12": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YV12),
    "i422": lambda image: cv2.cvtColor(yuyv_of_i422(image), cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YUYV),
    "uyvy": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_UYVY),
    "yvyu": lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YVYU),
}


def yuyv_of_i422(image: UInt8) -> UInt8:
    """OpenCV has no name for planar 4:2:2; the same bytes in another order."""
    height, width = image.shape[0] // 2, image.shape[1]
    u, v = image[height:].reshape(2, height, width // 2)
    return np.stack([image[:height], np.stack([u, v], axis=-1).reshape(height, width)], axis=-1)


def shape_of(color: Color, height: int, width: int) -> tuple[int, ...]:
    """Of one array with all planes."""
    if color == "grey":
        return (height, width)
    if color in ("nv12", "nv21", "i420", "yv12"):
        return (height * 3 // 2, width)
    if color == "i422":
        return (height * 2, width)
    return (height, width, 2 if color in YUV else len(color))


def noise(color: Color, height: int, width: int) -> UInt8:
    """Every byte possible beside every other, colours far outside of RGB among them."""
    return np.random.default_rng(height * width).integers(0, 256, shape_of(color, height, width), np.uint8)


def chroma_of(color: Color, image: UInt8, height: int, width: int) -> tuple[UInt8, UInt8, UInt8]:
    """Luma, Cb and Cr at every pixel, by indexing alone."""
    if color in ("yuyv", "uyvy", "yvyu"):
        luma, rest = (image[..., 1], image[..., 0]) if color == "uyvy" else (image[..., 0], image[..., 1])
        first, second = rest[:, ::2].repeat(2, axis=1), rest[:, 1::2].repeat(2, axis=1)
    else:
        luma, rest = image[:height], image[height:]
        if color in ("nv12", "nv21"):
            first, second = rest[:, ::2], rest[:, 1::2]
        else:
            first, second = rest.reshape(2, -1, width // 2)
        down = height // first.shape[0]
        first, second = (part.repeat(2, axis=1).repeat(down, axis=0) for part in (first, second))
    return (luma, second, first) if color in ("nv21", "yv12", "yvyu") else (luma, first, second)


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize("size", [(2, 2), (2, 8), (38, 2), (46, 34), (240, 320), (416, 416), (1080, 1920)])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_is_what_opencv_converts_and_resizes(color: Color, size: tuple[int, int], resize: Any) -> None:
    image = noise(color, *size)
    rgb = np.ascontiguousarray(TO_RGB[color](image))
    tensor = Preprocessor((416, 416), dtype=np.uint8, resize=resize)(image, color=color)[0].astype(int)
    allowed = 2 if color in YUV else 1
    if resize == "stretch":
        expected = cv2.resize(rgb, (416, 416), interpolation=cv2.INTER_LINEAR)
        assert np.abs(tensor - expected).max() <= allowed
    from_rgb = Preprocessor((416, 416), dtype=np.uint8, resize=resize)(rgb)[0]
    assert np.abs(tensor - from_rgb).max() <= allowed


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (1, 700), (700, 1)])
@pytest.mark.parametrize("color", [*PACKED, "grey"])
def test_the_smallest_pictures(color: Color, size: tuple[int, int]) -> None:
    image = noise(color, *size)
    tensor = Preprocessor((32, 48), dtype=np.uint8)(image, color=color)[0].astype(int)
    expected = cv2.resize(np.ascontiguousarray(TO_RGB[color](image)), (48, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(tensor - expected).max() <= 1


@pytest.mark.parametrize("color", FORMATS)
@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_the_other_dtypes_hold_the_same(color: Color, dtype: type) -> None:
    image = noise(color, 90, 160)
    steps = Preprocessor((64, 64), dtype=np.uint8)(image, color=color).astype(int)
    tensor = Preprocessor((64, 64), dtype=dtype)(image, color=color)
    if dtype == np.int8:
        np.testing.assert_array_equal(tensor, steps - 128)
    else:
        assert np.abs(tensor * 255 - steps).max() <= 0.55


@pytest.mark.parametrize("color", FORMATS)
def test_any_quantisation(color: Color) -> None:
    image = noise(color, 90, 160)
    real = Preprocessor((64, 64), dtype=np.float32)(image, color=color)
    tensor = Preprocessor((64, 64), dtype=np.int8, quantization=(0.0078, 3), input_range=(0, 1))(image, color=color)
    np.testing.assert_allclose(tensor, np.clip(real / 0.0078 + 3, -128, 127), atol=0.51)


@pytest.mark.parametrize("color", [*PACKED, "grey"])
def test_a_picture_of_the_networks_size_is_not_changed(color: Color) -> None:
    image = noise(color, 64, 96)
    expected = TO_RGB[color](image)
    np.testing.assert_array_equal(Preprocessor((64, 96), dtype=np.uint8)(image, color=color)[0], expected)
    np.testing.assert_allclose(
        Preprocessor((64, 96), dtype=np.float32)(image, color=color)[0], expected / 255, rtol=1e-6
    )


@pytest.mark.parametrize("matrix", get_args(YuvMatrix))
@pytest.mark.parametrize("value_range", get_args(YuvRange))
@pytest.mark.parametrize("color", YUV)
def test_colours_are_the_textbooks(color: Color, matrix: YuvMatrix, value_range: YuvRange) -> None:
    image = noise(color, 60, 80)
    luma, blue_chroma, red_chroma = (part.astype(float) for part in chroma_of(color, image, 60, 80))
    red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    if value_range == "limited":
        y, cb, cr = (np.maximum(luma, 16) - 16) / 219, (blue_chroma - 128) / 224, (red_chroma - 128) / 224
    else:
        y, cb, cr = luma / 255, (blue_chroma - 128) / 255, (red_chroma - 128) / 255
    red, blue = y + 2 * (1 - red_weight) * cr, y + 2 * (1 - blue_weight) * cb
    green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    expected = np.clip(np.stack([red, green, blue], axis=-1), 0, 1) * 255
    ours = to_rgb(replace(view_frame(image, color), yuv_matrix=matrix, yuv_range=value_range))
    assert np.abs(ours - expected).max() <= 0.65


def test_grey_stays_grey_and_the_ends_of_the_range_are_reached() -> None:
    luma = np.array([[0, 16, 17, 126, 235, 255]], np.uint8).repeat(2, axis=0)
    image = np.concatenate([luma, np.full((1, 6), 128, np.uint8)])
    frame = view_frame(image, "nv12")
    rgb = to_rgb(frame)
    assert (rgb == rgb[..., :1]).all()
    assert rgb[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]
    assert to_rgb(replace(frame, yuv_range="full"))[0, :, 0].tolist() == [0, 16, 17, 126, 235, 255]


@pytest.mark.parametrize("color", FORMATS)
def test_padded_rows_and_read_only_memory_are_taken_as_they_are(color: Color) -> None:
    image = noise(color, 50, 70)
    padded = np.zeros((image.shape[0], image.shape[1] + 10, *image.shape[2:]), np.uint8)
    padded[:, :70] = image
    padded.flags.writeable = False
    prepare = Preprocessor((64, 64))
    if color in ("i420", "yv12", "i422"):
        with pytest.raises(ImageError, match=r"must be C-contiguous; pass the planes: \(y, u, v\)"):
            prepare(padded[:, :70], color=color)
        return
    np.testing.assert_array_equal(prepare(padded[:, :70], color=color), prepare(image, color=color))
    # Neither rows nor pixels side by side.
    spread = np.zeros((image.shape[0] * 2, image.shape[1] * 3, *image.shape[2:]), np.uint8)
    spread[::2, ::3] = image
    np.testing.assert_array_equal(prepare(spread[::2, ::3], color=color), prepare(image, color=color))


def test_the_table_has_a_row_for_every_name() -> None:
    assert tuple(LAYOUTS) == FORMATS


def planes_of(color: Color, height: int, width: int) -> tuple[UInt8, ...]:
    """Noise as planes of their own, the size odd or even."""
    random = np.random.default_rng(height + width)
    half = -(-width // 2)
    chroma = {
        "nv12": [(-(-height // 2), half, 2)],
        "i420": [(-(-height // 2), half)] * 2,
        "i422": [(height, half)] * 2,
    }[{"nv21": "nv12", "yv12": "i420"}.get(color, color)]
    return tuple(random.integers(0, 256, shape, np.uint8) for shape in [(height, width), *chroma])


PLANAR = ("nv12", "nv21", "i420", "yv12", "i422")


@pytest.mark.parametrize("color", PLANAR)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (427, 639), (90, 160)])
def test_planes_of_odd_pictures_are_those_of_the_next_even_one(color: Color, size: tuple[int, int]) -> None:
    """The last row and column of chroma serve one luma each."""
    planes = planes_of(color, *size)
    even = [side + side % 2 for side in size]
    luma = np.pad(planes[0], ((0, size[0] % 2), (0, size[1] % 2)))
    chroma = list(planes[1:])
    if color == "i422":
        chroma = [np.pad(plane, ((0, size[0] % 2), (0, 0))) for plane in chroma]
    array = np.concatenate([plane.reshape(-1) for plane in (luma, *chroma)]).reshape(-1, even[1])
    expected = to_rgb(view_frame(array, color))[: size[0], : size[1]]
    np.testing.assert_array_equal(to_rgb(view_frame(planes, color)), expected)


@pytest.mark.parametrize("color", PLANAR)
def test_planes_may_lie_anywhere(color: Color) -> None:
    """A decoder's rows of padding between planes, strides of their own, reversed, read-only: nothing is copied."""
    planes = planes_of(color, 60, 80)
    expected = Preprocessor((64, 64))(planes, color=color)
    padded = []
    for plane in planes:
        room = np.full((plane.shape[0] + 8, plane.shape[1] + 24, *plane.shape[2:]), 77, np.uint8)
        room[: plane.shape[0], : plane.shape[1]] = plane
        room.flags.writeable = False
        padded.append(room[: plane.shape[0], : plane.shape[1]])
    np.testing.assert_array_equal(Preprocessor((64, 64))(tuple(padded), color=color), expected)
    reverse = tuple(np.ascontiguousarray(plane[::-1, ::-1])[::-1, ::-1] for plane in planes)
    np.testing.assert_array_equal(Preprocessor((64, 64))(list(reverse), color=color), expected)
    assert all(view.base is not None for view in view_frame(tuple(padded), color).planes)


def test_chroma_in_turn_may_come_as_rows_of_bytes() -> None:
    luma, chroma = planes_of("nv12", 60, 80)
    prepare = Preprocessor((64, 64))
    expected = prepare((luma, chroma), color="nv12")
    np.testing.assert_array_equal(prepare((luma, chroma.reshape(30, 80)), color="nv12"), expected)


@pytest.mark.parametrize(
    ("color", "planes", "said"),
    [
        ("nv12", [(4, 4)], "must have 2 planes, got 1"),
        ("i420", [(4, 4), (2, 2), (2, 3)], r"plane 2 of a 4 x 4 image must have shape \(2, 2, 1\), got \(2, 3\)"),
        ("nv12", [(4, 4), (4, 2, 2)], r"plane 1 of a 4 x 4 image must have shape \(2, 2, 2\)"),
        ("i422", [(0, 4), (0, 2), (0, 2)], "plane 0"),
        ("rgb", [(4, 4, 3), (4, 4, 3)], "must have 1 planes, got 2"),
        ("grey", [(4, 4, 3)], r"\(height, width\) array"),
    ],
)
def test_other_planes_are_refused(color: Color, planes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        Preprocessor((32, 32))(tuple(np.zeros(shape, np.uint8) for shape in planes), color=color)


def test_planes_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(ImageError, match="plane 1 of an image must be a uint8 array, got float32"):
        Preprocessor((32, 32))((np.zeros((4, 4), np.uint8), np.zeros((2, 2, 2), np.float32)), color="nv12")
    with pytest.raises(ImageError, match="plane 0 of an image must be a uint8 array, got list"):
        Preprocessor((32, 32))(([[1, 2], [3, 4]], 7), color="nv12")  # type: ignore[arg-type]


def test_rows_may_lie_gigabytes_apart() -> None:
    """A 3 GB stride, over a file of holes; int32 arithmetic would wrap."""
    stride = 3 * 2**30
    with tempfile.TemporaryFile() as file:
        file.truncate(stride + 4096)
        far = np.lib.stride_tricks.as_strided(np.memmap(file, np.uint8, "r+"), shape=(2, 32, 3), strides=(stride, 3, 1))
        far[...] = noise("rgb", 2, 32)
        for image in (far, far[::-1], far[:, ::-1]):
            np.testing.assert_array_equal(Preprocessor((16, 16))(image), Preprocessor((16, 16))(image.copy()))


@pytest.mark.parametrize("color", ["rgb", "grey", "nv12"])
def test_rows_too_long_for_32_bits_are_refused(color: Color) -> None:
    wide = np.broadcast_to(np.uint8(0), shape_of(color, 2, MAX_SIDE + 2))
    with pytest.raises(ImageError, match=f"at most {MAX_SIDE} pixels"):
        Preprocessor((16, 16))(wide, color=color)


def test_a_channel_axis_of_one_is_grey_too() -> None:
    image = noise("grey", 20, 30)
    prepare = Preprocessor((64, 64))
    np.testing.assert_array_equal(prepare(image[..., np.newaxis], color="grey"), prepare(image, color="grey"))


def test_one_preprocessor_takes_changing_formats() -> None:
    prepare = Preprocessor((32, 32))
    for color in (*FORMATS, *reversed(FORMATS)):
        image = noise(color, 20, 30)
        np.testing.assert_array_equal(prepare(image, color=color), Preprocessor((32, 32))(image, color=color))


@pytest.mark.parametrize(
    ("color", "shape", "said"),
    [
        ("grey", (4, 4, 3), r"\(height, width\) array, got uint8 \(4, 4, 3\)"),
        ("rgba", (4, 4, 3), r"\(height, width, 4\)"),
        ("bgra", (4, 4), r"\(height, width, 4\)"),
        ("nv12", (5, 4), "even"),
        ("nv12", (6, 5), "even"),
        ("nv12", (6, 4, 3), "even"),
        ("yuyv", (6, 5, 2), "width even"),
        ("yuyv", (6, 4), "width even"),
        ("uyvy", (6, 5, 2), "width even"),
        ("xrgb", (6, 4, 3), r"\(height, width, 4\)"),
        ("i420", (6, 5), r"\(height \* 3 / 2, width\) array, height and width even, or its planes"),
        ("yv12", (8, 4), "even"),
        ("i422", (5, 4), r"\(height \* 2, width\) array, width even"),
        ("grey", (0, 4), r"\(0, 4\)"),
    ],
)
def test_another_shape_is_refused_by_name(color: Color, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        Preprocessor((32, 32))(np.zeros(shape, np.uint8), color=color)
    with pytest.raises(ImageError, match="uint8"):
        Preprocessor((32, 32))(np.zeros(shape_of(color, 4, 4), np.float32), color=color)


def test_unknown_options_name_those_there_are() -> None:
    with pytest.raises(OptionError, match="'uyvy', 'yvyu', got 'p010'"):
        Preprocessor((32, 32))(np.zeros((6, 4), np.uint8), color="p010")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'bt601' or 'bt709', got 'bt2020'"):
        Preprocessor((32, 32), yuv_matrix="bt2020")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="'limited' or 'full', got 'jpeg'"):
        Detector(yuv_range="jpeg")  # type: ignore[arg-type]


@pytest.mark.inference
def test_the_detector_finds_the_same_in_every_format(hopper: UInt8) -> None:
    even = np.ascontiguousarray(hopper[:600, :512])
    height, width = even.shape[:2]
    i420 = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
    chroma = i420[height:].reshape(2, height // 2, width // 2)
    full = i420[:height].repeat(2).reshape(height, width, 2)
    full[:, ::2, 1] = chroma[0].repeat(2, axis=0)
    full[:, 1::2, 1] = chroma[1].repeat(2, axis=0)
    images: dict[Color, UInt8] = {
        "rgb": even,
        "bgr": np.ascontiguousarray(even[..., ::-1]),
        "rgba": cv2.cvtColor(even, cv2.COLOR_RGB2RGBA),
        "bgra": cv2.cvtColor(even, cv2.COLOR_RGB2BGRA),
        "nv12": np.concatenate([i420[:height], chroma.transpose(1, 2, 0).reshape(height // 2, width)]),
        "yuyv": full,
        "uyvy": full[..., ::-1],
        "i420": i420,
    }
    detector = Detector()
    expected = detector(even)
    for color, image in images.items():
        found = detector(image, color=color)
        assert found.orig_shape == (height, width)
        assert found.class_id.tolist() == expected.class_id.tolist(), color
        overlap = iou_table(found.xyxy, expected.xyxy).diagonal()
        assert overlap.min() > (0.9 if color in YUV else 0.9999)  # chroma of half the resolution
        # What is drawn on is the picture, not its bytes.
        assert np.abs(np.asarray(found[:0].plot(image, color=color)).astype(int) - even).mean() < 3
    assert len(detector(cv2.cvtColor(even, cv2.COLOR_RGB2GRAY), color="grey")) >= 1
