"""Whatever a network is described by, it is a spec that decodes, or one line."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fastyolo import Decoder, HeadSpec, ModelSpec
from fuzzing import attempt, numbers, texts, values

pairs = st.tuples(st.floats(1, 500), st.floats(1, 500))
nearly_heads = st.fixed_dictionaries(
    {"stride": st.sampled_from([8, 16, 32]) | values, "anchors": st.lists(pairs, max_size=4) | values},
    optional={"scale_x_y": st.floats(0, 3) | values, "new_coords": values, "else": values},
)
nearly_specs = st.fixed_dictionaries(
    {
        "input_size": st.sampled_from([[64, 96], [32, 32], [416, 416]]) | values,
        "heads": st.lists(nearly_heads, max_size=3) | values,
        "names": st.lists(texts, max_size=4) | values,
    },
    optional={
        "resize": st.sampled_from(["stretch", "letterbox"]) | values,
        "channels": st.integers(-1, 5) | values,
        "else": values,
    },
)


@given(metadata=nearly_specs | st.dictionaries(texts, values, max_size=3))
def test_metadata_is_a_spec_or_one_line(metadata: dict[str, Any]) -> None:
    spec = attempt(lambda: ModelSpec.from_dict(metadata))
    if spec is not None:
        assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        assert hash(spec) == hash(ModelSpec.from_dict(spec.to_dict()))
        if sum(rows * columns for rows, columns, _ in spec.head_shapes) < 10_000:
            attempt(lambda: Decoder(spec))


@given(stride=values, anchors=values, scale_x_y=values, new_coords=values)
def test_heads_are_checked(stride: Any, anchors: Any, scale_x_y: Any, new_coords: Any) -> None:
    attempt(lambda: HeadSpec(stride, anchors, scale_x_y, new_coords))


@given(input_size=values, heads=values, names=values, resize=values)
def test_specs_are_checked(input_size: Any, heads: Any, names: Any, resize: Any) -> None:
    attempt(lambda: ModelSpec(input_size, heads, names, resize))
    attempt(lambda: ModelSpec((32, 32), (HeadSpec(32, ((1, 1),)),), names, resize))
    attempt(lambda: ModelSpec(input_size, (HeadSpec(32, ((1, 1),)),), ("a",)))


OPTIONS = {
    "quantization": values | st.lists(st.tuples(numbers, numbers) | st.none(), max_size=3),
    "score_threshold": values,
    "iou_threshold": values,
    "max_detections": values,
    "nms": st.sampled_from(["iou", "diou"]) | values,
    "classes": st.lists(st.integers(-2, 90), max_size=3) | values,
    "resize": values,
}


@given(options=st.fixed_dictionaries({}, optional=OPTIONS))
def test_options_are_checked(options: dict[str, Any]) -> None:
    attempt(lambda: Decoder(ModelSpec.yolov4_tiny(names=["a"], input_size=(64, 64)), **options))
