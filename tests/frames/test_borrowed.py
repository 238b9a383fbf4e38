"""Pillow's own pixels, looked at: the right ones, only where they can be had, and for as long as they are looked at."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fastyolo.detector import Detector
from fastyolo.frames.borrowed import borrow
from fastyolo.frames.picture import load_image, read_picture

# Odd sides: rows of grey would end inside a word.
NOISE = np.random.default_rng(0).integers(0, 256, (21, 29, 3)).astype(np.uint8)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def taken(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = borrow(image)
    assert pixels is not None, "this Pillow gives nothing away: the tests' must be 11.2 or later"
    return pixels


def test_they_are_what_asarray_copies() -> None:
    colour = Image.fromarray(NOISE)
    assert taken(colour).shape == (21, 29, 4)
    np.testing.assert_array_equal(taken(colour)[..., :3], NOISE)
    grey = colour.convert("L")
    assert taken(grey).shape == (21, 29)
    np.testing.assert_array_equal(taken(grey), np.asarray(grey))


def test_they_are_looked_at_not_copied() -> None:
    image = Image.fromarray(NOISE)
    pixels = taken(image)
    image.putpixel((3, 2), (1, 2, 3))
    assert pixels[2, 3, :3].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


def test_they_outlive_the_image() -> None:
    pixels = taken(Image.fromarray(NOISE))[..., :3]
    gc.collect()
    others = [Image.new("RGB", (29, 21), (9, 9, 9)) for _ in range(100)]
    np.testing.assert_array_equal(pixels, NOISE)
    assert len(others) == 100


def test_they_are_let_go_of() -> None:
    code = (
        "from PIL import Image; from fastyolo.frames.borrowed import borrow\n"
        "for _ in range(500): assert borrow(Image.new('RGB', (1000, 1000), 1)) is not None\n"
        # Not getrusage's peak, which a process inherits from the one that started it.
        "print(int(open('/proc/self/statm').read().split()[1]) * 4096 // 1000000)"
    )
    # 500 pictures of 4 MB each.
    megabytes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert int(megabytes.stdout) < 400


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "RGBX", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_other_modes_are_left_to_pillow(mode: str) -> None:
    assert borrow(Image.new(mode, (4, 4))) is None


def test_a_picture_in_several_pieces_is_copied() -> None:
    large = Image.fromarray(np.tile(NOISE, (100, 80, 1)))  # 4 bytes each: more than 16 MB
    assert borrow(large) is None
    picture = read_picture(large, needed=lambda size: size)
    assert picture.color == "rgb"
    np.testing.assert_array_equal(picture.planes[0], np.asarray(large))


def test_padded_rows_are_not_taken_for_whole_ones() -> None:
    code = (
        "import numpy as np; from PIL import Image; from fastyolo.frames.picture import read_picture\n"
        "noise = np.random.default_rng(0).integers(0, 256, (21, 29, 3)).astype(np.uint8)\n"
        "picture = read_picture(Image.fromarray(noise), needed=lambda size: size)\n"
        "assert (picture.planes[0][..., :3] == noise).all()\n"
        "print(picture.color)"
    )
    for alignment, color in (("1", "rgba"), ("64", "rgb")):
        environment = {**os.environ, "PILLOW_ALIGNMENT": alignment}
        run = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert run.stdout.strip() == color


def test_a_pillow_that_gives_nothing_away_gives_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [Image.fromarray(NOISE), Image.fromarray(NOISE).convert("L"), Image.fromarray(NOISE).convert("P")]
    modern = [read_picture(png(image), needed=lambda size: size) for image in images]
    # Before version 11.2.
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    for image, before in zip(images, modern, strict=True):
        after = read_picture(png(image), needed=lambda size: size)
        assert (before.color, after.color) == (("grey", "grey") if image.mode == "L" else ("rgba", "rgb"))
        seen = before.planes[0] if image.mode == "L" else before.planes[0][..., :3]
        np.testing.assert_array_equal(seen, after.planes[0])


def test_what_users_get_of_load_image_is_their_own_copy() -> None:
    image = Image.fromarray(NOISE)
    pixels = load_image(image)
    image.putpixel((0, 0), (0, 0, 0))
    np.testing.assert_array_equal(pixels, NOISE)
    assert pixels.flags.c_contiguous


@pytest.mark.inference
def test_grey_and_colour_files_detect_as_their_arrays(hopper: npt.NDArray[np.uint8]) -> None:
    detector = Detector()
    colour = Image.fromarray(hopper)
    grey = colour.convert("L")
    for from_file, from_array in (
        (detector(png(colour)), detector(hopper)),
        (detector(png(grey)), detector(np.asarray(grey), color="grey")),
    ):
        np.testing.assert_array_equal(from_file.xyxy, from_array.xyxy)
        np.testing.assert_array_equal(from_file.confidence, from_array.confidence)


@pytest.mark.inference
def test_a_detector_copies_no_pixels_of_a_file(hopper: npt.NDArray[np.uint8]) -> None:
    # A PNG: Pillow reads it in small pieces. NumPy's and Python's memory is counted, Pillow's own is not.
    detector, data = Detector(), png(Image.fromarray(hopper))
    detector(data)
    tracemalloc.start()
    try:
        detector(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < hopper.nbytes
