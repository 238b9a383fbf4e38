"""Arguments become pictures, in order and each once; annotated copies get names that hurt nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastyolo.sources.paths import expand_sources


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a few names that look like pictures. Expanding does not open them."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "img10.jpg",
        "img2.jpg",
        "IMG1.JPG",
        "notes.txt",
        ".hidden.jpg",
        "b/deep/x.png",
        "b/y.webp",
        "a/x.jpg",
        "a/raw.dat",
        ".cache/z.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def paths(*arguments: str | Path, recursive: bool = False) -> list[str]:
    """What is found; an error fails the test."""
    found = list(expand_sources(arguments, recursive=recursive))
    assert [source.error for source in found if source.error] == []
    return [source.path for source in found]


def errors(*arguments: str | Path, recursive: bool = False) -> list[str]:
    return [str(source.error) for source in expand_sources(arguments, recursive=recursive) if source.error]


class TestFilesAndFolders:
    def test_arguments_keep_their_order(self, tree: Path) -> None:
        assert paths("img2.jpg", "a/x.jpg", "IMG1.JPG") == ["img2.jpg", "a/x.jpg", "IMG1.JPG"]

    def test_path_objects_too(self, tree: Path) -> None:
        assert paths(tree / "img2.jpg") == [str(tree / "img2.jpg")]

    def test_a_named_file_is_tried_whatever_its_suffix(self, tree: Path) -> None:
        assert paths("notes.txt", ".hidden.jpg") == ["notes.txt", ".hidden.jpg"]

    def test_a_folder_gives_its_pictures_in_natural_order(self, tree: Path) -> None:
        assert paths(".") == ["./IMG1.JPG", "./img2.jpg", "./img10.jpg"]

    def test_recursive_goes_down_but_not_into_hidden_folders(self, tree: Path) -> None:
        assert paths(".", recursive=True)[3:] == ["./a/x.jpg", "./b/y.webp", "./b/deep/x.png"]

    def test_what_is_named_twice_runs_once(self, tree: Path) -> None:
        (tree / "again").symlink_to("a")
        assert paths("a/x.jpg", "./a/x.jpg", "a", tree / "a", "a/*.jpg", "again") == ["a/x.jpg"]

    def test_two_names_of_one_picture_are_two_sources(self, tree: Path) -> None:
        (tree / "a" / "latest.jpg").symlink_to("x.jpg")
        assert paths("a") == ["a/latest.jpg", "a/x.jpg"]

    def test_nothing_is_read_before_it_is_asked_for(self, tree: Path) -> None:
        stream = expand_sources(["img2.jpg", "a"])
        assert next(stream).path == "img2.jpg"
        (tree / "a" / "new.jpg").touch()
        assert [source.path for source in stream] == ["a/new.jpg", "a/x.jpg"]

    def test_a_broken_link_in_a_folder_is_not_passed_over(self, tree: Path) -> None:
        (tree / "a" / "broken.jpg").symlink_to("gone.jpg")
        (tree / "a" / "self.jpg").symlink_to("self.jpg")
        assert paths("a") == ["a/broken.jpg", "a/self.jpg", "a/x.jpg"]

    def test_a_folder_named_like_a_picture_is_none(self, tree: Path) -> None:
        (tree / "a" / "folder.jpg").mkdir()
        assert paths("a", "a/*.jpg") == ["a/x.jpg"]

    def test_loops_of_links_end(self, tree: Path) -> None:
        (tree / "a" / "loop").symlink_to("..")
        (tree / "b" / "loop").symlink_to(".")
        assert len(paths(".", recursive=True)) == 6
        assert len(paths("**/*")) == 6

    def test_a_link_to_a_folder_is_followed_when_named(self, tree: Path) -> None:
        (tree / "link").symlink_to("a")
        assert paths("link") == ["link/x.jpg"]

    @pytest.mark.pc("thousands of folders, each a system call that QEMU translates: over a minute")
    def test_very_deep_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        folders = ["d/" * depth for depth in range(1, 1501)]
        picture = f"{folders[-1]}x.jpg"
        for folder in folders:
            os.mkdir(folder)
        Path(picture).touch()
        try:
            assert paths("d", recursive=True) == [picture]
            assert paths("**/*.jpg") == [picture]
        finally:
            # pytest's own cleaning up recurses, and does not come this deep.
            os.unlink(picture)
            for folder in reversed(folders):
                os.rmdir(folder)


class TestPatterns:
    def test_star_takes_pictures_only(self, tree: Path) -> None:
        assert paths("*") == ["IMG1.JPG", "img2.jpg", "img10.jpg"]
        assert paths("a/*") == ["a/x.jpg"]

    def test_a_suffix_that_is_spelled_out_is_meant(self, tree: Path) -> None:
        assert paths("a/*.dat") == ["a/raw.dat"]

    def test_character_sets_and_question_marks(self, tree: Path) -> None:
        assert paths("img[12].jpg") == ["img2.jpg"]
        assert paths("img??.jpg") == ["img10.jpg"]

    def test_stars_for_folders(self, tree: Path) -> None:
        assert paths("*/x.*") == ["a/x.jpg"]
        assert paths(f"{tree}/?/*.webp") == [f"{tree}/b/y.webp"]

    def test_two_stars_for_any_depth(self, tree: Path) -> None:
        everything = ["IMG1.JPG", "img2.jpg", "img10.jpg", "a/x.jpg", "b/y.webp", "b/deep/x.png"]
        assert paths("**") == everything
        assert paths("**/*") == everything
        assert paths("**/**/*") == everything
        assert paths("**/x.*") == ["a/x.jpg", "b/deep/x.png"]
        assert paths("**/deep/**/*.png") == ["b/deep/x.png"]

    def test_hidden_names_only_when_asked_for(self, tree: Path) -> None:
        assert paths(".h*.jpg") == [".hidden.jpg"]
        assert paths(".c*/*.jpg") == [".cache/z.jpg"]

    def test_an_existing_name_wins_over_the_pattern_it_looks_like(self, tree: Path) -> None:
        (tree / "img[2].jpg").touch()
        (tree / "x*").mkdir()
        (tree / "x*" / "in.jpg").touch()
        (tree / "xy").mkdir()
        assert paths("img[2].jpg", "x*") == ["img[2].jpg", "x*/in.jpg"]

    def test_many_stars_take_no_time(self, tree: Path) -> None:
        (tree / "/".join("d" * 60)).mkdir(parents=True)
        assert errors("/".join(["**", "d"] * 20) + "/*.jpg") != []


class TestFailures:
    def test_a_bad_argument_stands_in_its_place_and_the_others_still_run(self, tree: Path) -> None:
        found = list(expand_sources(["img2.jpg", "gone.jpg", "a"]))
        assert [(source.path, source.error is None) for source in found] == [
            ("img2.jpg", True),
            ("gone.jpg", False),
            ("a/x.jpg", True),
        ]
        assert str(found[1].error) == "gone.jpg: no such file or folder"

    def test_a_folder_without_pictures(self, tree: Path) -> None:
        (tree / "empty").mkdir()
        assert errors("empty") == ["empty has no pictures in it (--recursive looks into its subfolders)"]
        assert errors("empty", recursive=True) == ["empty has no pictures in it or below it"]

    def test_a_pattern_without_matches(self, tree: Path) -> None:
        assert errors("*.bmp", "nowhere/*.jpg", "notes.txt/*.jpg") == [
            "*.bmp matches no picture",
            "nowhere/*.jpg matches no picture",
            "notes.txt/*.jpg matches no picture",
        ]

    @pytest.mark.parametrize("argument", ["", "nul\0l", "nul\0*", "x" * 300, "two\nlines"])
    def test_impossible_names(self, tree: Path, argument: str) -> None:
        (message,) = errors(argument)
        assert message.endswith("no such file or folder")
        assert message.isprintable()

    def test_an_unreadable_folder_does_not_hide_the_others(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scandir = os.scandir

        def refuse(path: str) -> object:
            if path.endswith("deep"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        # Tests may run as root, whom no permission bits stop.
        monkeypatch.setattr(os, "scandir", refuse)
        for arguments, recursive in ((["b"], True), (["b/**/*"], False)):
            found = list(expand_sources(arguments, recursive=recursive))
            assert [source.path for source in found] == ["b/y.webp", "b/deep"]
            assert str(found[1].error) == "cannot read the folder b/deep: Permission denied"
