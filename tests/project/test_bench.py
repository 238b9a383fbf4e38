"""The benchmark's parts: that contenders do the same work, and that what is reported is what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import limits
from clock import MIN_ROUNDS, interleave
from contenders import preprocessing
from contenders.floor import Floor
from contenders.numpy_opencv import NumpyOpenCV
from contenders.ours import OurFunction, Ours, this_build
from contenders.recipe import Recipe
from contenders.task import Contender, DecodeTask, Found
from differences import Differences
from fastyolo import ModelSpec
from golden import FRAMES, QUANTIZATION
from heads import Frames, dequantised, synthetic, worst_case
from report import OURS, Row, find, rows_of, table, write_between_marks

EVALUATE = {"score_threshold": 0.001, "multi_label": True}


@pytest.fixture(scope="module")
def frames() -> Frames:
    with np.load(FRAMES) as arrays:
        heads = [tuple(arrays[f"{picture}_{grid}"] for grid in (13, 26)) for picture in ("hopper", "coffee")]
    return Frames("int8", ModelSpec.yolov4_tiny(), heads, (QUANTIZATION,) * 2)


@pytest.mark.parametrize("options", [{}, EVALUATE], ids=["detect", "evaluate"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_numpy_peer_finds_what_we_find(frames: Frames, dtype: str, options: dict[str, object]) -> None:
    for source in (frames, synthetic("one class", 1, num_frames=2), synthetic("365 classes", 365, num_frames=2)):
        chosen = source if dtype == "int8" else dequantised(source, "float32")
        found = differences_of(chosen, options)
        assert found.ours > 2
        # OpenCV adds up areas in another order, which can tip a box whose IoU is 0.45 to seven digits.
        assert found.missing == found.extra <= found.ours // 100
        assert found.score < 0.001


def differences_of(frames: Frames, options: dict[str, object]) -> Differences:
    found = Differences()
    for heads in frames.heads:
        task = DecodeTask(frames.spec, heads, frames.quantization, **options)
        found.add(Ours(task, this_build(), OURS).found(), NumpyOpenCV(task).found())
        assert str(found).startswith(f"{found.theirs} detections for our {found.ours}")
    return found


def test_the_function_finds_what_the_decoder_finds(frames: Frames) -> None:
    task = DecodeTask(frames.spec, frames.heads[0], frames.quantization)
    for ours, theirs in zip(Ours(task, this_build(), OURS).found(), OurFunction(task).found(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_in_the_worst_case_every_score_passes() -> None:
    for heads in worst_case("float32").heads:
        for head in heads:
            raw = head.reshape(-1, 85)[:, 4:].astype(np.float64)
            scores = 1 / (1 + np.exp(-raw[:, :1])) / (1 + np.exp(-raw[:, 1:]))
            assert (scores >= 0.001).all()


def test_the_recipe_knows_no_classes_in_its_score_and_cuts_to_whole_pixels(frames: Frames) -> None:
    found = Recipe(DecodeTask(frames.spec, frames.heads[0], frames.quantization)).found()
    ours = Ours(DecodeTask(frames.spec, frames.heads[0], frames.quantization), this_build(), OURS).found()
    assert found.class_ids[0] == ours.class_ids[0]
    assert found.scores[0] > ours.scores[0]
    assert found.xyxy.dtype == np.int32


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_floor_looks_at_every_objectness(frames: Frames, dtype: str) -> None:
    chosen = frames if dtype == "int8" else dequantised(frames, "float32")
    floor = Floor(DecodeTask(chosen.spec, chosen.heads[0], chosen.quantization))
    assert floor.timed() >= 0
    real = [head.reshape(-1, 85)[:, 4] for head in dequantised(frames, "float32").heads[0]]
    assert floor.passed.value == sum(int((values >= np.log(1 / 3)).sum()) for values in real) > 0


def test_contenders_of_the_preprocessing_agree_within_two_steps() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (90, 120, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    nv12 = preprocessing.nv12_of(rgb)
    assert nv12.shape == (720 * 3 // 2, 960)
    builds = {OURS: this_build()}
    for contenders in (preprocessing.of_rgb(rgb, builds), preprocessing.of_nv12(nv12, builds)):
        ours, opencv, *_ = (contender().astype(int) for contender in contenders)
        assert ours.shape == (416, 416, 3)
        assert np.abs(ours - opencv).max() <= 2


def test_differences_pair_by_class_and_overlap() -> None:
    ours = Found(np.array([[0, 0, 10, 10], [50, 50, 60, 60.0]]), np.array([0.9, 0.8]), np.array([1, 2]))
    shifted = Found(np.array([[50, 50, 60, 62], [0, 0, 10, 10.0]]), np.array([0.7, 0.9]), np.array([2, 3]))
    found = Differences()
    found.add(ours, shifted)
    assert (found.ours, found.theirs, found.missing, found.extra) == (2, 2, 1, 1)
    assert found.pixels == 2
    assert found.score == pytest.approx(0.1)


class Recorder(Contender):
    """Writes down who was called and on which frame."""

    def __init__(self, name: str, frame: list[int], calls: list[tuple[str, int]]) -> None:
        self.name, self._frame, self._calls = name, frame, calls

    def timed(self) -> int:
        self._calls.append((self.name, self._frame[0]))
        return len(self._calls)


def test_every_round_gives_every_contender_every_frame_and_begins_with_another() -> None:
    frame = [0]
    calls: list[tuple[str, int]] = []
    contenders = [Recorder(name, frame, calls) for name in "ab"]
    times = interleave(contenders, [7, 8, 9], lambda number: frame.__setitem__(0, number), seconds=0)
    assert times.shape == (MIN_ROUNDS, 3, 2)
    warm_up, calls = calls[:4], calls[4:]
    assert warm_up == [("a", 7), ("a", 8), ("b", 7), ("b", 8)]
    assert "".join(name for name, _ in calls) == "aaabbb" + "bbbaaa" + "aaabbb"
    assert [number for _, number in calls] == [7, 8, 9] * 6
    # Every time is in its place: the calls were counted up in the order in which they came.
    assert times[1, :, 0].tolist() == [14, 15, 16]


def test_a_table_shows_ratios_to_ours_of_the_same_work() -> None:
    times = np.array([[[1000, 3000], [3000, 9000]]])
    rows = [*rows_of("decode", [OURS, "other"], times), Row("alone", "other", 5, 5, 1)]
    assert find(rows, "decode", "other") == Row("decode", "other", 6.0, pytest.approx(8.7), 2)
    lines = table(rows).splitlines()
    assert lines[2:] == [
        "| decode | fastyolo | 2.0 | 2.9 | 1.00 |",
        "|  | other | 6.0 | 8.7 | 3.00 |",
        "| alone | other | 5.0 | 5.0 |  |",
    ]


def test_limits_are_ratios_and_say_whether_they_are_met() -> None:
    rows = []
    for limit in limits.LIMITS:
        rows.append(Row(limit.rival_work, limit.contender, 90.0, 90, 1))
        rows.append(Row(limit.work, OURS, 1.0, 1, 1))
    rows.insert(0, Row(limits.RGB, OURS, 180.0, 180, 1))
    lines = limits.limit_table(rows).splitlines()
    assert f"| {limits.FLOAT} | NumPy + OpenCV | 1/20.0 | 1/90.0 | met |" in lines
    assert f"| {limits.RGB} | cv2.resize + xor | 1.00 | 2.00 | missed |" in lines
    with pytest.raises(ValueError, match="no rows for"):
        limits.limit_table(rows[:3])


def test_results_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    write_between_marks(page, "results", "new")
    assert page.read_text() == "before\n<!-- results -->\nnew\n<!-- /results -->\nafter\n"
    with pytest.raises(SystemExit, match="must have one <!-- other -->"):
        write_between_marks(page, "other", "new")


def test_the_recorded_results_are_those_of_the_page() -> None:
    bench = Path(limits.__file__).parent
    rows = [Row(**row) for row in json.loads((bench / "results.json").read_text())["rows"]]
    page = (bench / "README.md").read_text()
    assert table(rows) in page
    assert limits.limit_table(rows) in page
