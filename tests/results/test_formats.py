"""Results as one line, JSON, JSON Lines, CSV and COCO entries."""

from __future__ import annotations

import csv
import io
import json
import sys
import types
from typing import Any

import numpy as np
import pytest

from fastyolo.detections import Detections
from fastyolo.errors import FastYoloError, OptionError
from fastyolo.names import COCO_CATEGORY_IDS, COCO_NAMES
from fastyolo.results import writer_of
from fastyolo.results.csv import CsvWriter
from fastyolo.results.json import JsonWriter
from fastyolo.results.jsonl import JsonLinesWriter
from fastyolo.results.writer import Output, Result

PERSON, BUS, KNIFE, TIE = (COCO_NAMES.index(name) for name in ("person", "bus", "knife", "tie"))


def found(*class_ids: int, names: tuple[str, ...] = COCO_NAMES) -> Detections:
    """One box per class id, each 10 x 20 pixels, confidence falling from 0.9."""
    count = len(class_ids)
    left = np.arange(count, dtype=np.float32) * 30 + np.float32(1 / 3)
    boxes = np.stack([left, left * 0, left + 10, left * 0 + 20], axis=1)
    confidence = np.linspace(0.9, 0.9 - 0.1 * max(count - 1, 0), count, dtype=np.float32)
    return Detections(boxes, confidence, np.array(class_ids, np.int32), names, (480, 640), {"inference": 12.34567})


PLAIN = Result("street.jpg", found(PERSON, TIE))
NOTHING = Result("sky.jpg", Detections.empty(COCO_NAMES, (480, 640)))
FAILED = Result("gone.jpg", error="gone.jpg: no such file")


class TestSummary:
    @pytest.mark.parametrize(
        ("names", "line"),
        [
            ("person person tie", "2 persons, 1 tie"),
            ("tie person person", "2 persons, 1 tie"),
            ("tie person", "1 tie, 1 person"),
            ("bus bus knife knife", "2 buses, 2 knives"),
            ("", "nothing found"),
        ],
    )
    def test_the_most_frequent_class_first_then_the_most_certain(self, names: str, line: str) -> None:
        assert found(*[COCO_NAMES.index(name) for name in names.split()]).summary() == line

    @pytest.mark.parametrize(
        ("name", "plural"),
        [
            ("sheep", "2 sheep"),
            ("mouse", "2 mice"),
            ("wine glass", "2 wine glasses"),
            ("bench", "2 benches"),
            ("toothbrush", "2 toothbrushes"),
            ("skis", "2 skis"),
            ("scissors", "2 scissors"),
            ("broccoli", "2 broccoli"),
            ("giraffe", "2 giraffes"),
            ("cup", "2 cups"),
            ("toy", "2 toys"),
            ("lorry", "2 lorries"),
            ("box", "2 boxes"),
            ("no_helmet", "2 no_helmets"),
            ("猫", "2 猫"),
            ("", "2 "),
        ],
    )
    def test_plurals(self, name: str, plural: str) -> None:
        assert found(0, 0, names=(name,)).summary() == plural
        assert found(0, names=(name,)).summary() == f"1 {name}"

    def test_classes_without_a_name(self) -> None:
        assert found(7, 7, names=()).summary() == "2 class 7"


class TestDict:
    def test_shape_of_the_record(self) -> None:
        assert found(PERSON).to_dict() == {
            "width": 640,
            "height": 480,
            "detections": [{"name": "person", "class_id": 0, "confidence": 0.9, "xyxy": [0.33, 0.0, 10.33, 20.0]}],
            "speed": {"inference": 12.346},
        }

    def test_json_is_the_same(self) -> None:
        detections = found(PERSON, BUS)
        assert json.loads(detections.to_json()) == detections.to_dict()
        assert detections.to_json(indent=2).startswith('{\n  "width": 640')

    def test_what_json_cannot_say_becomes_null(self) -> None:
        boxes = np.array([[np.nan, -np.inf, np.inf, -0.001]], np.float32)
        detections = Detections(boxes, np.array([np.nan], np.float32), np.zeros(1, np.int32), speed={"read": np.nan})
        record = json.loads(detections.to_json(), parse_constant=lambda name: pytest.fail(name))
        assert record["detections"][0]["xyxy"] == [None, None, None, 0]
        assert record["detections"][0]["confidence"] is None
        assert record["speed"] == {"read": None}
        assert "-0.0" not in detections.to_json()


class TestCoco:
    def test_the_ids_are_those_of_the_annotation_files(self) -> None:
        assert len(COCO_CATEGORY_IDS) == 80
        by_name = dict(zip(COCO_NAMES, COCO_CATEGORY_IDS, strict=True))
        # Just behind each gap in the numbering.
        assert [by_name[name] for name in ("person", "stop sign", "backpack", "handbag", "bottle", "wine glass")] == [
            1, 13, 27, 31, 44, 46,
        ]  # fmt: skip
        assert [by_name[name] for name in ("diningtable", "toilet", "tvmonitor", "book", "toothbrush")] == [
            67, 70, 72, 84, 90,
        ]  # fmt: skip

    def test_entries_have_corner_and_size(self) -> None:
        (entry,) = found(TIE).to_coco(139)
        assert entry == {"image_id": 139, "category_id": 32, "bbox": [0.333, 0.0, 10.0, 20.0], "score": 0.9}
        assert json.loads(json.dumps(entry)) == entry

    def test_cocos_own_spelling_is_coco_too(self) -> None:
        spelling = {"motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "tvmonitor": "tv",
                    "pottedplant": "potted plant", "diningtable": "dining table"}  # fmt: skip
        names = tuple(spelling.get(name, name) for name in COCO_NAMES)
        assert found(79, names=names).to_coco(1)[0]["category_id"] == 90

    def test_other_classes_count_from_one(self) -> None:
        assert found(1, names=("helmet", "vest")).to_coco(1)[0]["category_id"] == 2

    def test_own_ids(self) -> None:
        assert found(1, names=("helmet", "vest")).to_coco(1, [10, 20])[0]["category_id"] == 20
        with pytest.raises(OptionError, match="an id for class 1, got 1 ids"):
            found(1, names=("helmet", "vest")).to_coco(1, [10])

    def test_rounding_is_finer_than_any_evaluation_sees(self) -> None:
        random = np.random.default_rng(0)
        low = random.uniform(0, 300, (100, 2))
        boxes = np.hstack([low, low + random.uniform(1, 300, (100, 2))]).astype(np.float32)
        scores = np.sort(random.uniform(0, 1, 100).astype(np.float32))[::-1]
        entries = Detections(boxes, scores, np.zeros(100, np.int32)).to_coco(1)
        np.testing.assert_allclose([entry["score"] for entry in entries], scores, atol=1e-6)
        written = np.array([entry["bbox"] for entry in entries])
        np.testing.assert_allclose(written[:, :2] + written[:, 2:], boxes[:, 2:], atol=2e-3)


class TestSupervision:
    def test_without_the_package_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "supervision", None)
        with pytest.raises(FastYoloError, match="pip install supervision"):
            found(PERSON).to_supervision()

    def test_the_arrays_are_passed_on_as_copies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        package = types.ModuleType("supervision")
        package.Detections = types.SimpleNamespace  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "supervision", package)
        detections = found(PERSON, BUS)
        other = detections.to_supervision()
        assert np.array_equal(other.xyxy, detections.xyxy)
        assert other.xyxy is not detections.xyxy
        assert other.class_id.tolist() == [PERSON, BUS]
        assert other.data["class_name"].tolist() == ["person", "bus"]
        assert found().to_supervision().data["class_name"].shape == (0,)


def written(format_name: str, *results: Result) -> str:
    stream = io.StringIO()
    with writer_of(format_name)(Output(stream)) as writer:
        for result in results:
            writer.write(result)
    return stream.getvalue()


class TestJson:
    def test_one_array_with_failures_among_the_results(self) -> None:
        records = json.loads(written("json", PLAIN, FAILED, NOTHING))
        assert [record["source"] for record in records] == ["street.jpg", "gone.jpg", "sky.jpg"]
        assert records[0] == {"source": "street.jpg", **found(PERSON, TIE).to_dict()}
        assert records[1] == {"source": "gone.jpg", "error": "gone.jpg: no such file"}
        assert records[2]["detections"] == []

    def test_no_results_are_an_empty_array(self) -> None:
        assert written("json") == "[]\n"

    def test_an_element_is_written_before_the_next_one_comes(self) -> None:
        stream = io.StringIO()
        with JsonWriter(Output(stream)) as writer:
            writer.write(PLAIN)
            assert '"street.jpg"' in stream.getvalue()

    def test_an_interrupted_run_still_leaves_valid_json(self) -> None:
        stream = io.StringIO()

        def run() -> None:
            with JsonWriter(Output(stream)) as writer:
                writer.write(PLAIN)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run()
        assert len(json.loads(stream.getvalue())) == 1

    def test_a_closed_pipe_is_reported_once(self) -> None:
        class ClosedPipe(io.StringIO):
            writes = 0

            def write(self, text: str) -> int:
                self.writes += 1
                raise BrokenPipeError(32, "Broken pipe")

        stream = ClosedPipe()
        with pytest.raises(BrokenPipeError), JsonWriter(Output(stream)) as writer:
            writer.write(PLAIN)
        assert stream.writes == 1

    @pytest.mark.parametrize("format_name", ["json", "jsonl"])
    def test_any_file_name_survives_the_round_trip_as_ascii(self, format_name: str) -> None:
        text = written(format_name, Result("größe \udce9\n.jpg", error="größe"))
        assert text.isascii()
        record = json.loads(text)
        assert (record[0] if format_name == "json" else record)["source"] == "größe \udce9\n.jpg"


class TestJsonLines:
    def test_one_object_a_line(self) -> None:
        lines = written("jsonl", PLAIN, FAILED).splitlines()
        assert [json.loads(line)["source"] for line in lines] == ["street.jpg", "gone.jpg"]
        assert written("jsonl") == ""

    def test_each_line_is_flushed(self) -> None:
        raw = io.BytesIO()
        with JsonLinesWriter(Output(io.TextIOWrapper(raw, "utf-8"))) as writer:
            writer.write(PLAIN)
            assert raw.getvalue().endswith(b"}\n")


class TestCsv:
    def rows(self, *results: Result) -> list[dict[str, Any]]:
        return list(csv.DictReader(io.StringIO(written("csv", *results))))

    def test_the_header_stands_even_above_nothing(self) -> None:
        assert written("csv") == "source,width,height,class_id,name,confidence,x1,y1,x2,y2,error\n"

    def test_one_row_for_each_detection(self) -> None:
        first, second = self.rows(PLAIN)
        assert first == {
            "source": "street.jpg", "width": "640", "height": "480", "class_id": "0", "name": "person",
            "confidence": "0.9", "x1": "0.33", "y1": "0.0", "x2": "10.33", "y2": "20.0", "error": "",
        }  # fmt: skip
        assert second["name"] == "tie"

    def test_no_source_goes_missing(self) -> None:
        nothing, failed = self.rows(NOTHING, FAILED)
        assert (nothing["source"], nothing["width"], nothing["class_id"], nothing["error"]) == (
            "sky.jpg",
            "640",
            "",
            "",
        )
        assert (failed["source"], failed["width"], failed["error"]) == ("gone.jpg", "", "gone.jpg: no such file")

    def test_commas_and_quotes_are_quoted(self) -> None:
        (row,) = self.rows(Result('a,"b".jpg', found(0, names=('traffic "light", red',))))
        assert (row["source"], row["name"]) == ('a,"b".jpg', 'traffic "light", red')

    @pytest.mark.parametrize(
        ("encoding", "errors", "expected"),
        [
            ("utf-8", "strict", "größe\\udce9".encode()),
            ("utf-8", "surrogateescape", "größe\\udce9".encode()),
            ("ascii", "strict", b"gr\\xf6\\xdfe\\udce9"),
        ],
    )
    def test_what_the_terminal_cannot_hold_is_escaped(self, encoding: str, errors: str, expected: bytes) -> None:
        raw = io.BytesIO()
        with CsvWriter(Output(io.TextIOWrapper(raw, encoding, errors))) as writer:
            writer.write(Result("größe\udce9", error="x"))
        assert expected in raw.getvalue()
