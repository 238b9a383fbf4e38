"""Where an image lies in the network input, and the way back."""

from __future__ import annotations

import pytest

from fastyolo.letterbox import ResizeMode, network_to_image, place


def test_stretch_fills_the_input() -> None:
    assert place((480, 640), (416, 416), resize="stretch") == (0, 0, 416, 416)


@pytest.mark.parametrize(
    ("image_size", "placement"),
    [
        # 640x480 -> 416 wide, 480 * 416 / 640 = 312 high, (416 - 312) / 2 = 52 above.
        ((480, 640), (0, 52, 416, 312)),
        # 427 * 416 / 640 = 277.55, cut to 277 as in Darknet; (416 - 277) / 2 = 69.5: the odd pixel goes below.
        ((427, 640), (0, 69, 416, 277)),
        # 415 * 416 / 416 = 415: the odd pixel of the bars goes below.
        ((415, 416), (0, 0, 416, 415)),
        ((413, 416), (0, 1, 416, 413)),
        ((640, 480), (52, 0, 312, 416)),
        # 1 * 416 / 5000 is less than 1, but a picture is at least one pixel high.
        ((1, 5000), (0, 207, 416, 1)),
        # 3 * 416 / 832 = 1.5 -> 1.
        ((3, 832), (0, 207, 416, 1)),
        # Nothing is lost where the sides divide: 3 * 416 / 416.
        ((3, 416), (0, 206, 416, 3)),
    ],
)
def test_letterbox_keeps_the_aspect_and_centres(image_size: tuple[int, int], placement: tuple[int, ...]) -> None:
    assert place(image_size, (416, 416), resize="letterbox") == placement


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
@pytest.mark.parametrize("image_size", [(480, 640), (427, 640), (1, 5000), (31, 17), (4000, 3000)])
@pytest.mark.parametrize("input_size", [(416, 416), (256, 416)])
def test_the_way_back_leads_to_the_image_corners(
    image_size: tuple[int, int], input_size: tuple[int, int], resize: ResizeMode
) -> None:
    x, y, width, height = place(image_size, input_size, resize=resize)
    assert x >= 0
    assert x + width <= input_size[1]
    assert y >= 0
    assert y + height <= input_size[0]
    scale_x, scale_y, offset_x, offset_y = network_to_image(image_size, input_size, resize=resize)
    assert x * scale_x + offset_x == pytest.approx(0, abs=1e-9)
    assert y * scale_y + offset_y == pytest.approx(0, abs=1e-9)
    assert (x + width) * scale_x + offset_x == pytest.approx(image_size[1])
    assert (y + height) * scale_y + offset_y == pytest.approx(image_size[0])
