"""`decode_nms` for pipelines that alternate networks, and for heads in other orders and layouts."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from time import perf_counter

import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import Decoder, DecodeResult, HeadError, ModelSpec, decode_nms
from fastyolo import postprocess as module

QUANTIZATION = [(0.11, 3), (0.07, -9)]
SMALL = ModelSpec.yolov4_tiny(names=["cat", "dog"], input_size=(64, 96))


def int8_heads(spec: ModelSpec, seed: int = 0) -> list[npt.NDArray[np.int8]]:
    random = np.random.default_rng(seed)
    return [random.integers(-128, 128, (1, *shape)).astype(np.int8) for shape in spec.head_shapes]


def assert_same(first: DecodeResult, second: DecodeResult) -> None:
    assert len(first.confidence) > 0
    for ours, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def decoders_made(monkeypatch: pytest.MonkeyPatch) -> list[ModelSpec]:
    made = []

    class Counted(Decoder):
        def __init__(self, spec: ModelSpec, **options: object) -> None:
            made.append(spec)
            super().__init__(spec, **options)

    monkeypatch.setattr(module, "Decoder", Counted)
    monkeypatch.setattr(module, "_recent", module._Recent())
    return made


def test_alternating_networks_keep_their_decoders(decoders_made: list[ModelSpec]) -> None:
    specs = [ModelSpec.yolov4_tiny(names=["cat"] * count, input_size=(64, 64)) for count in range(1, 6)]
    heads = [int8_heads(spec) for spec in specs]
    for _ in range(4):
        for spec, arrays in zip(specs, heads, strict=True):
            decode_nms(arrays, spec=spec, quantization=[(0.1, 0), [0.2, 1]])
    assert len(decoders_made) == len(specs)
    # The same network, described once more, and the same pairs in other containers.
    again = ModelSpec.yolov4_tiny(names=["cat"], input_size=(64, 64))
    decode_nms(heads[0], spec=again, quantization=((0.1, 0), (0.2, 1)))
    assert len(decoders_made) == len(specs)


def test_so_many_decoders_are_kept_and_no_more(decoders_made: list[ModelSpec]) -> None:
    heads = int8_heads(SMALL)
    for hundredth in range(30):
        decode_nms(heads, spec=SMALL, quantization=QUANTIZATION, score_threshold=hundredth / 100)
        decode_nms(heads, spec=SMALL, quantization=QUANTIZATION, score_threshold=0.5)
    assert len(decoders_made) == 31  # the one in use all the time stays
    assert len(module._recent.entries) == 8


def test_decoders_go_with_their_thread() -> None:
    kept: list[weakref.ref[object]] = []

    class Marked(ModelSpec):
        __slots__ = ("__weakref__",)

    def work() -> None:
        spec = Marked(SMALL.input_size, SMALL.heads, SMALL.names)
        kept.append(weakref.ref(spec))
        decode_nms(int8_heads(SMALL), spec=spec, quantization=QUANTIZATION)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    gc.collect()
    assert kept[0]() is None


def test_heads_reordered_with_their_scales_give_the_same_boxes() -> None:
    heads = int8_heads(SMALL)
    expected = decode_nms(heads, spec=SMALL, quantization=QUANTIZATION)
    assert_same(decode_nms(heads[::-1], spec=SMALL, quantization=QUANTIZATION[::-1]), expected)
    assert_same(decode_nms(heads, spec=SMALL, quantization=QUANTIZATION), expected)


def test_heads_of_one_shape_are_matched_by_position() -> None:
    spec = ModelSpec((64, 64), (*SMALL.heads[:1], *SMALL.heads[:1]), ("cat",))
    heads = int8_heads(spec)
    floats = [
        (head.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        for head, (scale, zero) in zip(heads, QUANTIZATION, strict=True)
    ]
    found, expected = decode_nms(heads, spec=spec, quantization=QUANTIZATION), decode_nms(floats, spec=spec)
    np.testing.assert_array_equal(found.class_id, expected.class_id)
    np.testing.assert_allclose(found.xyxy, expected.xyxy, rtol=1e-5)


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_heads_with_their_anchors_apart_are_taken_as_they_are(kind: str) -> None:
    heads = [head.astype(kind) for head in int8_heads(SMALL)]
    expected = decode_nms(heads, spec=SMALL, quantization=QUANTIZATION)
    apart = [head.reshape(*head.shape[:3], 3, 7) for head in heads]
    assert_same(decode_nms(apart, spec=SMALL, quantization=QUANTIZATION), expected)
    strided = [np.ascontiguousarray(head.transpose(0, 3, 1, 2, 4)).transpose(0, 2, 3, 1, 4) for head in apart]
    assert_same(decode_nms(strided, spec=SMALL, quantization=QUANTIZATION), expected)


def test_other_layouts_are_told_their_cure() -> None:
    heads = int8_heads(SMALL)
    expected = decode_nms(heads, spec=SMALL, quantization=QUANTIZATION)
    first = [head.reshape(*head.shape[:3], 3, 7).transpose(0, 3, 1, 2, 4) for head in heads]
    with pytest.raises(HeadError, match=re.escape("pass head.transpose(0, 2, 3, 1, 4) of each")):
        decode_nms(first, spec=SMALL, quantization=QUANTIZATION)
    cured = [head.transpose(0, 2, 3, 1, 4) for head in first]
    assert_same(decode_nms(cured, spec=SMALL, quantization=QUANTIZATION), expected)
    flat = [head.reshape(1, -1, 7) for head in heads]
    with pytest.raises(HeadError, match=re.escape("pass head.reshape(2, 3, 21) and head.reshape(4, 6, 21)")):
        decode_nms(flat, spec=SMALL, quantization=QUANTIZATION)
    with pytest.raises(HeadError, match="all are one array: cut it"):
        decode_nms([np.concatenate(flat, 1)], spec=SMALL, quantization=QUANTIZATION)
    with pytest.raises(HeadError, match="a batch of 2"):
        decode_nms([np.tile(head.reshape(*head.shape[:3], 3, 7), (2, 1, 1, 1, 1)) for head in heads], spec=SMALL)


def test_a_scale_per_channel_is_one_short_line() -> None:
    channels = [(np.full(21, 0.1), np.zeros(21, int))] * 2
    for make in (
        lambda: Decoder(SMALL, quantization=channels),
        lambda: decode_nms([], spec=SMALL, quantization=channels),
    ):
        for _ in range(2):  # the second time with the first in memory
            with pytest.raises(HeadError, match="one per channel") as caught:
                make()
            assert len(str(caught.value)) < 160
    assert decode_nms(int8_heads(SMALL), spec=SMALL, quantization=[(np.array([0.1]), np.array([0]))] * 2)


@pytest.mark.pc("compares times")
def test_alternating_costs_little_more_than_two_decoders() -> None:
    other = ModelSpec.yolov4_tiny(names=["cat", "dog"])
    quiet = [np.full(shape, -128, np.int8) for shape in (*SMALL.head_shapes, *other.head_shapes)]
    frames = (SMALL, quiet[:2], QUANTIZATION), (other, quiet[2:], QUANTIZATION[::-1])
    decoders = [Decoder(spec, quantization=pairs) for spec, _, pairs in frames]

    def two_decoders() -> None:
        for decoder, (_, heads, _) in zip(decoders, frames, strict=True):
            decoder(heads)

    def alternating() -> None:
        for spec, heads, pairs in frames:
            decode_nms(heads, spec=spec, quantization=pairs)

    def best_of(work: object, seconds: float = 0.1) -> float:
        times, end = [], perf_counter() + seconds
        while perf_counter() < end:
            start = perf_counter()
            work()
            times.append(perf_counter() - start)
        return min(times)

    # Frames without a box are the worst case. A rebuilt decoder costs over ten times as much.
    ratio = min(best_of(alternating) / best_of(two_decoders) for _ in range(3))
    assert ratio < 2.5
