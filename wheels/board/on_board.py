"""Runs on the emulated EVK: cameras, and what becomes of them. Prints a line of JSON for each thing tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

import fastyolo
import fastyolo.cli.app
import fastyolo.cli.detect
from fastyolo.detections import Detections
from fastyolo.preprocess import to_rgb
from fastyolo.sources.camera import open_camera
from fastyolo.sources.pyav import import_av

CAMERA, OUTPUT = "/dev/video0", "/dev/video1"
TEFLON = "/opt/teflon"
OWN_MODEL = "/opt/own.tflite"
WIDTH, HEIGHT = 1280, 720
FORMATS = {
    "nv12": "nv12", "yuv420p": "i420", "yuv422p": "i422", "yuyv": "yuyv", "uyvy": "uyvy", "rgb24": "rgb",
    "bgr24": "bgr", "bgr0": "bgrx", "grey": "grey",
}  # fmt: skip


def v4l2(device: str, *arguments: str) -> str:
    run = subprocess.run(["v4l2-ctl", "-d", device, *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"v4l2-ctl {' '.join(arguments)}: {run.stdout}{run.stderr}")
    return run.stdout


class Waiting:
    """In a detector's place, where only the frames matter."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def run(self, frame: Any, **_: Any) -> Detections:
        time.sleep(self.seconds)
        return Detections.empty((), frame.size)


def command(*arguments: str) -> dict[str, Any]:
    """The command line, in a child that need not import everything again."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        code = 99
        try:
            from fastyolo.cli import main

            main(arguments)
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 0
        sys.stdout.flush()
        os._exit(code)
    os.close(writing)
    with open(reading) as file:
        text = file.read()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "text": text}


def info() -> dict[str, Any]:
    return command("info", "--format", "json")


def detect() -> dict[str, Any]:
    return command("detect", "camera?size=640x360&fps=30", "--max-frames", "2", "-f", "jsonl")


def own_model() -> dict[str, Any]:
    """The last step of docs/retrain.md, with the model of whoever started this."""
    source = "camera?size=640x360&fps=30"
    return command("detect", source, "--model", OWN_MODEL, "--max-frames", "2", "-f", "jsonl", "--timing")


def refusals() -> dict[str, str]:
    """What is said where a camera cannot be had."""
    said = {}
    for name in (
        f"{CAMERA}?size=9000x9000",
        f"{CAMERA}?format=nonsense",
        f"{CAMERA}?format=nv21",
        OUTPUT,
        "/dev/video7",
        "/dev/null",
    ):
        try:
            with open_camera(name) as source:
                said[name] = f"opened at {source.size}"  # type: ignore[attr-defined]
        except fastyolo.FastYoloError as error:
            said[name] = str(error)
    with open_camera(f"{CAMERA}?size=640x360") as first:
        next(iter(first))
        try:
            open_camera(f"{CAMERA}?size=640x360").close()
            said["busy"] = "opened"
        except fastyolo.FastYoloError as error:
            said["busy"] = str(error)
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setuid(12345)
        try:
            open_camera(CAMERA)
        except fastyolo.FastYoloError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    said["permission"] = os.read(reading, 4096).decode()
    return said


def formats() -> dict[str, Any]:
    """Of every format the color, and how far its picture is from the one in RGB."""
    v4l2(CAMERA, "--set-ctrl=osd_text_mode=2")
    found: dict[str, Any] = {}
    rgb = None
    for name, color in sorted(FORMATS.items(), key=lambda item: item[0] != "rgb24"):
        try:
            with open_camera(f"{CAMERA}?size=640x360&fps=30&format={name}") as source:
                frame = next(iter(source)).load()
            # Behind the end of the camera: the frame still holds its memory.
            pixels = to_rgb(frame).astype(int)
            color_given, size = frame.color, frame.size
            del frame
            rgb = pixels if rgb is None else rgb
            if name == "grey":
                # Its grey has another scale; the pictures are alike all the same.
                luma = rgb @ np.array([0.299, 0.587, 0.114])
                alike = np.corrcoef(pixels[..., 0].ravel(), luma.ravel())[0, 1]
                found[name] = [color_given, list(size), round(100 * (1 - float(alike)), 2), color]
                continue
            rgb_now = rgb
            found[name] = [color_given, list(size), round(float(np.abs(pixels - rgb_now).mean()), 2), color]
        except fastyolo.FastYoloError as error:
            found[name] = str(error)
    return found


def age() -> dict[str, Any]:
    """Newest frames from a camera of 30 frames a second, for a network of 10 ms."""
    # By default vivid stamps a frame with the time at which its successor will begin.
    v4l2(CAMERA, "--set-ctrl=timestamp_source=1")
    source = f"{CAMERA}?size=640x360&fps=30&format=nv12"
    with fastyolo.stream(source, detector=Waiting(0.010), max_frames=90) as stream:  # type: ignore[arg-type]
        next(stream)
        began = time.monotonic()
        ages = [found.age or 0.0 for found in stream]
    rate = len(ages) / (time.monotonic() - began)
    ages = sorted(ages[10:])
    return {"median": ages[len(ages) // 2], "p90": ages[int(len(ages) * 0.9)], "rate": rate, "dropped": stream.dropped}


def loopback() -> dict[str, Any]:
    """A known picture through vivid's output and back: are its boxes those of the picture itself?"""
    v4l2(OUTPUT, "--set-output=1")
    v4l2(OUTPUT, "--set-dv-bt-timings", "index=6")
    v4l2(CAMERA, "--set-input=3")
    v4l2(CAMERA, "--set-ctrl=hdmi_000_0_is_connected_to=2")
    v4l2(CAMERA, "--set-dv-bt-timings", "query")
    v4l2(OUTPUT, "--set-fmt-video-out=pixelformat=NV12")
    sending = subprocess.Popen(
        ["v4l2-ctl", "-d", OUTPUT, "--stream-out-mmap=3", "--stream-from=/opt/picture.nv12", "--stream-loop"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        detector = fastyolo.Detector()
        content = np.fromfile("/opt/picture.nv12", np.uint8)
        planes = content[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH), content[WIDTH * HEIGHT :].reshape(-1, WIDTH // 2, 2)
        alone = fastyolo.Detector(yuv_matrix="bt709")(planes, color="nv12")
        with fastyolo.stream(f"{CAMERA}?format=nv12", detector=detector, max_frames=2) as stream:
            *_, found = stream
            assert stream.frame is not None
            equal = float((stream.frame.planes[0][..., 0] == planes[0]).mean())
        return {
            "alone": alone.to_dict()["detections"],
            "found": found.to_dict()["detections"],
            "equal": equal,
            "speed": dict(found.speed),
            "age": found.age,
        }
    finally:
        sending.kill()
        sending.wait()
        for thread in threading.enumerate():
            if thread.name.startswith("fastyolo"):
                thread.join()  # the network of one more frame


def faults() -> dict[str, Any]:
    """vivid breaks on purpose; what comes of it."""
    source = f"{CAMERA}?size=640x360&fps=30&format=nv12"
    v4l2(CAMERA, "--set-input=0")
    found: dict[str, Any] = {}

    def watch(control: str, value: int, frames: int = 10, **how: Any) -> dict[str, Any]:
        said: list[str] = []
        result: dict[str, Any] = {"said": said}
        got = 0
        try:
            with fastyolo.stream(source, detector=Waiting(), report=said.append, **how) as stream:  # type: ignore[arg-type]
                for _ in stream:
                    got += 1
                    if got == 3:
                        v4l2(CAMERA, f"--set-ctrl={control}={value}")
                    if got == frames:
                        break
                result["corrupt"] = stream.corrupt
        except fastyolo.FastYoloError as error:
            result["error"] = str(error)
        return {**result, "frames": got}

    found["error flag"] = watch("inject_v4l2_buf_flag_error", 1)
    found["dropped"] = watch("percentage_of_dropped_buffers", 50)
    v4l2(CAMERA, "--set-ctrl=percentage_of_dropped_buffers=0")
    found["fatal"] = watch("inject_fatal_streaming_error", 1, frames=60, retry=2)
    v4l2(CAMERA, "--set-ctrl=inject_vidioc_streamon_error=1")
    found["streamon"] = watch("brightness", 100)
    found["streamon again"] = watch("brightness", 100)
    found["disconnect"] = watch("disconnect", 1, frames=60)
    # It comes back as soon as nobody has it open.
    found["reconnect"] = watch("disconnect", 1, frames=60, retry=3)
    return found


def devices() -> dict[str, Any]:
    """The NPU that QEMU's board has not, by every name, and Mesa's real delegate without its driver."""
    one = ("detect", "camera?size=640x360&fps=30", "--max-frames", "1", "-f", "jsonl", "--device")
    found: dict[str, Any] = {name: command(*one, name) for name in ("npu", "vx", "teflon", "auto")}
    # Mesa's is of a newer release: it runs on that one's C library. By another name it meets any model.
    libraries = f"{TEFLON}/usr/lib/aarch64-linux-gnu"
    os.symlink(f"{TEFLON}/usr/lib/teflon/libteflon.so", "/tmp/mesa.so")
    run = subprocess.run(
        [f"{libraries}/ld-linux-aarch64.so.1", "--library-path", f"{libraries}:/usr/lib/aarch64-linux-gnu",
         sys.executable, "-m", "fastyolo", "detect", "/opt/picture.jpg", "--device", "/tmp/mesa.so"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {**found, "mesa": {"code": run.returncode, "text": run.stdout + run.stderr}}


TRIED: tuple[Callable[[], dict[str, Any]], ...] = (info, detect, devices, refusals, formats, age, loopback, faults)


def main() -> None:
    import_av()
    for what in (*TRIED, *([own_model] if os.path.exists(OWN_MODEL) else [])):
        began = time.monotonic()
        try:
            result = what()
        except Exception:
            result = {"failed": traceback.format_exc()}
        print("RESULT", json.dumps({"what": what.__name__, "seconds": time.monotonic() - began, "result": result}))


main()
