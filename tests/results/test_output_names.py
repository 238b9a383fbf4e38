"""What annotated copies are called, and what they may replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from fastyolo.results.output_names import OutputNames
from fastyolo.results.render import save_plot


class TestOutputNames:
    def test_a_copy_keeps_its_name_in_the_output_folder(self) -> None:
        names = OutputNames("out")
        assert names.path_for("some/where/x.jpg") == os.path.join("out", "x.jpg")

    @pytest.mark.parametrize(
        ("source", "copy"),
        [("x.JPEG", "x.JPEG"), ("x.png", "x.png"), ("x.bmp", "x.png"), ("x.tiff", "x.png"), ("noname", "noname.png")],
    )
    def test_what_cannot_be_kept_becomes_png(self, source: str, copy: str) -> None:
        assert OutputNames("out").path_for(source) == os.path.join("out", copy)

    def test_same_names_from_two_folders_do_not_collide(self) -> None:
        names = OutputNames("out")
        copies = [os.path.basename(names.path_for(source)) for source in ("a/x.jpg", "b/x.jpg", "c/X.JPG", "d/x-2.jpg")]
        assert copies == ["x.jpg", "x-2.jpg", "X-3.JPG", "x-2-2.jpg"]

    def test_formats_that_become_png_do_not_collide(self) -> None:
        names = OutputNames("out")
        copies = [os.path.basename(names.path_for(source)) for source in ("x.bmp", "x.gif", "x.png")]
        assert copies == ["x.png", "x-2.png", "x-3.png"]

    def test_ten_thousand_pictures_of_one_name_are_quick(self) -> None:
        names = OutputNames("out")
        assert len({names.path_for(f"{folder}/x.jpg") for folder in range(10_000)}) == 10_000

    def test_results_of_an_earlier_run_are_replaced(self, tmp_path: Path) -> None:
        for suffix in (".jpg", ".png"):
            save_plot(Image.new("RGB", (8, 8)), tmp_path / f"x{suffix}")
            assert OutputNames(tmp_path).path_for(f"a/x{suffix}") == str(tmp_path / f"x{suffix}")

    def test_pictures_that_others_wrote_stay(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg")
        (tmp_path / "x-2.jpg").write_text("not even a picture")
        (tmp_path / "x-3.jpg").mkdir()
        (tmp_path / "x-4.jpg").symlink_to("gone")
        assert OutputNames(tmp_path).path_for("a/x.jpg") == str(tmp_path / "x-5.jpg")

    @pytest.mark.parametrize("relation", ["same", "symlink", "hard link", "linked folder"])
    def test_an_input_is_never_overwritten_under_any_name(self, tmp_path: Path, relation: str) -> None:
        # Written by us, so that only its being an input protects it.
        original = tmp_path / "out" / "x.jpg"
        original.parent.mkdir()
        save_plot(Image.new("RGB", (8, 8)), original)
        source = tmp_path / "named.jpg"
        if relation == "symlink":
            source.symlink_to(original)
        elif relation == "hard link":
            source.hardlink_to(original)
        elif relation == "linked folder":
            (tmp_path / "other").symlink_to("out")
            source = tmp_path / "other" / "x.jpg"
        else:
            source = original
        names = OutputNames(tmp_path / "out", [source, tmp_path / "missing.jpg"])
        assert names.path_for(tmp_path / "elsewhere" / "x.jpg") == str(tmp_path / "out" / "x-2.jpg")
