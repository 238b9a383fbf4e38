"""A pytest plugin: which tests run on an emulated board, and for every other one the reason why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

# The kernels and everything of the Python API that a board uses.
FILES = (
    "test_decode_by_hand", "test_decode_oracle", "test_decode_api", "test_preprocess", "test_golden", "test_letterbox",
    "test_spec", "test_metadata", "test_detections", "test_detector", "test_images", "test_sources", "test_results",
    "test_render", "test_files", "test_darknet", "test_pixels", "test_draft", "test_borrowed",
    "test_many_candidates",
)  # fmt: skip
# Of these the ones that need neither a TFLite runtime nor OpenCV.
KERNEL_FILES = (
    "test_decode_by_hand", "test_decode_oracle", "test_decode_api", "test_many_candidates", "test_golden",
)  # fmt: skip
NO_RUNTIME = "no TFLite runtime and no OpenCV are to be had for this Python"
# Of the command line, where every test starts processes of ten emulated seconds each, those marked `board`.
MARKED_FILES = ("test_cli",)
SLOW = {
    "test_very_deep_folders": "thousands of folders, each a system call that QEMU translates: over a minute",
    "test_threads_share_a_detector": "52 inferences, of 2 to 5 emulated seconds each: two minutes",
}
# With tflite-runtime on an emulated Cortex-A53 an inference takes up to twelve seconds, and these need nearly fifty.
# The other board runs them; this one keeps seven: what is found, that the stages give the same one by one, what follows
# a bad image, the command line's table.
INFERENCES = (
    "test_the_detector_finds_the_same_in_every_format", "test_every_kind_of_source_gives_the_same",
    "test_options_reach_the_decoder", "test_grey_and_colour_files_detect_as_their_arrays", "TestTheDetector",
    "test_results_do_not_alias_the_interpreter", "test_a_detector_copies_no_pixels_of_a_file",
    "test_plot_draws_on_the_picture_that_was_given", "test_a_model_without_metadata_needs_a_spec",
    "test_letterbox_maps_boxes_back", "test_a_single_pixel_is_a_picture", "test_nothing_is_found_on_grey",
    "test_saved_pictures_do_not_collide_and_spare_the_inputs", "test_json_is_one_array",
)  # fmt: skip
SLOW_INFERENCE = "inferences, of up to 12 emulated seconds each with tflite-runtime; the other board runs them"
REASONS = {
    "test_cli.py": "command line beyond the tests marked `board`: each process takes ten emulated seconds",
    "test_runtime.py": "compiles a delegate for the machine it runs on, edits models with ai-edge-litert's schema",
    "test_imports.py": "what is imported when depends on no processor; a process of ten emulated seconds each",
    "test_export": "exporting is work for a PC",
    "test_cli_export.py": "exporting is work for a PC",
    "test_darknet_parity.py": "exporting is work for a PC",
    "test_opencv_parity.py": "exporting is work for a PC",
    "test_accuracy.py": "evaluating is work for a PC",
    "test_evaluate.py": "evaluating is work for a PC",
    "test_ground_truth.py": "evaluating is work for a PC",
    "test_ladder.py": "evaluating is work for a PC",
}
OTHER = "about the project's own tools on the machine that builds it (wheel, README, counts, benchmarks, charts)"


# What an installation can do: everything, everything but run the network often, decode alone.
KINDS = ("whole", "slow inference", "kernels")


def reason_left_out(nodeid: str, marked: bool, kind: str) -> str | None:
    """None for a test that runs on an installation of this kind."""
    path, _, test = nodeid.partition("::")
    file = path.rpartition("/")[2]
    for name, reason in SLOW.items():
        if name in test:
            return reason
    if kind == "kernels":
        return None if file.removesuffix(".py") in KERNEL_FILES else NO_RUNTIME
    if kind == "slow inference" and any(name in test for name in INFERENCES):
        return SLOW_INFERENCE
    if file.removesuffix(".py") in FILES or (file.removesuffix(".py") in MARKED_FILES and marked):
        return None
    return next((reason for start, reason in REASONS.items() if file.startswith(start)), OTHER)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # Where only the boards' tests run, the others' imports need not be there.
    stem = collection_path.stem
    if _selects() and stem.startswith("test_"):
        return stem not in (KERNEL_FILES if os.environ["FASTYOLO_KIND"] == "kernels" else FILES + MARKED_FILES) or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        item.nodeid: {
            kind: reason_left_out(item.nodeid, item.get_closest_marker("board") is not None, kind) for kind in KINDS
        }
        for item in items
    }
    if "FASTYOLO_SELECTION" in os.environ:
        Path(os.environ["FASTYOLO_SELECTION"]).write_text(json.dumps(reasons))
    if _selects():
        kind = os.environ["FASTYOLO_KIND"]
        config.hook.pytest_deselected(items=[item for item in items if reasons[item.nodeid][kind]])
        items[:] = [item for item in items if reasons[item.nodeid][kind] is None]


_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish() -> None:
    if _selects():
        Path(os.environ["FASTYOLO_OUTCOMES"]).write_text(json.dumps(_outcomes))


def _selects() -> bool:
    return "FASTYOLO_OUTCOMES" in os.environ
