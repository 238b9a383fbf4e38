"""`decode_nms` and `Decoder` as callers meet them: array layouts, fresh results, errors, threads."""

from __future__ import annotations

import dataclasses
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

import fastyolo
from fastyolo import Decoder, DecoderBusyError, DecodeResult, FastYoloError, HeadError, ModelSpec, OptionError
from fastyolo.spec import HeadSpec
from reference import decode_reference

SPEC = ModelSpec.yolov4_tiny(names=("cat", "dog"), input_size=(64, 96))
COARSE, FINE = SPEC.head_shapes
LEVELS = [(0.1, 3), (0.07, -20)]
# Names both entry points, so that errors and layouts are checked through each.
ENTRIES: dict[str, Callable[..., DecodeResult]] = {
    "decode_nms": lambda heads, *, spec=SPEC, **options: fastyolo.decode_nms(heads, spec=spec, **options),
    "Decoder": lambda heads, *, spec=SPEC, image_size=None, **options: Decoder(spec, **options)(
        heads, image_size=image_size
    ),
}


@pytest.fixture(params=ENTRIES)
def decode(request: pytest.FixtureRequest) -> Callable[..., DecodeResult]:
    return ENTRIES[request.param]


def random_heads(dtype: Any = np.float32, spec: ModelSpec = SPEC, seed: int = 7) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    if dtype == np.float32:
        return [rng.normal(0, 2, shape).astype(np.float32) for shape in spec.head_shapes]
    info = np.iinfo(dtype)
    return [rng.integers(info.min, info.max + 1, shape, dtype) for shape in spec.head_shapes]


def assert_same(result: DecodeResult, expected: DecodeResult) -> None:
    assert len(expected.confidence) > 0, "a comparison of nothing shows nothing"
    for ours, theirs in zip(result, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# Layouts


def strided(head: np.ndarray) -> np.ndarray:
    wide = np.zeros((*head.shape[:-1], head.shape[-1] * 2), head.dtype)
    wide[..., ::2] = head
    return wide[..., ::2]


def read_only(head: np.ndarray) -> np.ndarray:
    head = head.copy()
    head.flags.writeable = False
    return head


def unaligned(head: np.ndarray) -> np.ndarray:
    room = np.zeros(head.nbytes + 1, np.uint8)
    view = room[1:].view(head.dtype).reshape(head.shape)
    view[...] = head
    return view


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "batch axis": lambda head: head[None],
    "read-only": read_only,
    "strided": strided,
    "reversed": lambda head: head[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "Fortran order": np.asfortranarray,
    "unaligned": unaligned,
    "batch axis, Fortran order": lambda head: np.asfortranarray(head[None]),
    "batch axis, strided, read-only": lambda head: read_only(head)[None][:, ::1],
    "a slice of a larger tensor": lambda head: np.pad(head, ((1, 1), (1, 1), (1, 1)))[1:-1, 1:-1, 1:-1],
    "broadcast batch axis": lambda head: np.broadcast_to(head, (1, *head.shape)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.uint8])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_does_not_matter(decode: Callable[..., DecodeResult], layout: str, dtype: Any) -> None:
    heads = random_heads(dtype)
    quantization = None if dtype == np.float32 else [(0.1, 3), (0.07, 20)]
    expected = decode(heads, quantization=quantization)
    assert_same(decode([LAYOUTS[layout](head) for head in heads], quantization=quantization), expected)


def test_one_head_with_and_one_without_batch_axis(decode: Callable[..., DecodeResult]) -> None:
    coarse, fine = random_heads()
    assert_same(decode([coarse[None], fine]), decode([coarse, fine]))


def test_any_sequence_of_heads(decode: Callable[..., DecodeResult]) -> None:
    heads = random_heads()
    assert_same(decode(tuple(heads)), decode(heads))


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_heads_in_any_order_with_their_quantisation(decode: Callable[..., DecodeResult], dtype: Any) -> None:
    heads = random_heads(dtype)
    levels = None if dtype == np.float32 else LEVELS
    turned = decode(heads[::-1], quantization=levels[::-1] if levels else None)
    assert_same(turned, decode(heads, quantization=levels))


def test_heads_are_left_as_they_were(decode: Callable[..., DecodeResult]) -> None:
    heads = random_heads()
    copies = [head.copy() for head in heads]
    decode(heads, image_size=(480, 640), resize="letterbox", clip=True)
    for head, copy in zip(heads, copies, strict=True):
        np.testing.assert_array_equal(head, copy)


# Results


def test_result_is_a_named_tuple(decode: Callable[..., DecodeResult]) -> None:
    result = decode(random_heads())
    xyxy, confidence, class_id = result
    assert isinstance(result, DecodeResult)
    assert xyxy is result.xyxy
    assert confidence is result.confidence
    assert class_id is result.class_id
    count = len(confidence)
    assert (xyxy.shape, confidence.shape, class_id.shape) == ((count, 4), (count,), (count,))
    assert (xyxy.dtype, confidence.dtype, class_id.dtype) == (np.float32, np.float32, np.int32)
    assert (np.diff(confidence) <= 0).all()


def test_nothing_found_has_the_same_types(decode: Callable[..., DecodeResult]) -> None:
    xyxy, confidence, class_id = decode([np.full(shape, -50, np.float32) for shape in SPEC.head_shapes])
    assert (xyxy.shape, confidence.shape, class_id.shape) == ((0, 4), (0,), (0,))
    assert (xyxy.dtype, confidence.dtype, class_id.dtype) == (np.float32, np.float32, np.int32)


def test_results_are_fresh_and_writable() -> None:
    decoder = Decoder(SPEC)
    heads = random_heads()
    first = decoder(heads)
    copies = [array.copy() for array in first]
    second = decoder(heads)
    other = decoder(random_heads(seed=8))
    for i, array in enumerate(first):
        assert array.flags.writeable
        assert not any(np.shares_memory(array, theirs) for theirs in (second[i], other[i], *heads))
        np.testing.assert_array_equal(array, copies[i])
        array[...] = 0
    assert_same(decoder(heads), second)


def test_results_outlive_decoder_and_heads() -> None:
    heads = random_heads()
    result = Decoder(SPEC)(heads)
    copies = [array.copy() for array in result]
    del heads
    gc.collect()
    Decoder(SPEC)(random_heads(seed=9))
    for array, copy in zip(result, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_decoder_and_decode_nms_agree() -> None:
    options: dict[str, Any] = {
        "score_threshold": 0.1,
        "iou_threshold": 0.3,
        "max_detections": 25,
        "nms": "diou",
        "class_agnostic": True,
        "multi_label": True,
        "classes": [1],
        "resize": "letterbox",
        "clip": True,
    }
    for dtype, quantization in ((np.float32, None), (np.int8, LEVELS)):
        heads = random_heads(dtype)
        expected = fastyolo.decode_nms(heads, spec=SPEC, quantization=quantization, image_size=(480, 640), **options)
        decoder = Decoder(SPEC, quantization=quantization, **options)
        assert_same(decoder(heads, image_size=(480, 640)), expected)
        assert_same(decoder(heads, (480, 640)), expected)


def test_defaults_are_those_documented(decode: Callable[..., DecodeResult]) -> None:
    heads = random_heads()
    documented = {
        "quantization": None,
        "score_threshold": 0.25,
        "iou_threshold": 0.45,
        "max_detections": 300,
        "nms": "iou",
        "class_agnostic": False,
        "multi_label": False,
        "classes": None,
        "image_size": None,
        "resize": "stretch",
        "clip": False,
    }
    assert_same(decode(heads), decode(heads, **documented))


def test_integer_like_options_work(decode: Callable[..., DecodeResult]) -> None:
    heads = random_heads()
    expected = decode(heads, score_threshold=0.5, max_detections=5, image_size=(480, 640), classes=[1])
    result = decode(
        heads,
        score_threshold=np.float32(0.5),
        max_detections=np.int64(5),
        image_size=(np.int64(480), np.int32(640)),
        classes=np.array([1]),
    )
    assert_same(result, expected)


def test_one_decoder_over_many_image_sizes() -> None:
    decoder = Decoder(SPEC, resize="letterbox", clip=True, score_threshold=0.1)
    heads = random_heads()
    sizes = [(480, 640), (64, 96), (1, 1), (2000, 31), (480, 640)]
    for size in sizes:
        expected = fastyolo.decode_nms(
            heads, spec=SPEC, resize="letterbox", clip=True, score_threshold=0.1, image_size=size
        )
        assert_same(decoder(heads, image_size=size), expected)


def test_one_decoder_over_busy_and_quiet_frames() -> None:
    """Nothing of a frame may be left in the workspace for the next."""
    decoder = Decoder(SPEC, score_threshold=0, multi_label=True, max_detections=10_000)
    quiet_decoder = Decoder(SPEC, score_threshold=0.9)
    heads = random_heads()
    full = decoder(heads)
    for seed in range(5):
        other = random_heads(seed=seed)
        expected = decode_reference(other, spec=SPEC, score_threshold=0, multi_label=True, max_detections=10_000)
        assert len(decoder(other).confidence) == len(expected.confidence)
        assert len(quiet_decoder([np.full_like(head, -9) for head in heads]).confidence) == 0
        assert_same(decoder(heads), full)


def test_one_decoder_sees_integer_and_float_heads_in_turn() -> None:
    decoder = Decoder(SPEC, quantization=LEVELS)
    integers = random_heads(np.int8)
    floats = [
        (scale * (head.astype(np.float32) - zero)).astype(np.float32)
        for head, (scale, zero) in zip(integers, LEVELS, strict=True)
    ]
    expected = decoder(integers)
    result = Decoder(SPEC)(floats)
    np.testing.assert_allclose(result.confidence, expected.confidence, rtol=1e-4)
    np.testing.assert_array_equal(result.class_id, expected.class_id)
    positive = [(scale, zero + 128) for scale, zero in LEVELS]
    unsigned = [(head.astype(np.int16) + 128).astype(np.uint8) for head in integers]
    # The same real numbers in uint8 give the same boxes to the last bit.
    assert_same(Decoder(SPEC, quantization=positive)(unsigned), expected)
    both = Decoder(SPEC, quantization=[(0.1, 3), (0.07, 20)])
    for dtype in (np.int8, np.uint8, np.int8):
        heads = random_heads(dtype)
        once = fastyolo.decode_nms(heads, spec=SPEC, quantization=[(0.1, 3), (0.07, 20)])
        assert_same(both(heads), once)
    assert_same(decoder(integers), expected)


def test_one_decoder_after_an_error() -> None:
    decoder = Decoder(SPEC)
    heads = random_heads()
    expected = decoder(heads)
    bad_calls: list[tuple[Any, dict[str, Any]]] = [
        (heads[:1], {}),
        ([heads[0], heads[1].astype(np.float64)], {}),
        ([heads[0], heads[0]], {}),
        (heads, {"image_size": (0, 5)}),
        (None, {}),
    ]
    for bad_heads, options in bad_calls:
        with pytest.raises((HeadError, OptionError, TypeError)):
            decoder(bad_heads, **options)
        assert_same(decoder(heads), expected)


# Errors


@pytest.mark.parametrize("count", [0, 1, 3])
def test_wrong_number_of_heads(decode: Callable[..., DecodeResult], count: int) -> None:
    heads = (random_heads() * 2)[:count]
    with pytest.raises(HeadError) as error:
        decode(heads)
    expected, came = str(error.value).split("got")
    assert all(str(shape) in expected for shape in SPEC.head_shapes)
    assert came.count("(") == count


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.dtype(">f4")])
def test_other_float_types_name_the_cure(decode: Callable[..., DecodeResult], dtype: Any) -> None:
    with pytest.raises(HeadError, match=r"\.astype\(np\.float32\)") as error:
        decode([head.astype(dtype) for head in random_heads()])
    assert str(np.dtype(dtype)) in str(error.value)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint16, np.bool_, np.complex64, object])
def test_other_types_are_refused(decode: Callable[..., DecodeResult], dtype: Any) -> None:
    with pytest.raises(HeadError, match=np.dtype(dtype).name):
        decode([np.zeros(shape, dtype) for shape in SPEC.head_shapes], quantization=LEVELS)


def test_wrong_shape_names_expected_and_came(decode: Callable[..., DecodeResult]) -> None:
    coarse, _ = random_heads()
    with pytest.raises(HeadError) as error:
        decode([coarse, np.zeros((5, 6, 21), np.float32)])
    message = str(error.value)
    assert str(FINE) in message
    assert "(5, 6, 21)" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "shape", [(), (21,), (2, 21), (2, 2, 3, 21), (1, 1, 2, 3, 21), (0, 2, 3, 21), (2, 0, 21), (3, 2, 21), (21, 2, 3)]
)
def test_shapes_that_only_look_alike(decode: Callable[..., DecodeResult], shape: tuple[int, ...]) -> None:
    _, fine = random_heads()
    with pytest.raises(HeadError):
        decode([np.zeros(shape, np.float32), fine])


def test_twice_the_same_head_is_not_both_heads(decode: Callable[..., DecodeResult]) -> None:
    coarse, _ = random_heads()
    with pytest.raises(HeadError):
        decode([coarse, coarse])


@pytest.mark.parametrize(
    ("classes", "size", "suggestion"),
    [
        (80, (416, 416), "ModelSpec.yolov4_tiny()"),
        (1, (416, 416), "names=[... your 1 class names]"),
        (80, (320, 320), "input_size=(320, 320)"),
        (3, (256, 416), "input_size=(256, 416)"),
    ],
)
def test_wrong_shape_suggests_the_spec_that_fits(
    decode: Callable[..., DecodeResult], classes: int, size: tuple[int, int], suggestion: str
) -> None:
    fitting = ModelSpec.yolov4_tiny(names=[f"class {i}" for i in range(classes)], input_size=size)
    for heads in (random_heads(spec=fitting), random_heads(spec=fitting)[::-1]):
        with pytest.raises(HeadError) as error:
            decode(heads)
        assert "ModelSpec.yolov4_tiny(" in str(error.value)
        assert suggestion in str(error.value)


def test_no_suggestion_where_none_fits(decode: Callable[..., DecodeResult]) -> None:
    with pytest.raises(HeadError) as error:
        decode([np.zeros((13, 13, 255), np.float32), np.zeros((26, 25, 255), np.float32)])
    assert "ModelSpec.yolov4_tiny" not in str(error.value)


@pytest.mark.parametrize("not_heads", [None, 3, [None, None], ["a", "b"], [[1.0], [2.0]]])
def test_heads_that_are_no_arrays(decode: Callable[..., DecodeResult], not_heads: Any) -> None:
    with pytest.raises((HeadError, TypeError)):
        decode(not_heads)


def test_integer_heads_need_their_quantisation(decode: Callable[..., DecodeResult]) -> None:
    for dtype in (np.int8, np.uint8):
        with pytest.raises(HeadError, match="quantization"):
            decode(random_heads(dtype))


@pytest.mark.parametrize("quantization", [[], LEVELS[:1], [*LEVELS, (0.1, 0)]])
def test_one_quantisation_per_head(decode: Callable[..., DecodeResult], quantization: list[Any]) -> None:
    with pytest.raises(HeadError, match=rf"\b2\b.*\b{len(quantization)}\b"):
        decode(random_heads(np.int8), quantization=quantization)


@pytest.mark.parametrize("scale", [0.0, -0.1, np.nan, np.inf, -np.inf])
def test_a_scale_is_a_positive_number(decode: Callable[..., DecodeResult], scale: float) -> None:
    with pytest.raises(HeadError, match="scale"):
        decode(random_heads(np.int8), quantization=[(0.1, 3), (scale, 3)])


@pytest.mark.parametrize(
    ("dtype", "zero_point"),
    [(np.int8, -129), (np.int8, 128), (np.uint8, -1), (np.uint8, 256), (np.int8, 10**12)],
)
def test_a_zero_point_lies_in_the_range_of_its_type(
    decode: Callable[..., DecodeResult], dtype: Any, zero_point: int
) -> None:
    with pytest.raises(HeadError, match="zero_point") as error:
        decode(random_heads(dtype), quantization=[(0.1, 3), (0.1, zero_point)])
    assert str(zero_point) in str(error.value)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_the_ends_of_the_range_are_zero_points_too(decode: Callable[..., DecodeResult], dtype: Any) -> None:
    info = np.iinfo(dtype)
    for zero_point in (info.min, info.max):
        heads = random_heads(dtype)
        result = decode(heads, quantization=[(0.1, zero_point)] * 2, score_threshold=0)
        expected = decode_reference(heads, spec=SPEC, quantization=[(0.1, zero_point)] * 2, score_threshold=0)
        np.testing.assert_allclose(result.confidence[0], expected.confidence[0], rtol=1e-4)


@pytest.mark.parametrize("quantization", [[(0.1,), (0.1,)], [0.1, 0.1], "ab", [("a", 1), (0.1, 1)], 5])
def test_quantisation_of_another_form(decode: Callable[..., DecodeResult], quantization: Any) -> None:
    with pytest.raises((HeadError, TypeError)):
        decode(random_heads(np.int8), quantization=quantization)


@pytest.mark.parametrize("value", [-0.001, 1.001, 25, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["score_threshold", "iou_threshold"])
def test_thresholds_lie_between_0_and_1(decode: Callable[..., DecodeResult], name: str, value: float) -> None:
    with pytest.raises(OptionError, match=name) as error:
        decode(random_heads(), **{name: value})
    assert isinstance(error.value, ValueError)
    assert str(value) in str(error.value)


@pytest.mark.parametrize("value", [0, -1, -(10**12)])
def test_max_detections_is_at_least_1(decode: Callable[..., DecodeResult], value: int) -> None:
    with pytest.raises(OptionError, match="max_detections"):
        decode(random_heads(), max_detections=value)


def test_max_detections_beyond_the_number_of_boxes_means_all(decode: Callable[..., DecodeResult]) -> None:
    heads = random_heads()
    expected = decode_reference(heads, spec=SPEC, score_threshold=0, multi_label=True, max_detections=10**9)
    for value in (SPEC.num_classes * 90, 10_000, 2**31 - 1):
        result = decode(heads, score_threshold=0, multi_label=True, max_detections=value)
        np.testing.assert_array_equal(result.class_id, expected.class_id)


@pytest.mark.parametrize("nms", ["soft", "", "IoU", 3])
def test_unknown_nms(decode: Callable[..., DecodeResult], nms: Any) -> None:
    with pytest.raises(OptionError, match=r"nms.*iou.*diou"):
        decode(random_heads(), nms=nms)


@pytest.mark.parametrize("image_size", [(0, 10), (10, 0), (-1, 5), (10,), (1, 2, 3), "ab", 5, (np.nan, 5.0), (None, 4)])
def test_bad_image_size(decode: Callable[..., DecodeResult], image_size: Any) -> None:
    for resize in ("stretch", "letterbox"):
        with pytest.raises(OptionError, match="image_size"):
            decode(random_heads(), image_size=image_size, resize=resize)


def test_letterbox_needs_the_image_size(decode: Callable[..., DecodeResult]) -> None:
    with pytest.raises(OptionError, match="image_size"):
        decode(random_heads(), resize="letterbox")


@pytest.mark.parametrize("classes", [[-1], [2], [0, 7], [2**40]])
def test_classes_the_network_does_not_have(decode: Callable[..., DecodeResult], classes: list[int]) -> None:
    with pytest.raises(OptionError, match="class") as error:
        decode(random_heads(), classes=classes)
    assert str(classes[-1]) in str(error.value)


def test_unknown_option(decode: Callable[..., DecodeResult]) -> None:
    with pytest.raises(TypeError):
        decode(random_heads(), confidence=0.5)


def test_options_are_checked_when_a_decoder_is_made() -> None:
    for option in ({"score_threshold": 2}, {"max_detections": 0}, {"nms": "soft"}, {"classes": [2]}):
        with pytest.raises(OptionError):
            Decoder(SPEC, **option)


def test_every_error_is_one_line_of_one_family(decode: Callable[..., DecodeResult]) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = [
        (random_heads()[:1], {}),
        ([head.astype(np.float64) for head in random_heads()], {}),
        (random_heads(np.int8), {}),
        (random_heads(), {"nms": "soft"}),
        (random_heads(), {"image_size": (0, 0)}),
    ]
    for heads, options in calls:
        with pytest.raises(fastyolo.FastYoloError) as error:
            decode(heads, **options)
        assert "\n" not in str(error.value)


# Threads

CROWDED = ModelSpec.yolov4_tiny(names=[f"class {i}" for i in range(20)])
CROWDED_OPTIONS: dict[str, Any] = {"score_threshold": 0.001, "multi_label": True, "iou_threshold": 0.9}


def test_decode_nms_from_eight_threads_equals_serial() -> None:
    jobs = []
    for seed in range(16):
        dtype = (np.float32, np.int8, np.uint8)[seed % 3]
        quantization = None if dtype == np.float32 else [(0.05 + 0.01 * seed, 10)] * 2
        options = {"quantization": quantization, "nms": ("iou", "diou")[seed % 2], "multi_label": seed % 5 == 0}
        jobs.append((random_heads(dtype, CROWDED, seed), {"spec": CROWDED, "score_threshold": 0.05, **options}))
    expected = [fastyolo.decode_nms(heads, **options) for heads, options in jobs]
    start = threading.Barrier(8)

    def work(thread: int) -> list[DecodeResult]:
        start.wait(timeout=30)
        return [fastyolo.decode_nms(jobs[(thread + i) % 16][0], **jobs[(thread + i) % 16][1]) for i in range(32)]

    with ThreadPoolExecutor(8) as pool:
        for thread, results in enumerate(pool.map(work, range(8))):
            for i, result in enumerate(results):
                assert_same(result, expected[(thread + i) % 16])


def test_a_decoder_in_use_refuses_a_second_thread() -> None:
    decoder = Decoder(CROWDED, **CROWDED_OPTIONS)
    heads = random_heads(spec=CROWDED)
    expected = decoder(heads)
    finished = threading.Event()
    refusals: list[DecoderBusyError] = []
    mismatches: list[str] = []

    def work() -> None:
        while not finished.is_set():
            try:
                result = decoder(heads)
            except DecoderBusyError as error:
                refusals.append(error)
                finished.set()
            else:
                try:
                    assert_same(result, expected)
                except AssertionError as error:
                    mismatches.append(str(error))
                    finished.set()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Two threads that do nothing else meet within milliseconds; the minute is for a machine under load.
    finished.wait(timeout=60)
    finished.set()
    for thread in threads:
        thread.join(timeout=60)
    assert not mismatches
    assert refusals
    assert "thread" in str(refusals[0])
    assert_same(decoder(heads), expected)


def test_the_kernel_runs_without_the_gil() -> None:
    decoder = Decoder(CROWDED, **CROWDED_OPTIONS)
    heads = random_heads(spec=CROWDED)
    started, done = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        for _ in range(100):
            decoder(heads)
        done.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(3600)  # from here the other thread runs on only if it lets go of the GIL itself
    try:
        thread = threading.Thread(target=work)
        thread.start()
        started.wait(timeout=60)
        finished_first = done.is_set()
    finally:
        sys.setswitchinterval(interval)
    thread.join(timeout=60)
    assert done.is_set()
    assert not finished_first


def test_decode_nms_sees_every_change_of_its_options() -> None:
    """Whatever is kept from one call must not leak into the next, not even through lists changed in place."""
    heads = random_heads(np.int8)
    quantization, classes = [(0.1, 3), (0.07, -20)], [0]

    def call(**options: Any) -> DecodeResult:
        return fastyolo.decode_nms(heads, spec=SPEC, quantization=quantization, classes=classes, **options)

    first = call()
    assert set(first.class_id) == {0}
    classes[0] = 1
    assert set(call().class_id) == {1}
    quantization[0] = quantization[1] = (0.01, 0)
    assert_same(call(), Decoder(SPEC, quantization=[(0.01, 0)] * 2, classes=[1])(heads))
    for options in ({"score_threshold": 0.1}, {"iou_threshold": 0.1}, {"nms": "diou"}, {"multi_label": True},
                    {"class_agnostic": True}, {"max_detections": 3}, {"image_size": (30, 40)}, {"clip": True},
                    {"image_size": (30, 40), "resize": "letterbox"}, {}):  # fmt: skip
        image_size = options.get("image_size")
        rest = {key: value for key, value in options.items() if key != "image_size"}
        decoder = Decoder(SPEC, quantization=quantization, classes=classes, **rest)
        assert_same(call(**options), decoder(heads, image_size=image_size))
    with pytest.raises(OptionError):
        call(score_threshold=3)
    assert_same(call(), Decoder(SPEC, quantization=quantization, classes=classes)(heads))


def test_decoders_do_not_disturb_each_other() -> None:
    heads = random_heads(spec=CROWDED)
    expected = Decoder(CROWDED)(heads)
    decoders = [Decoder(CROWDED) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda i: decoders[i](heads), [i % 8 for i in range(8)]):
            assert_same(result, expected)


def test_spec_with_one_class_and_one_head() -> None:
    spec = ModelSpec((32, 32), (HeadSpec(32, ((10, 20),)),), ("only",))
    head = np.zeros((1, 1, 6), np.float32)
    assert len(fastyolo.decode_nms([head], spec=spec).confidence) == 1
    assert len(fastyolo.decode_nms([head[None]], spec=spec).confidence) == 1


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"spec": "yolov4-tiny"}, OptionError, "must be a ModelSpec"),
        ({"classes": 1}, OptionError, "list of class ids"),
        ({"classes": "tie"}, OptionError, "list of class ids"),
        ({"image_size": (10**40, 3)}, OptionError, "between 1 and 16777216"),
        ({"quantization": 5}, HeadError, r"one \(scale, zero_point\) per head"),
        ({"quantization": [(1e300, 0)] * 2}, HeadError, "positive float32 number"),
        ({"quantization": [(0.1, 0.5)] * 2}, HeadError, "whole zero_point"),
    ],
)
def test_arguments_of_another_kind(options: dict[str, Any], error: type[Exception], said: str) -> None:
    heads = [np.zeros(shape, np.float32) for shape in ModelSpec.yolov4_tiny().head_shapes]
    with pytest.raises(error, match=said):
        fastyolo.decode_nms(heads, **options)


def test_quantisation_may_come_as_an_array_and_any_limit_as_large_as_wanted() -> None:
    heads = [np.zeros(shape, np.int8) for shape in ModelSpec.yolov4_tiny().head_shapes]
    expected = fastyolo.decode_nms(heads, quantization=[(0.5, 3)] * 2, score_threshold=0.0)
    result = fastyolo.decode_nms(
        heads, quantization=np.array([[0.5, 3]] * 2), score_threshold=0.0, max_detections=sys.maxsize
    )
    np.testing.assert_array_equal(result.confidence[:300], expected.confidence)


@pytest.mark.parametrize("made_for", ["stretch", "letterbox"])
def test_the_geometry_is_the_specs_unless_said_otherwise(made_for: Any) -> None:
    spec = dataclasses.replace(SPEC, resize=made_for)
    heads, size = random_heads(), (480, 640)
    for said in (None, "stretch", "letterbox"):
        expected = fastyolo.decode_nms(heads, spec=SPEC, image_size=size, resize=said or made_for)
        assert_same(fastyolo.decode_nms(heads, spec=spec, image_size=size, resize=said), expected)
        assert_same(Decoder(spec, resize=said)(heads, size), expected)
    with pytest.raises(OptionError, match="'stretch' or 'letterbox', got 'crop'"):
        Decoder(spec, resize="crop")  # type: ignore[arg-type]


@pytest.mark.parametrize("made_for", ["iou", "diou"])
def test_the_nms_is_the_specs_unless_said_otherwise(made_for: Any) -> None:
    spec = dataclasses.replace(SPEC, nms=made_for)
    heads = random_heads()
    options: dict[str, Any] = {"score_threshold": 0.01, "iou_threshold": 0.2}
    kinds = {kind: fastyolo.decode_nms(heads, spec=SPEC, nms=kind, **options) for kind in ("iou", "diou")}
    assert len(kinds["iou"].confidence) != len(kinds["diou"].confidence)
    for said in (None, "iou", "diou"):
        assert_same(fastyolo.decode_nms(heads, spec=spec, nms=said, **options), kinds[said or made_for])
        assert_same(Decoder(spec, nms=said, **options)(heads), kinds[said or made_for])


def test_heads_in_another_order_or_of_another_type_are_looked_at_anew() -> None:
    decoder = Decoder(SPEC, quantization=LEVELS, score_threshold=0.1)
    real, bytes_ = random_heads(), random_heads(np.int8)
    expected = [fastyolo.decode_nms(heads, spec=SPEC, quantization=LEVELS, score_threshold=0.1)
                for heads in (real, bytes_)]  # fmt: skip
    for _ in range(3):
        assert_same(decoder(real), expected[0])
        assert_same(decoder(bytes_), expected[1])
        assert_same(decoder(real[::-1]), expected[0])


class Emptying:
    """A buffer whose owner takes the other heads away while it is being read."""

    def __init__(self, array: npt.NDArray[Any], heads: list[Any]) -> None:
        self._array, self._heads = array, heads

    def __buffer__(self, flags: int) -> memoryview:
        self._heads.clear()
        return memoryview(self._array)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12, where a class can be a buffer")
def test_a_list_that_changes_while_it_is_read_does_no_harm() -> None:
    decoder = Decoder(SPEC)
    real = random_heads()
    expected = decoder(real)
    heads: list[Any] = []
    heads += [Emptying(real[0], heads), *real[1:]]
    assert_same(decoder(heads), expected)


class Shrinking(Emptying):
    """A buffer that changes what else the call was given: quantisation, classes, the image's size."""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12, where a class can be a buffer")
@pytest.mark.parametrize("option", ["quantization", "classes", "image_size"])
def test_options_that_change_while_heads_are_read_do_no_harm(option: str) -> None:
    given: dict[str, list[Any]] = {"quantization": [*LEVELS], "classes": [0, 1], "image_size": [480, 640]}
    real = random_heads(np.int8)
    options: dict[str, Any] = {"spec": SPEC, "score_threshold": 0.1, "quantization": LEVELS}
    expected = fastyolo.decode_nms(real, **{**options, option: [*given[option]]})
    heads: list[Any] = [Shrinking(real[0], given[option]), *real[1:]]
    assert_same(fastyolo.decode_nms(heads, **{**options, option: given[option]}), expected)
    assert given[option] == []


class Pair(NamedTuple):
    coarse: npt.NDArray[Any]
    fine: npt.NDArray[Any]


class Fickle(list[Any]):
    """A list that is another one each time it is looked at."""

    def __iter__(self) -> Iterator[Any]:
        copy = [*super().__iter__()]
        self.clear()
        return iter(copy)


def test_subclasses_of_lists_and_tuples_are_taken_once() -> None:
    real = random_heads()
    expected = fastyolo.decode_nms(real, spec=SPEC)
    assert_same(fastyolo.decode_nms(Pair(*real), spec=SPEC), expected)
    assert_same(fastyolo.decode_nms(Fickle(real), spec=SPEC), expected)


def test_a_size_that_is_never_the_same_is_asked_once() -> None:
    class Fickler:
        def __init__(self) -> None:
            self.asked = 0

        def __index__(self) -> int:
            self.asked += 1
            return 480 * self.asked

    side = Fickler()
    decoder, real = Decoder(SPEC), random_heads()
    expected = decoder(real, (480, 640))
    assert_same(Decoder(SPEC)(real, (side, 640)), expected)  # type: ignore[arg-type]
    assert side.asked == 1


def test_a_spec_that_is_never_the_same_is_asked_once() -> None:
    class Growing(ModelSpec):
        @property
        def num_classes(self) -> int:
            object.__setattr__(self, "names", (*self.names, "more"))
            return len(self.names)

    spec = Growing(SPEC.input_size, SPEC.heads, SPEC.names)
    real = random_heads()
    with suppress(FastYoloError, IndexError, ValueError):
        Decoder(spec, score_threshold=0.0, multi_label=True, max_detections=10**6)(real)


@pytest.mark.parametrize("heads", [[None, None], ["ab", "cd"], [object(), 3]])
def test_what_is_no_array_is_named(heads: list[Any]) -> None:
    with pytest.raises(HeadError, match="head 0 must be"):
        fastyolo.decode_nms(heads)


def test_a_buffer_that_is_not_what_it_says_is_refused() -> None:
    class Liar(np.ndarray):
        shape = SPEC.head_shapes[0]  # type: ignore[assignment]

    heads = [np.zeros((1, 1, 1), np.float32).view(Liar), *random_heads()[1:]]
    with pytest.raises(HeadError, match="heads must"):
        Decoder(SPEC)(heads)
