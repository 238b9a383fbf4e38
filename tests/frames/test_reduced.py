"""A JPEG much larger than the network needs is decoded at a reduced size, and nothing but the time tells."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from command import fastyolo
from fastyolo.detector import Detector
from fastyolo.errors import ImageError
from fastyolo.export.pictures import Pictures
from fastyolo.frames.frame import Extent, Frame
from fastyolo.frames.picture import load_image, read_picture
from fastyolo.letterbox import placed_size
from fastyolo.preprocess import Preprocessor

EXIF_ORIENTATION = 0x0112


def encoded(image: Image.Image, orientation: int = 1, format_name: str = "JPEG", **options: Any) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    buffer = io.BytesIO()
    image.save(buffer, format_name, exif=exif, quality=95, **options)
    return buffer.getvalue()


def needs(height: int, width: int) -> Callable[[tuple[int, int]], tuple[int, int]]:
    return lambda _: (height, width)


def scene(width: int = 400, height: int = 300) -> Image.Image:
    """Red above blue."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (0, height // 2, width, height))
    return image


def rgb(picture: Frame) -> npt.NDArray[np.uint8]:
    """(height, width, 3), whatever the form."""
    (pixels,) = picture.planes
    return pixels.repeat(3, axis=2) if picture.color == "grey" else pixels[..., :3]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, hopper_path: Path) -> Path:
    """A photo of 12 megapixels, no side a multiple of 8."""
    path = tmp_path_factory.mktemp("photo") / "large.jpg"
    Image.open(hopper_path).resize((3201, 3749), Image.Resampling.BICUBIC).save(path, quality=92)
    return path


class TestTheScale:
    @pytest.mark.parametrize(
        ("needed", "scale"),
        [
            ((300, 400), 1),
            ((150, 200), 1),
            ((101, 100), 1),
            ((100, 134), 1),
            ((100, 133), 2),
            ((51, 50), 2),
            ((50, 66), 4),
            ((26, 10), 4),
            ((25, 33), 4),
            ((24, 33), 8),
            ((1, 1), 8),
            ((900, 900), 1),
        ],
    )
    def test_is_the_smallest_that_leaves_half_as_much_again_as_needed(
        self, needed: tuple[int, int], scale: int
    ) -> None:
        picture = read_picture(encoded(scene()), needed=needs(*needed))
        assert picture.extent.scale == scale
        assert picture.extent.size == (300, 400)
        assert rgb(picture).shape == (-(-300 // scale), -(-400 // scale), 3)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_is_chosen_for_the_upright_picture(self, orientation: int) -> None:
        asked = []

        def wide(size: tuple[int, int]) -> tuple[int, int]:
            asked.append(size)
            return size[0] // 8, size[1] // 3

        stored = scene(400, 200) if orientation < 5 else scene(200, 400)
        picture = read_picture(encoded(stored, orientation), needed=wide)
        assert asked == [(200, 400)]
        assert picture.extent.size == (200, 400)
        assert picture.extent.scale == 2
        assert rgb(picture).shape == (100, 200, 3)

    def test_an_image_of_vga_size_is_decoded_in_full_for_the_bundled_model(self) -> None:
        data = encoded(scene(640, 480))
        picture = read_picture(data, needed=lambda size: placed_size(size, (416, 416), resize="stretch"))
        assert picture.extent.scale == 1
        np.testing.assert_array_equal(rgb(picture), load_image(data))


class TestWhatIsReduced:
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 2}])
    def test_every_kind_of_encoded(self, options: dict[str, Any]) -> None:
        picture = read_picture(encoded(scene(), **options), needed=needs(30, 30))
        assert picture.extent.scale == 4
        assert np.abs(rgb(picture)[5, 50].astype(int) - (255, 0, 0)).max() < 6
        assert np.abs(rgb(picture)[70, 50].astype(int) - (0, 0, 255)).max() < 6

    def test_grey_and_cmyk_keep_their_colours(self) -> None:
        grey = read_picture(encoded(Image.new("L", (400, 300), 77)), needed=needs(30, 30))
        # Full cyan and yellow ink, no magenta and black: green.
        ink = read_picture(encoded(Image.new("CMYK", (400, 300), (255, 0, 255, 0))), needed=needs(30, 30))
        for picture, color in ((grey, (77, 77, 77)), (ink, (0, 255, 0))):
            assert picture.extent.scale == 4
            assert rgb(picture).shape == (75, 100, 3)
            assert np.abs(rgb(picture).astype(int) - color).max() < 6

    def test_a_photo_with_more_pictures_behind_it(self) -> None:
        data = encoded(scene(), 3, "MPO", save_all=True, append_images=[Image.new("RGB", (400, 300), (0, 255, 0))])
        picture = read_picture(data, needed=needs(30, 30))
        assert (picture.extent.scale, picture.extent.size) == (4, (300, 400))
        assert np.abs(rgb(picture)[5, 50].astype(int) - (0, 0, 255)).max() < 6

    @pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000"])
    def test_no_other_format(self, format_name: str) -> None:
        buffer = io.BytesIO()
        scene().save(buffer, format_name)
        assert rgb(read_picture(buffer.getvalue(), needed=needs(1, 1))).shape == (300, 400, 3)

    @pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
    def test_but_they_come_out_upright_too(self, format_name: str) -> None:
        # Stored lying: the red half is on the left, and belongs on top.
        data = encoded(scene(400, 300).transpose(Image.Transpose.ROTATE_90), 6, format_name)
        picture = read_picture(data, needed=needs(1, 1))
        assert picture.extent == Extent.full((300, 400))
        assert np.abs(rgb(picture)[5, 50].astype(int) - (255, 0, 0)).max() < 10

    def test_nor_somebody_elses_image(self) -> None:
        theirs = Image.open(io.BytesIO(encoded(scene())))
        assert rgb(read_picture(theirs, needed=needs(1, 1))).shape == (300, 400, 3)
        assert theirs.size == (400, 300)


class TestPlaces:
    """Boxes in what was decoded must land where they are in the full picture, to a fraction of a pixel."""

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize(("width", "height"), [(400, 320), (401, 323), (399, 326)])
    def test_a_box_lands_where_it_is_in_full(self, orientation: int, width: int, height: int) -> None:
        stored = Image.new("L", (width, height))
        stored.paste(255, (64, 96, 192, 160))
        stored.paste(128, (64, 96, 128, 160))  # so that no turn looks like another
        data = encoded(stored, orientation)
        full = load_image(data)
        for needed, scale in ((90, 2), (50, 4), (20, 8)):
            picture = read_picture(data, needed=needs(needed, needed))
            assert (picture.extent.scale, picture.extent.size) == (scale, full.shape[:2])
            assert centre(picture) == pytest.approx(centre(read_picture(data, needed=needs(height, width))), abs=0.1)

    def test_boxes_are_clipped_to_the_picture_not_to_what_was_decoded(self) -> None:
        picture = read_picture(encoded(Image.new("L", (401, 323)), 3), needed=needs(20, 20))
        # 401 x 323 is 51 x 41 blocks of 8: 7 columns and 5 rows too many, which the turn moved to the left and top.
        assert (picture.extent.covered, picture.extent.left, picture.extent.above) == ((328, 408), 7, 5)
        everything = np.array([[0, 0, 408, 328]], np.float32)
        assert picture.extent.in_full(everything, clip=True).tolist() == [[0, 0, 401, 323]]
        assert picture.extent.in_full(everything, clip=False).tolist() == [[-7, -5, 401, 323]]


def centre(picture: Frame) -> list[float]:
    """x and y of the centre of the light, in pixels of the full picture."""
    light = rgb(picture)[..., 0].astype(float)
    weights = (light.sum(axis=axis) for axis in (0, 1))
    x, y = (float((weight * (np.arange(len(weight)) + 0.5)).sum() / weight.sum()) for weight in weights)
    box = np.array([[x, y, x, y]], np.float32) * picture.extent.scale
    return picture.extent.in_full(box, clip=False)[0, :2].tolist()  # type: ignore[no-any-return]


class TestBadFiles:
    def test_the_limit_is_that_of_the_full_size(self) -> None:
        data = encoded(scene())
        assert read_picture(data, needed=needs(1, 1), max_pixels=120_000).extent.scale == 8
        with pytest.raises(ImageError, match="400 x 300 = 120000 pixels, more than the limit of 119999"):
            read_picture(data, needed=needs(1, 1), max_pixels=119_999)

    @pytest.mark.parametrize("progressive", [False, True])
    def test_truncated_files_never_give_half_a_picture(self, progressive: bool) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8)
        data = encoded(Image.fromarray(noise), progressive=progressive)
        assert read_picture(data, needed=needs(1, 1)).extent.scale == 8
        for length in (8, 20, 200, len(data) // 2, len(data) * 9 // 10):
            with pytest.raises(ImageError, match=rf"^image of {length} bytes is (?s:.)*$") as caught:
                read_picture(data[:length], needed=needs(1, 1))
            assert "\n" not in str(caught.value)

    def test_scrambled_files_raise_nothing_but_image_errors(self) -> None:
        random = np.random.default_rng(1)
        data = np.frombuffer(encoded(scene(64, 48), 6), np.uint8)
        refused = 0
        for _ in range(300):
            scrambled = data.copy()
            places = random.integers(0, min(len(data), 400), 4)
            scrambled[places] = random.integers(0, 256, 4)
            # pytest turns warnings into errors, which would come out here.
            try:
                read_picture(scrambled.tobytes(), needed=needs(5, 5), max_pixels=1_000_000)
            except ImageError:
                refused += 1
        assert 0 < refused < 300


@pytest.mark.inference
class TestTheDetector:
    def test_boxes_and_shape_are_those_of_the_full_photo(self, photo: Path) -> None:
        detector = Detector()
        reduced = detector(photo)
        full = detector(load_image(photo))
        assert read_picture(photo, needed=detector._needed).extent.scale == 4
        assert reduced.orig_shape == full.orig_shape == (3749, 3201)
        assert [one.name for one in reduced] == [one.name for one in full] == ["person", "tie"]
        np.testing.assert_allclose(reduced.xyxy, full.xyxy, atol=60)  # 8 pixels of the network
        assert (reduced.xyxy >= 0).all()
        assert (reduced.xyxy <= [3201, 3749, 3201, 3749]).all()

    def test_letterbox_too(self, photo: Path) -> None:
        detector = Detector(resize="letterbox")
        np.testing.assert_allclose(detector(photo).xyxy, detector(load_image(photo)).xyxy, atol=60)

    def test_the_photo_that_is_drawn_on_is_the_full_one(self, photo: Path) -> None:
        assert Detector()(photo).plot().size == (3201, 3749)

    def test_results_do_not_depend_on_saving(self, photo: Path, tmp_path: Path) -> None:
        runs = [fastyolo("detect", photo, "--format", "json", *options) for options in ([], ["-o", tmp_path])]
        plain, saved = ([one["detections"] for one in json.loads(run.stdout)] for run in runs)
        assert plain == saved
        with Image.open(tmp_path / photo.name) as drawn:
            assert drawn.size == (3201, 3749)

    def test_calibration_sees_what_detection_sees(self, photo: Path) -> None:
        detector = Detector()
        (calibrated,) = Pictures((photo,), (416, 416), "stretch")
        prepare = Preprocessor((416, 416), dtype=np.uint8)
        seen: npt.NDArray[np.uint8] = prepare(rgb(read_picture(photo, needed=detector._needed)))[0]
        np.testing.assert_array_equal(calibrated, seen)
        assert (calibrated != prepare(load_image(photo))[0]).any()
