"""Heads of any type, shape, layout and content: sound detections, or one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

import fastyolo
from fastyolo import HeadSpec, ModelSpec
from fuzzing import attempt, values

Array = npt.NDArray[Any]

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1e38, -1e38, 1e-40, 88.8, -103.9, 1, 17], np.float32)


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    strides = draw(st.lists(st.sampled_from([8, 16, 32]), min_size=1, max_size=3))
    anchor = st.tuples(st.floats(0.01, 1000), st.floats(0.01, 1000))
    heads = tuple(
        HeadSpec(
            stride, tuple(draw(st.lists(anchor, min_size=1, max_size=3))), draw(st.floats(0.5, 2)), draw(st.booleans())
        )
        for stride in strides
    )
    size = draw(st.integers(1, 4)) * 32, draw(st.integers(1, 4)) * 32
    return ModelSpec(size, heads, ("a",) * draw(st.sampled_from([1, 2, 3, 15, 16, 17, 80])))


@st.composite
def head_arrays(draw: st.DrawFn, shape: tuple[int, ...]) -> Array:
    """One head, as it should be or not."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["float32", "float32", "int8", "uint8", "float64", "float16", ">f4", "int16", "bool"]))
    if draw(st.integers(0, 7)) == 0:
        shape = draw(st.sampled_from([shape[::-1], (*shape, 1), shape[:2], (), (0, *shape[1:]), (2, *shape)]))
    array = random.normal(0, draw(st.sampled_from([0.1, 3, 1000])), shape)
    if draw(st.booleans()):
        places = random.random(shape) < draw(st.sampled_from([0.01, 0.3, 1.0]))
        array = np.where(places, random.choice(SPECIAL, shape), array)
    with np.errstate(all="ignore"):
        array = array.astype(kind)
    match draw(st.sampled_from(["plain", "plain", "batch", "reversed", "stepped", "fortran", "odd", "read-only"])):
        case "batch":
            return array[np.newaxis]
        case "reversed":
            return array[::-1, ..., ::-1].copy()[::-1, ..., ::-1] if array.ndim > 1 else array
        case "stepped":
            return np.repeat(array, 2, axis=0)[::2] if array.ndim else array
        case "fortran":
            return np.asfortranarray(array)
        case "odd":
            # Numbers that begin at any byte.
            memory = np.zeros(array.nbytes + 1, np.uint8)
            view = memory[1:].view(array.dtype).reshape(array.shape)
            view[...] = array
            return view
        case "read-only":
            array.flags.writeable = False
    return array


@given(data=st.data())
def test_heads_give_sound_detections_or_one_line(data: st.DataObject) -> None:
    spec = data.draw(specs())
    heads = [data.draw(head_arrays(shape)) for shape in spec.head_shapes]
    heads = data.draw(st.permutations(heads))
    threshold = data.draw(st.sampled_from([0.0, 0.001, 0.25, 0.5, 1.0]))
    most = data.draw(st.sampled_from([1, 8, 300, 10**6]))
    quantization = data.draw(st.none() | st.just([(0.1, 0)] * len(heads)) | st.just([(1e-38, 5)] * len(heads)) | values)
    options: dict[str, Any] = {
        "spec": spec,
        "quantization": quantization,
        "score_threshold": threshold,
        "iou_threshold": data.draw(st.sampled_from([0.0, 0.45, 1.0])),
        "max_detections": most,
        "nms": data.draw(st.sampled_from(["iou", "diou"])),
        "class_agnostic": data.draw(st.booleans()),
        "multi_label": data.draw(st.booleans()),
        "clip": data.draw(st.booleans()),
        "image_size": data.draw(st.sampled_from([None, (480, 640), (1, 1), (2**24, 3)])),
    }
    found = attempt(lambda: fastyolo.decode_nms(heads, **options))
    if found is not None:
        number = len(found.confidence)
        assert found.xyxy.shape == (number, 4)
        assert number <= most
        assert np.isfinite(found.xyxy).all()
        assert (found.confidence >= np.float32(threshold)).all()
        assert (found.confidence <= 1).all()
        assert (np.diff(found.confidence) <= 0).all()
        assert ((found.class_id >= 0) & (found.class_id < spec.num_classes)).all()
        # Copies that lie as they should are the same heads.
        again = fastyolo.decode_nms([np.ascontiguousarray(head) for head in heads], **options)
        for ours, theirs in zip(found, again, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@given(heads=values | st.lists(values, max_size=3), image_size=values)
def test_anything_else_is_one_line(heads: Any, image_size: Any) -> None:
    attempt(lambda: fastyolo.decode_nms(heads))
    spec = ModelSpec((32, 32), (HeadSpec(32, ((1, 1),)),), ("a",))
    attempt(lambda: fastyolo.decode_nms([np.zeros((1, 1, 6), np.float32)], spec=spec, image_size=image_size))
