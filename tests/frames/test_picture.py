"""Any picture becomes upright 8-bit RGB, or one line says why not."""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from fastyolo.errors import ImageError
from fastyolo.frames.picture import MAX_PIXELS, load_image, picture_software, raise_pillow_limit

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format_name: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def quadrants(size: int = 32) -> Image.Image:
    """Red and green above, blue and white below."""
    image = Image.new("RGB", (size, size), RED)
    half = size // 2
    image.paste(GREEN, (half, 0, size, half))
    image.paste(BLUE, (0, half, half, size))
    image.paste(WHITE, (half, half, size, size))
    return image


def png_header(width: int, height: int) -> bytes:
    """A valid PNG up to and including a header that promises this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def error_of(source: Any, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestEverySourceGivesTheSamePixels:
    def test_path_bytes_and_pillow_image(self, tmp_path: Path) -> None:
        image = quadrants()
        path = tmp_path / "picture.png"
        image.save(path)
        for source in (path, str(path), path.read_bytes(), image):
            pixels = load_image(source)
            assert pixels.dtype == np.uint8
            assert pixels.shape == (32, 32, 3)
            assert pixels.flags.c_contiguous
            assert np.array_equal(pixels, np.asarray(image))

    def test_an_array_is_returned_as_it_is(self) -> None:
        array = np.zeros((4, 5, 3), np.uint8)[:, ::-1]
        assert load_image(array) is array

    @pytest.mark.parametrize("format_name", ["JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF"])
    def test_common_formats(self, tmp_path: Path, format_name: str) -> None:
        # The suffix lies on purpose: content decides.
        path = tmp_path / "picture.dat"
        quadrants().save(path, format_name)
        pixels = load_image(path).astype(int)
        for (y, x), color in {(4, 4): RED, (4, 28): GREEN, (28, 4): BLUE, (28, 28): WHITE}.items():
            assert np.abs(pixels[y, x] - color).max() < 40

    def test_one_pixel(self) -> None:
        assert load_image(encoded(Image.new("RGB", (1, 1), BLUE))).tolist() == [[list(BLUE)]]

    def test_file_names_of_any_bytes(self, tmp_path: Path) -> None:
        path = os.path.join(os.fsencode(tmp_path), b"caf\xe9 [1]*\n.png")
        quadrants().save(os.fsdecode(path), "PNG")
        assert load_image(os.fsdecode(path)).shape == (32, 32, 3)


class TestPixelFormats:
    def test_grey(self) -> None:
        assert load_image(Image.new("L", (2, 3), 77)).tolist() == [[[77] * 3] * 2] * 3

    def test_one_bit(self) -> None:
        image = Image.new("1", (2, 1))
        image.putpixel((1, 0), 1)
        assert load_image(encoded(image)).tolist() == [[[0] * 3, [255] * 3]]

    def test_cmyk_jpeg(self) -> None:
        # Full cyan and yellow ink, no magenta and black: green.
        pixels = load_image(encoded(Image.new("CMYK", (8, 8), (255, 0, 255, 0)), "JPEG"))
        assert np.abs(pixels[4, 4].astype(int) - GREEN).max() < 10

    def test_palette(self) -> None:
        image = quadrants().quantize(4)
        assert image.mode == "P"
        assert np.array_equal(load_image(encoded(image)), np.asarray(quadrants()))

    @pytest.mark.parametrize("mode", ["I;16", "I;16B"])
    def test_16_bit_grey_is_scaled_not_clipped(self, mode: str) -> None:
        levels = np.array([[0, 255, 256, 32768, 65280, 65535]], np.uint16)
        data = levels.astype("<u2" if mode == "I;16" else ">u2").tobytes()
        pixels = load_image(Image.frombytes(mode, (6, 1), data))
        assert pixels[0, :, 0].tolist() == [0, 1, 1, 128, 254, 255]
        assert pixels.flags.c_contiguous

    def test_every_16_bit_level_is_rounded(self) -> None:
        levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        pixels = load_image(encoded(Image.frombytes("I;16", (256, 256), levels.tobytes())))
        assert np.array_equal(pixels[..., 1], np.rint(levels / 257).astype(np.uint8))

    def test_pixels_of_unknown_range_are_refused(self) -> None:
        assert "mode F" in error_of(Image.new("F", (2, 2), 0.5))
        assert "mode I," in error_of(Image.new("I", (2, 2), 70000))
        assert "mode LAB" in error_of(Image.new("LAB", (2, 2)))

    @pytest.mark.parametrize("mode", ["LA", "RGBA", "La", "RGBa"])
    def test_what_is_transparent_becomes_white(self, mode: str) -> None:
        image = Image.new(mode.upper(), (2, 1), (0, 255) if mode.startswith("L") else (0, 0, 0, 255))
        image.putpixel((1, 0), (0, 0) if mode.startswith("L") else (0, 0, 0, 0))
        assert load_image(image.convert(mode)).tolist() == [[[0] * 3, [255] * 3]]

    def test_palette_with_an_alpha_channel(self) -> None:
        image = Image.new("PA", (2, 1))
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.putpixel((0, 0), (1, 255))
        image.putpixel((1, 0), (1, 0))
        assert load_image(image).tolist() == [[list(RED), list(WHITE)]]

    def test_half_transparent_is_half_white(self) -> None:
        assert load_image(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).tolist() == [[[127] * 3]]

    @pytest.mark.parametrize("transparency", [0, bytes([0, 255])])
    def test_transparent_palette_entries_become_white(self, transparency: int | bytes) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([0, 0, 0, 255, 0, 0])
        image.putpixel((1, 0), 1)
        data = encoded(image, transparency=transparency)
        assert load_image(data).tolist() == [[list(WHITE), list(RED)]]

    def test_first_frame_of_an_animation(self) -> None:
        frames = [Image.new("RGB", (6, 6), color) for color in (RED, GREEN, BLUE)]
        for format_name in ("GIF", "PNG", "TIFF"):
            data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:])
            assert load_image(data)[3, 3].tolist() == list(RED)


class TestOrientation:
    # Where the red corner (upper left when upright) is stored under each EXIF value.
    @pytest.mark.parametrize(
        ("orientation", "undo"),
        [
            (1, None),
            (2, Image.Transpose.FLIP_LEFT_RIGHT),
            (3, Image.Transpose.ROTATE_180),
            (4, Image.Transpose.FLIP_TOP_BOTTOM),
            (5, Image.Transpose.TRANSPOSE),
            (6, Image.Transpose.ROTATE_90),
            (7, Image.Transpose.TRANSVERSE),
            (8, Image.Transpose.ROTATE_270),
        ],
    )
    @pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF"])
    def test_pictures_come_out_upright(self, orientation: int, undo: Image.Transpose | None, format_name: str) -> None:
        upright = quadrants().resize((64, 32))
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright.transpose(undo) if undo is not None else upright
        pixels = load_image(encoded(stored, format_name, exif=exif)).astype(int)
        assert pixels.shape == (32, 64, 3)
        assert np.abs(pixels[4, 4] - RED).max() < 40
        assert np.abs(pixels[4, 60] - GREEN).max() < 40

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_impossible_orientations_are_ignored(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert load_image(encoded(quadrants(), exif=exif))[0, 0].tolist() == list(RED)


class TestBadFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert error_of(tmp_path / "no.jpg") == f"{tmp_path / 'no.jpg'}: no such file"

    def test_folder(self, tmp_path: Path) -> None:
        assert error_of(tmp_path) == f"{tmp_path} is a folder, expected a picture"

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty.jpg").touch()
        assert error_of(tmp_path / "empty.jpg").endswith("empty.jpg is empty, expected a picture")
        assert error_of(b"") == "image of 0 bytes is empty, expected a picture"

    def test_no_permission(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str) -> None:
            raise PermissionError(13, "Permission denied", path)

        # Tests may run as root, whom no permission bits stop.
        monkeypatch.setattr(os, "stat", refuse)
        assert error_of("secret.jpg") == "secret.jpg: no permission to read it"

    def test_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "not a regular file" in error_of(tmp_path / "pipe.jpg")

    def test_text_named_jpg(self, tmp_path: Path) -> None:
        (tmp_path / "text.jpg").write_text("hello")
        assert "text.jpg is not a picture fastyolo can read (JPEG, PNG" in error_of(tmp_path / "text.jpg")

    def test_postscript_never_reaches_an_interpreter(self) -> None:
        assert "is not a picture" in error_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")

    @pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
    def test_truncated_files_never_give_half_a_picture(self, format_name: str) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        data = encoded(Image.fromarray(noise), format_name)
        for length in (8, 20, len(data) // 2, len(data) * 9 // 10):
            message = error_of(data[:length])
            assert message.startswith(f"image of {length} bytes is ")

    def test_scrambled_files_raise_nothing_but_image_errors(self) -> None:
        random = np.random.default_rng(1)
        exif = Image.Exif()
        exif[0x0112] = 6
        noise = Image.fromarray(random.integers(0, 256, (24, 24, 3)).astype(np.uint8))
        for format_name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"):
            options = {"exif": exif} if format_name in ("JPEG", "PNG", "WEBP", "TIFF") else {}
            data = np.frombuffer(encoded(noise, format_name, **options), np.uint8)
            for _ in range(40):
                scrambled = data.copy()
                places = random.integers(0, min(len(data), 300), 4)
                scrambled[places] = random.integers(0, 256, 4)
                # pytest turns warnings into errors, which would come out here.
                with suppress(ImageError):
                    load_image(scrambled.tobytes(), max_pixels=1_000_000)

    def test_damaged_metadata_is_no_reason_to_warn_or_to_fail(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 1
        exif[0x010E] = "a description of some length"
        cut_short = exif.tobytes()[:-20]
        data = encoded(quadrants(), "JPEG", exif=cut_short)
        with pytest.warns(UserWarning, match="Truncated|EXIF"):
            Image.open(io.BytesIO(data)).getexif()
        assert load_image(data).shape == (32, 32, 3)

    def test_a_name_with_a_line_break_stays_on_one_line(self, tmp_path: Path) -> None:
        assert error_of(tmp_path / "two\nlines.jpg").endswith("two\\nlines.jpg: no such file")

    def test_a_name_no_file_can_have(self) -> None:
        assert error_of("nul\0l.jpg").startswith("cannot read nul\\x00l.jpg")

    def test_something_else_altogether(self) -> None:
        assert error_of(42).endswith("a uint8 array or planes with color=, or a Frame, got int")


class TestDecompressionBombs:
    def test_the_default_limit_is_where_pillow_begins_to_warn(self) -> None:
        assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS

    @pytest.mark.parametrize(("width", "height"), [(10_000, 9_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
    def test_a_bomb_is_refused_from_its_header_with_no_warning(self, width: int, height: int) -> None:
        message = error_of(png_header(width, height))
        assert f"{width} x {height}" in message
        assert str(MAX_PIXELS) in message
        assert "--max-pixels" in message
        assert "max_pixels=" in message

    def test_the_limit_is_exact(self) -> None:
        data = encoded(Image.new("RGB", (10, 10)))
        assert load_image(data, max_pixels=100).shape == (10, 10, 3)
        assert "100 pixels, more than the limit of 99" in error_of(data, max_pixels=99)

    def test_a_raised_limit_goes_beyond_pillows_without_touching_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        data = encoded(quadrants())
        assert load_image(data, max_pixels=32 * 32).shape == (32, 32, 3)
        assert Image.MAX_IMAGE_PIXELS == 10

    def test_a_decoder_with_its_own_limit_gets_a_clear_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: Image.Image) -> None:
            raise Image.DecompressionBombError("Image size (1024 pixels) exceeds limit of 20 pixels")

        # Which decoders look at Pillow's limit themselves differs between its versions.
        monkeypatch.setattr(PngImageFile, "load_prepare", refuse)
        assert "raise the limit with --max-pixels" in error_of(encoded(quadrants()), max_pixels=10**9)

    def test_a_program_may_lift_pillows_limit_but_not_lower_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        raise_pillow_limit(2000)
        assert load_image(encoded(quadrants(), "TIFF")).shape == (32, 32, 3)
        raise_pillow_limit(5)
        assert Image.MAX_IMAGE_PIXELS == 2000
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        raise_pillow_limit(5)
        assert Image.MAX_IMAGE_PIXELS is None


class TestArrays:
    @pytest.mark.parametrize(
        ("array", "cure"),
        [
            (np.zeros((4, 5, 3), np.float32), lambda a: (a * 255).round().astype(np.uint8)),
            (np.zeros((4, 5, 3), np.int64), lambda a: a.astype(np.uint8)),
            (np.zeros((4, 5, 3), np.uint16), lambda a: (a // 257).astype(np.uint8)),
            (np.zeros((4, 5), np.uint8), lambda a: np.stack([a] * 3, axis=-1)),
            (np.zeros((4, 5, 1), np.uint8), None),
            (np.zeros((4, 5, 4), np.uint8), lambda a: a[..., :3]),
            (np.zeros((3, 40, 50), np.uint8), lambda a: a.transpose(1, 2, 0)),
            (np.zeros((2, 4, 5, 3), np.uint8), lambda a: a[0]),
            (np.zeros((0, 5, 3), np.uint8), None),
            (np.zeros(12, np.uint8), None),
        ],
    )
    def test_a_wrong_array_is_described_and_the_advice_works(
        self, array: np.ndarray[Any, Any], cure: Callable[[Any], Any] | None
    ) -> None:
        message = error_of(array)
        assert message.startswith(f"an image array must be uint8 (height, width, 3), got {array.dtype} {array.shape}; ")
        if cure is not None:
            load_image(cure(array))

    @pytest.mark.parametrize(
        ("array", "advice"),
        [
            (np.zeros((4, 5, 3)), "(image * 255).round().astype(np.uint8)"),
            (np.zeros((4, 5), np.uint8), "np.stack([grey] * 3, axis=-1)"),
            (np.zeros((4, 5, 4), np.uint8), "image[..., :3]"),
            (np.zeros((3, 40, 50), np.uint8), "image.transpose(1, 2, 0)"),
            (np.zeros((2, 4, 5, 3), np.uint8), "images[0]"),
        ],
    )
    def test_the_advice_fits_the_mistake(self, array: np.ndarray[Any, Any], advice: str) -> None:
        assert advice in error_of(array)


def test_threads_share_nothing_and_warning_filters_survive() -> None:
    pictures = [encoded(quadrants(), name) for name in ("JPEG", "PNG", "TIFF", "GIF")] * 10
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for data in pictures:
                assert load_image(data).shape == (32, 32, 3)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert warnings.filters == before


def test_the_writing_program_is_read_from_jpeg_and_png(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0131] = "camera 1.0"
    quadrants().save(tmp_path / "a.jpg", exif=exif)
    quadrants().save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    assert picture_software(tmp_path / "a.jpg") == "camera 1.0"
    assert picture_software(tmp_path / "plain.png") == ""
    assert picture_software(tmp_path / "text.png") == ""
    assert picture_software(tmp_path / "missing.png") == ""
