"""Frames that take long to decode: signals are answered, threads take turns, forks do not wait."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import fastyolo
from fastyolo.spec import HeadSpec, ModelSpec

# All candidates pass, none suppresses another, each is compared with all before it.
LARGE = """
import numpy as np, fastyolo
from fastyolo.spec import HeadSpec, ModelSpec
spec = ModelSpec((198 * 32, 420 * 32), (HeadSpec(32, ((10, 14), (23, 27), (37, 58))),), ("a",) * 8)
heads = [np.random.default_rng(0).integers(-128, 128, spec.head_shapes[0], np.int8)]
def decode():
    return fastyolo.decode_nms(
        heads, spec=spec, quantization=[(0.05, 0)], score_threshold=0.0, iou_threshold=1.0, multi_label=True,
        class_agnostic=True, max_detections=10**9,
    )
"""


def run(script: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.slow
@pytest.mark.pc("compares for seconds before it is interrupted")
def test_ctrl_c_ends_a_frame_that_would_take_minutes() -> None:
    script = f"""{LARGE}
import os, signal, threading, time
def interrupt():
    time.sleep(2)
    global sent
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    decode()
except KeyboardInterrupt:
    print(time.monotonic() - sent)
"""
    done = run(script, 60)
    assert float(done.stdout) < 1, done.stderr


@pytest.mark.pc("half an emulated minute; the code that is suspended is the same for every machine")
def test_patience_changes_no_result() -> None:
    """More blocks are compared than between two looks at signals; the plain rule says what is kept."""
    spec = ModelSpec((64 * 32, 96 * 32), (HeadSpec(32, ((10, 14), (23, 27), (37, 58))),), ("a",))
    heads = [np.random.default_rng(1).normal(0, 1, spec.head_shapes[0]).astype(np.float32)]
    options: dict[str, Any] = {"spec": spec, "score_threshold": 0.0}
    every = fastyolo.decode_nms(heads, iou_threshold=1.0, max_detections=10**6, **options)
    assert len(every.confidence) == 64 * 96 * 3
    best = fastyolo.decode_nms(heads, iou_threshold=1.0, max_detections=1000, **options)
    np.testing.assert_array_equal(every.xyxy[:1000], best.xyxy)
    assert (np.diff(every.confidence) <= 0).all()


@pytest.mark.pc("forks while threads run, which an emulated process may not survive")
def test_a_decoder_works_in_the_child_of_a_fork_while_a_thread_is_inside() -> None:
    script = f"""{LARGE}
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")
decoder = fastyolo.Decoder(
    spec, quantization=[(0.05, 0)], score_threshold=0.0, iou_threshold=1.0, multi_label=True, max_detections=10**9)
threading.Thread(target=decoder, args=(heads,), daemon=True).start()
busy = False
while not busy:
    try:
        decoder([heads[0][:1]])
    except fastyolo.DecoderBusyError:
        busy = True
    except fastyolo.FastYoloError:
        pass
child = os.fork()
if child == 0:
    signal.alarm(20)
    try:
        decoder([heads[0][:1]])
    except fastyolo.HeadError:
        pass
    os._exit(7)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, flush=True)
os._exit(0)
"""
    started = time.monotonic()
    done = run(script, 60)
    assert done.stdout == "7\n", done.stderr
    assert time.monotonic() - started < 40
