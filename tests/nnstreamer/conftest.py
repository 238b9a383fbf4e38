"""Heads of the bundled network's shapes, and their network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fastyolo import Decoder
from fastyolo.detector import BUNDLED_MODEL
from fastyolo.flatfile import read_flatfile
from fastyolo.spec import ModelSpec

Heads = list[npt.NDArray[np.int8]]


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    return ModelSpec.from_model(BUNDLED_MODEL)


@pytest.fixture(scope="session")
def frames() -> list[Heads]:
    """Eight frames in the model's own order, with none to some thirty detections."""
    random = np.random.default_rng(11)
    frames = []
    for count in (0, 1, 3, 30, 2, 0, 12, 5):
        heads = []
        for tensor in read_flatfile(BUNDLED_MODEL).outputs:
            (scale,), (zero,) = tensor.scales, tensor.zero_points
            real = random.normal(-8, 1, tensor.shape).reshape(-1, 85)
            real[:, :4] = random.normal(0, 0.5, (len(real), 4))
            rows = random.choice(len(real), (count + 1) // 2, replace=False)
            real[rows, 4] = random.uniform(1, 4, len(rows))
            real[rows, random.integers(5, 85, len(rows))] = random.uniform(1, 4, len(rows))
            heads.append(np.clip(np.rint(real / scale) + zero, -128, 127).astype(np.int8).reshape(tensor.shape))
        frames.append(heads)
    return frames


@pytest.fixture(scope="session")
def pairs() -> list[tuple[float, int]]:
    return [(tensor.scales[0], tensor.zero_points[0]) for tensor in read_flatfile(BUNDLED_MODEL).outputs]


@pytest.fixture(scope="session")
def decoder(spec: ModelSpec, pairs: list[tuple[float, int]]) -> Decoder:
    """What the filter is compared with: boxes in network pixels."""
    return Decoder(spec, quantization=pairs, max_detections=100, clip=True)
