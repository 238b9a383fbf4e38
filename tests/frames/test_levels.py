"""Grey of more than 8 bits: the file says what its black and white are, or nobody does."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastyolo.errors import ImageError
from fastyolo.frames.picture import load_image, read_picture

MIN_SAMPLE, MAX_SAMPLE, SMIN_SAMPLE, SMAX_SAMPLE, PHOTOMETRIC = 280, 281, 340, 341, 262


def tiff(array: np.ndarray[Any, Any], **tags: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "TIFF", tiffinfo={int(key[1:]): value for key, value in tags.items()})
    return buffer.getvalue()


def grey(content: bytes) -> list[int]:
    return load_image(content)[0, :, 1].tolist()


BYTES = np.array([[0, 100, 200, 255]])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_a_deep_tiff_that_says_nothing_is_refused(dtype: type) -> None:
    with pytest.raises(ImageError, match="nothing says what is white; convert it to 8-bit grey or RGB"):
        load_image(tiff(BYTES.astype(dtype)))


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_a_tiff_is_read_by_the_largest_value_that_it_names(dtype: type) -> None:
    assert grey(tiff(BYTES.astype(dtype), t281=255)) == [0, 100, 200, 255]
    assert grey(tiff((BYTES * 4).astype(dtype), t281=1020)) == [0, 100, 200, 255]


def test_floats_with_a_range_are_taken() -> None:
    assert grey(tiff((BYTES / 255).astype(np.float32), t340=0.0, t341=1.0)) == [0, 100, 200, 255]
    assert grey(tiff((BYTES / 255 * 2 - 1).astype(np.float32), t340=-1.0, t341=1.0)) == [0, 100, 200, 255]


def test_16_bits_that_say_nothing_use_them_all() -> None:
    assert grey(tiff((BYTES * 257).astype(np.uint16))) == [0, 100, 200, 255]


def test_white_may_be_zero() -> None:
    assert grey(tiff((BYTES * 257).astype(np.uint16), t262=0)) == [255, 155, 55, 0]


def test_a_file_that_goes_beyond_its_own_range_is_refused() -> None:
    with pytest.raises(ImageError, match=r"beyond 0\.\.199, which is its range"):
        load_image(tiff(BYTES.astype(np.int32), t281=199))
    with pytest.raises(ImageError, match="which is its range"):
        load_image(tiff(np.array([[0, np.nan]], np.float32), t340=0.0, t341=1.0))


def test_12_bits_are_not_taken_for_16() -> None:
    # Two pixels in three bytes, 0xFFF and 0x800; Pillow reads such files but does not write them.
    content = bytearray(tiff(np.zeros((1, 2), np.uint16)))
    picture = Image.open(io.BytesIO(content))
    offset = picture.tag_v2[273][0]
    picture.close()
    content[offset : offset + 3] = b"\xff\xf8\x00"
    # BitsPerSample: tag 0x0102, type SHORT, one value.
    entry = content.index(b"\x02\x01\x03\x00\x01\x00\x00\x00")
    content[entry + 8] = 12
    assert grey(bytes(content)) == [255, 128]


def test_a_plain_grey_map_is_scaled_by_its_own_maximum() -> None:
    assert grey(b"P5 2 1 4095\n\x0f\xff\x08\x00") == [255, 128]


def test_a_turned_picture_keeps_its_range() -> None:
    picture = read_picture(tiff(BYTES.astype(np.int32), t281=255, t274=3), needed=lambda size: size)
    assert picture.color == "grey"
    assert picture.planes[0].ravel().tolist() == [255, 200, 100, 0]
