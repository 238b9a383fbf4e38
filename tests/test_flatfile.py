"""A .tflite file's own description, read without a runtime, and what happens to damaged ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from fastyolo import ModelError
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.flatfile import read_flatfile


@pytest.fixture(scope="module")
def content() -> bytes:
    return BUNDLED_MODEL.read_bytes()


def test_the_bundled_model() -> None:
    flat = read_flatfile(BUNDLED_MODEL)
    (image,) = flat.inputs
    assert (image.shape, image.dtype, image.zero_points) == ((1, 416, 416, 3), "int8", (-128,))
    assert image.scales == pytest.approx([1 / 255])
    assert sorted(tensor.shape for tensor in flat.outputs) == [(1, 13, 13, 255), (1, 26, 26, 255)]
    assert {(tensor.dtype, len(tensor.scales), len(tensor.zero_points)) for tensor in flat.outputs} == {("int8", 1, 1)}
    assert flat.custom_operators == ()


@pytest.mark.pc("asks a runtime for the same")
def test_it_says_what_the_runtime_says() -> None:
    from fastyolo.runtime.session import open_session

    session, flat = open_session(BUNDLED_MODEL), read_flatfile(BUNDLED_MODEL)
    for ours, theirs in zip((*flat.inputs, *flat.outputs), (session.input, *session.outputs), strict=True):
        assert (ours.name, ours.shape, ours.dtype) == (theirs.name, theirs.shape, theirs.dtype.name)
        assert theirs.quantization == (ours.scales[0], ours.zero_points[0])


def test_every_file_that_was_cut_off_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.tflite"
    end = content.rindex(b"PK\x03\x04")  # what lies behind it is no part of the network
    for size in [*range(0, 64, 7), *np.linspace(64, end - 64, 25).astype(int)]:
        path.write_bytes(content[:size])
        with pytest.raises(ModelError, match=r"is not a TFLite model|is cut off, or damaged") as caught:
            read_flatfile(path)
        assert "\n" not in str(caught.value)


def test_no_damage_does_anything_but_raise(tmp_path: Path, content: bytes) -> None:
    random = np.random.default_rng(9)
    # The description without the weights: where all that is read lies.
    flat = read_flatfile(BUNDLED_MODEL)
    name = flat.outputs[0].name.encode()
    places = [0, content.index(name), content.index(flat.inputs[0].name.encode())]
    path = tmp_path / "damaged.tflite"
    survived = 0
    for _ in range(50):
        damaged = bytearray(content)
        place = max(8, int(random.choice(places)) + int(random.integers(-400, 400)))
        damaged[place : place + 4] = random.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20]).astype("<u4").tobytes()
        path.write_bytes(damaged)
        with suppress(ModelError):
            read_flatfile(path)
            survived += 1
    assert 0 < survived < 50


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "none.tflite", "No such file or directory"),
        (tmp_path, "expected a file, got a folder or device"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(ModelError, match=message):
            read_flatfile(path)
