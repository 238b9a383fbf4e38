"""GStreamer pipelines, in the Python of the distribution, to which its modules belong."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from typing import Any

import pytest

pytestmark = pytest.mark.pc("needs GStreamer's modules of the distribution's Python")

SYSTEM_PYTHON = "/usr/bin/python3"

# What each pipeline gives, and how its first frame looks to `to_rgb`.
PROGRAM = """
import json, sys
from fastyolo.errors import FastYoloError
from fastyolo.preprocess import to_rgb
from fastyolo.sources.opening import open_source

answers = []
for pipeline in json.load(sys.stdin):
    try:
        with open_source(f"gst:{pipeline}") as source:
            frames = []
            for pending in source:
                frames.append(pending.load())
                if len(frames) == 5:
                    break
            answers.append({
                "colors": sorted({frame.color for frame in frames}),
                "sizes": sorted({frame.size for frame in frames}),
                "times": [frame.timestamp for frame in frames],
                "live": source.live,
                "captured": pending.captured is not None,
                "owned": frames[0].planes[0].base is None,
                "centre": to_rgb(frames[0])[20, 20].tolist(),
                "edge": to_rgb(frames[0])[-1, -1].tolist(),
            })
            del frames
    except FastYoloError as error:
        answers.append({"error": str(error)})
print(json.dumps(answers))
"""

RED = "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xffe02010"
FORMATS = (
    "NV12 NV21 I420 YV12 Y42B YUY2 UYVY YVYU RGB BGR RGBA BGRA RGBx BGRx ARGB xRGB ABGR xBGR GRAY8".split()  # noqa: SIM905
)
FAULTS = {
    "nonsense ! appsink": "no element",
    "videotestsrc ! fakesink": "has no appsink",
    "filesrc location=/gone ! appsink": "not found",
    "videotestsrc num-buffers=2 ! video/x-raw,format=AYUV ! appsink": 'put "videoconvert !" before',
    "": "expected a pipeline",
}


def answers(pipelines: list[str]) -> list[dict[str, Any]]:
    """What the distribution's Python makes of them, with the package and NumPy of this one."""
    run = subprocess.run(
        [SYSTEM_PYTHON, "-c", PROGRAM],
        input=json.dumps(pipelines),
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("platlib")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


@pytest.mark.slow
def test_every_format_faults_and_live_sources() -> None:
    # Odd strides: GStreamer pads rows to four bytes. One process for all, as starting it takes most of the time.
    size = "width=122,height=90"
    pipelines = [f"{RED} ! video/x-raw,format={name},{size} ! appsink" for name in FORMATS]
    live = "videotestsrc is-live=true ! video/x-raw,format=NV12,width=64,height=48,framerate=60/1 ! appsink"
    *given, from_camera = answers([*pipelines, *FAULTS, live])
    for name, answer in zip(FORMATS, given, strict=False):
        assert answer["sizes"] == [[90, 122]], name
        assert answer["times"] == pytest.approx([0, 1 / 30, 2 / 30], abs=1e-3)
        assert not answer["live"]
        assert not answer["owned"]
        red = [0xE0, 0x20, 0x10] if name != "GRAY8" else answer["centre"]
        assert answer["centre"] == pytest.approx(red, abs=3), name
        assert answer["edge"] == pytest.approx(red, abs=3), name
    for (pipeline, said), answer in zip(FAULTS.items(), given[len(FORMATS) :], strict=True):
        assert said in answer["error"], pipeline
    assert from_camera["live"]
    assert from_camera["captured"]
    assert len(from_camera["times"]) == 5
