"""What happens in the child of a fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.pc("forks while threads run, which an emulated process may not survive")

SCRIPT = """
import os, signal, threading, time, warnings
import numpy as np, fastyolo
warnings.simplefilter("ignore")
detector = fastyolo.Detector()
image = np.zeros((480, 640, 3), np.uint8)
detector(image)

def forever():
    while True:
        detector(image)

threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            detector(image)
        except fastyolo.FastYoloError as error:
            print(error, flush=True)
        # All that needs no runtime works.
        heads = [np.zeros(shape, np.float32) for shape in fastyolo.ModelSpec.yolov4_tiny().head_shapes]
        fastyolo.decode_nms(heads)
        from fastyolo.preprocess import Preprocessor
        Preprocessor((64, 64))(image)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


def test_a_fork_while_another_thread_detects_is_one_line() -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    lines = run.stdout.splitlines()
    assert len(lines) == 6, run.stdout + run.stderr
    for message, code in zip(lines[::2], lines[1::2], strict=True):
        assert "does not survive a fork: make a Detector in the new process" in message
        assert code == "7"
