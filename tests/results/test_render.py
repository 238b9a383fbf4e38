"""Boxes and labels on a picture, and the picture in a file."""

from __future__ import annotations

import itertools
import os
import stat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fastyolo.detections import Detections
from fastyolo.errors import FastYoloError, ImageError, OptionError
from fastyolo.frames.picture import load_image
from fastyolo.names import COCO_NAMES
from fastyolo.results.render import class_color, is_own_picture, plot, save_plot


def detections(*boxes: tuple[float, float, float, float], class_id: int = 0, names: tuple[str, ...] = COCO_NAMES):  # type: ignore[no-untyped-def]
    """Boxes of one class, confidence falling from 0.9."""
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.full(count, class_id, np.int32),
        names,
    )


def grey(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def changed(picture: Image.Image, original: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (np.asarray(picture) != original).any(axis=2)


class TestPlot:
    def test_a_box_is_drawn_in_its_class_colour_and_its_inside_left_alone(self) -> None:
        original = grey(240, 320)
        picture = plot(detections((100, 80, 200, 180), class_id=5), original)
        assert (picture.mode, picture.size) == ("RGB", (320, 240))
        pixels = np.asarray(picture)
        for x, y in ((100, 130), (199, 130), (150, 80), (150, 179)):
            assert tuple(pixels[y, x]) == class_color(5)
        assert not changed(picture, original)[90:170, 110:190].any()
        assert not changed(picture, original)[:, 215:].any()

    def test_the_original_stays_as_it_was(self) -> None:
        array = grey(100, 100)
        image = Image.fromarray(array)
        for source in (array, image):
            plot(detections((10, 10, 90, 90)), source)
        assert (array == 128).all()
        assert (np.asarray(image) == 128).all()

    def test_it_draws_on_what_was_detected_on(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / "upright.jpg"
        Image.fromarray(grey(40, 80)).save(path, exif=exif)
        found = detections((1, 1, 30, 60))
        known = Detections(found.xyxy, found.confidence, found.class_id, found.names, (80, 40), {}, str(path))
        assert known.plot().size == (40, 80)

    def test_a_source_above_the_default_limit_was_allowed_once_already(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "large.png"
        Image.fromarray(grey(40, 80)).save(path)
        monkeypatch.setattr(load_image, "__kwdefaults__", {"max_pixels": 100})
        found = detections((1, 1, 30, 60))
        known = Detections(found.xyxy, found.confidence, found.class_id, source=path)
        assert known.plot().size == (80, 40)
        with pytest.raises(ImageError, match="limit of 100"):
            found.plot(path)

    def test_without_any_picture_it_says_so(self) -> None:
        with pytest.raises(FastYoloError, match="pass it: plot\\(image\\)"):
            plot(detections((0, 0, 1, 1)))

    def test_no_detections_leave_the_picture_as_it_is(self) -> None:
        assert not changed(plot(Detections.empty(), grey(50, 60)), grey(50, 60)).any()

    def test_a_mirrored_view_of_an_array_is_drawn_on(self) -> None:
        bgr = grey(60, 60)[..., ::-1]
        assert changed(plot(detections((5, 5, 50, 50)), bgr), bgr).any()

    @pytest.mark.parametrize(
        "box",
        [
            (-50, -50, 20, 20),
            (60, 40, 900, 900),
            (-1e30, -1e30, 1e30, 1e30),
            (30, 30, 30, 30),
            (50, 40, 20, 10),
            (99.9, 79.9, 100, 80),
        ],
    )
    def test_boxes_that_reach_out_or_have_no_area_are_still_seen(self, box: tuple[float, float, float, float]) -> None:
        assert changed(plot(detections(box), grey(80, 100)), grey(80, 100)).any()

    @pytest.mark.parametrize(
        "box", [(200, 10, 300, 50), (10, -90, 50, -10), (np.nan, 0, 10, 10), (0, 0, 10, np.nan), (np.inf,) * 4]
    )
    def test_boxes_that_are_nowhere_in_the_picture_are_left_out(self, box: tuple[float, float, float, float]) -> None:
        assert not changed(plot(detections(box), grey(80, 100)), grey(80, 100)).any()

    @pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 1), (3, 3), (40, 40), (32, 2000)])
    def test_tiny_and_narrow_pictures(self, height: int, width: int) -> None:
        boxes = detections((0, 0, width, height), (0, 0, width / 2, height / 2), (width / 3, 0, width, height))
        assert plot(boxes, grey(height, width)).size == (width, height)

    def test_a_thumbnail_gets_boxes_without_labels(self) -> None:
        picture = plot(detections((4, 4, 36, 36)), grey(40, 40))
        assert not changed(picture, grey(40, 40))[8:32, 8:32].any()

    def test_lines_and_labels_grow_with_the_picture(self) -> None:
        def marks(scale: int) -> float:
            original = grey(240 * scale, 320 * scale)
            box = (100 * scale, 80 * scale, 200 * scale, 180 * scale)
            return float(changed(plot(detections(box), original), original).mean())

        assert marks(8) == pytest.approx(marks(2), rel=0.25)

    @pytest.mark.parametrize(
        "name", ["", "猫", "two\nlines", "caf\udce9", "\u202eright to left", "x" * 500, "class 7" * 9, "\0"]
    )
    def test_any_class_name(self, name: str) -> None:
        original = grey(240, 320)
        assert changed(plot(detections((50, 50, 200, 200), names=(name,)), original), original).any()

    @pytest.mark.parametrize("class_id", [-1, 80, 2**31 - 1])
    def test_classes_without_a_name(self, class_id: int) -> None:
        original = grey(240, 320)
        assert changed(plot(detections((50, 50, 200, 200), class_id=class_id), original), original).any()

    def test_hundreds_of_boxes(self) -> None:
        corners = np.random.default_rng(0).uniform(0, 400, (300, 2))
        boxes = [tuple(row) for row in np.hstack([corners, corners + 60])]
        plot(detections(*boxes), grey(480, 640))

    def test_pillow_without_freetype_falls_back_to_its_small_font(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from PIL import ImageFont
        from PIL._util import DeferredError

        monkeypatch.setattr(ImageFont, "core", DeferredError(ImportError("no FreeType")))
        original = grey(240, 320)
        picture = plot(detections((50, 50, 200, 200), names=("person 猫",)), original)
        assert changed(picture, original)[35:50, 50:130].any()


class TestLabels:
    def label_area(self, *boxes: tuple[float, float, float, float]) -> npt.NDArray[np.bool_]:
        """Where a 480 x 640 picture is covered by label background or letters rather than by lines."""
        picture = np.asarray(plot(detections(*boxes), grey(480, 640))).astype(int)
        plain = (np.abs(picture - class_color(0)) < 3).all(axis=2)
        # Letters and their background fill whole blocks; a line is thinner than five pixels.
        block = np.lib.stride_tricks.sliding_window_view(plain, (5, 3)).all(axis=(2, 3))
        return np.pad(block, ((0, 4), (0, 2)))

    def test_above_the_box_where_there_is_room(self) -> None:
        rows = np.flatnonzero(self.label_area((200, 200, 400, 400)).any(axis=1))
        assert 170 < rows.min() <= rows.max() < 200

    def test_inside_the_picture_at_every_edge(self) -> None:
        for box in ((0, 0, 640, 480), (600, 0, 640, 40), (0, 440, 30, 480), (620, 460, 640, 480), (0, 0, 640, 20)):
            assert self.label_area(box).sum() > 50

    def test_two_boxes_in_one_place_keep_both_labels_readable(self) -> None:
        one = self.label_area((200, 200, 400, 400)).sum()
        two = self.label_area((200, 200, 400, 400), (201, 201, 401, 401)).sum()
        assert two > 1.6 * one

    def test_a_small_object_is_not_hidden_by_its_label(self) -> None:
        # At the upper edge there is no room above, and inside would cover it.
        assert not self.label_area((300, 2, 330, 22))[4:20, 303:328].any()


class TestColours:
    def test_a_class_has_one_colour_in_every_picture(self) -> None:
        alone = np.asarray(plot(detections((50, 50, 90, 90), class_id=7), grey(100, 100)))
        assert tuple(alone[70, 50]) == class_color(7)
        assert class_color(7) == class_color(7)

    def test_no_two_coco_classes_share_a_colour(self) -> None:
        assert len({class_color(class_id) for class_id in range(80)}) == 80

    def test_neighbouring_classes_are_far_apart(self) -> None:
        for first, second in itertools.pairwise(range(80)):
            assert np.abs(np.subtract(class_color(first), class_color(second))).max() > 60

    def test_channels_are_bytes(self) -> None:
        assert all(0 <= channel <= 255 for class_id in range(-500, 500) for channel in class_color(class_id))


class TestSavePlot:
    @pytest.mark.parametrize("name", ["x.jpg", "x.JPEG", "x.png"])
    def test_the_file_is_what_its_suffix_says_and_marked_as_ours(self, tmp_path: Path, name: str) -> None:
        save_plot(Image.fromarray(grey(30, 40)), tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.format == ("PNG" if name.endswith("png") else "JPEG")
            assert image.size == (40, 30)
        assert is_own_picture(tmp_path / name)
        assert os.listdir(tmp_path) == [name]

    def test_pictures_of_others_are_not_ours(self, tmp_path: Path) -> None:
        Image.fromarray(grey(30, 40)).save(tmp_path / "x.jpg")
        (tmp_path / "y.jpg").write_text("fastyolo")
        assert not is_own_picture(tmp_path / "x.jpg")
        assert not is_own_picture(tmp_path / "y.jpg")

    def test_thin_coloured_lines_survive_jpeg(self, tmp_path: Path) -> None:
        picture = plot(detections((20, 20, 140, 100)), grey(120, 160))
        save_plot(picture, tmp_path / "x.jpg")
        difference = np.abs(load_image(tmp_path / "x.jpg").astype(int) - np.asarray(picture))
        assert difference.mean(axis=2).max() < 40

    def test_an_existing_picture_is_replaced_with_ordinary_permissions(self, tmp_path: Path) -> None:
        path = tmp_path / "x.png"
        old = os.umask(0o022)
        try:
            for side in (10, 20):
                save_plot(Image.fromarray(grey(side, side)), path)
        finally:
            os.umask(old)
        assert load_image(path).shape == (20, 20, 3)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_other_suffixes_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OptionError, match=r"must be called \.jpg, \.jpeg or \.png"):
            save_plot(Image.fromarray(grey(10, 10)), tmp_path / "x.bmp")

    @pytest.mark.parametrize(
        ("name", "image"), [("x.jpg", Image.new("RGB", (70_000, 1))), ("x.png", Image.new("F", (2, 2)))]
    )
    def test_what_the_format_cannot_hold_is_one_line_and_leaves_no_file(
        self, tmp_path: Path, name: str, image: Image.Image
    ) -> None:
        with pytest.raises(FastYoloError, match="cannot write"):
            save_plot(image, tmp_path / name)
        assert os.listdir(tmp_path) == []

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FastYoloError, match="does not exist"):
            save_plot(Image.fromarray(grey(10, 10)), tmp_path / "nowhere" / "x.png")
