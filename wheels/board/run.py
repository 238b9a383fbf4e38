"""make test-board: the boards' wheel on an emulated i.MX 8M Plus EVK, with cameras that break on purpose.

    python wheels/board/run.py [--wheel WHEEL] [--model my_416_int8.tflite]

What is tried is in on_board.py; here is what must come of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import machine
from tools import REPOSITORY, MissingToolError

SECONDS = 600.0
SIZE = (1280, 720)
FRAME = 1 / 30


def photograph() -> Path:
    return Path(matplotlib.get_data_path()) / "sample_data/grace_hopper.jpg"


def picture() -> Path:
    """It as a raw NV12 frame."""
    path = machine.BUILD / "picture.nv12"
    photo = Image.open(photograph()).resize(SIZE)
    luma, blue, red = (np.asarray(channel) for channel in photo.convert("YCbCr").split())
    chroma = np.stack([blue[::2, ::2], red[::2, ::2]], axis=-1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(luma.tobytes() + chroma.tobytes())
    return path


def check_info(found: dict[str, Any]) -> None:
    assert found["code"] == 0
    record = json.loads(found["text"])
    assert "NXP i.MX8MPlus" in record["machine"]["board"]
    assert record["video"]["av"]
    assert "1920x1080" in record["video"]["cameras"]["/dev/video0"]
    assert record["device"]["chip"] == "i.MX 8M Plus"
    assert "no NPU on this i.MX 8M Plus" in record["device"]["npu"]


def check_detect(found: dict[str, Any]) -> None:
    assert found["code"] == 0, found["text"]
    lines = [json.loads(line) for line in found["text"].splitlines() if line.startswith("{")]
    assert len(lines) == 2
    assert all((line["width"], line["height"]) == (640, 360) for line in lines)


def check_devices(found: dict[str, Any]) -> None:
    for name, said in {
        "npu": "no NPU on this i.MX 8M Plus: vx: no libvx_delegate.so and no device node /dev/galcore",
        "vx": "vx is not there on this i.MX 8M Plus: no libvx_delegate.so",
        "teflon": "no libteflon.so and no device node /dev/accel*",
        "mesa": "delegate /tmp/mesa.so refused to start: it gave no reason; what it prints",
    }.items():
        code, text = found[name]["code"], found[name]["text"]
        assert (code, text.count("\n")) == (1, 1), (name, code, text)
        assert said in text, (name, text)
    code, text = found["auto"]["code"], found["auto"]["text"]
    assert code == 0, text
    assert "auto chose cpu: no NPU on this i.MX 8M Plus" in text, text


def check_refusals(found: dict[str, str]) -> None:
    for name, said in {
        "/dev/video0?size=9000x9000": "it offers",
        "/dev/video0?format=nonsense": "it offers",
        "/dev/video0?format=nv21": "does not capture nv21",
        "/dev/video1": "does not capture; there is /dev/video0",
        "/dev/video7": "no such camera; there is /dev/video0",
        "/dev/null": "not a video device",
        "busy": "is busy",
        "permission": "group video",
    }.items():
        assert said in found[name], (name, found[name])


def check_formats(found: dict[str, Any]) -> None:
    for name, answer in found.items():
        color, size, difference, expected = answer
        assert (color, size) == (expected, [360, 640]), (name, answer)
        assert difference < 4, (name, answer)
    assert len(found) == 9


def check_age(found: dict[str, float]) -> None:
    assert found["median"] <= FRAME + 0.010 + 0.005, found
    assert found["rate"] > 25, found


def check_loopback(found: dict[str, Any]) -> None:
    assert found["equal"] > 0.999
    assert found["alone"]
    assert [(box["name"], box["xyxy"]) for box in found["found"]] == [
        (box["name"], box["xyxy"]) for box in found["alone"]
    ]


def check_faults(found: dict[str, Any]) -> None:
    assert found["error flag"]["corrupt"] >= 1
    assert found["error flag"]["frames"] == 10
    assert found["dropped"]["frames"] == 10
    assert found["fatal"]["said"], "the stream is opened again"
    assert found["fatal"]["frames"] == 60
    assert "cannot open" in found["streamon"]["error"]
    assert found["streamon again"]["frames"] == 10, found["streamon again"]
    assert found["disconnect"]["error"] == "/dev/video0 was lost: No such device", found["disconnect"]
    assert "was lost: No such device; trying again" in found["reconnect"]["said"][0], found["reconnect"]
    assert found["reconnect"]["frames"] == 60


def check_own_model(found: dict[str, Any]) -> None:
    check_detect(found)
    print(found["text"])


CHECKS: dict[str, Callable[[Any], None]] = {
    "info": check_info,
    "detect": check_detect,
    "devices": check_devices,
    "refusals": check_refusals,
    "formats": check_formats,
    "age": check_age,
    "loopback": check_loopback,
    "faults": check_faults,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, help="default: the cp311-abi3 wheel for aarch64 in dist/")
    parser.add_argument("--model", type=Path, help="one of yours, which detects from the board's camera too")
    arguments = parser.parse_args()
    wheel = arguments.wheel or next(iter(REPOSITORY.glob("dist/*-cp311-abi3-*aarch64.whl")), None)
    if wheel is None:
        raise SystemExit("make test-board: no wheel in dist/: make wheels")
    began = time.monotonic()
    try:
        files = {"on_board.py": Path(__file__).with_name("on_board.py"), "picture.nv12": picture()}
        checks = dict(CHECKS)
        if arguments.model is not None:
            files["own.tflite"] = arguments.model
            checks["own_model"] = check_own_model
        image = machine.card(wheel, {**files, "picture.jpg": photograph()})
        print(f"the card is ready after {time.monotonic() - began:.0f} s", flush=True)
        log = machine.BUILD / "board.log"
        text = machine.run(image, log, SECONDS)
    except MissingToolError as error:
        raise SystemExit(f"make test-board: {error}") from None
    results = [json.loads(line.partition("RESULT ")[2]) for line in text.splitlines() if "RESULT {" in line]
    failed = set(checks) - {result["what"] for result in results}
    for result in results:
        what, found = result["what"], result["result"]
        try:
            assert "failed" not in found, found["failed"]
            checks[what](found)
            verdict = "passed"
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            failed.add(what)
            verdict = f"FAILED: {error!r}"
        print(f"{what:<10} {result['seconds']:6.1f} s  {verdict}")
    print(f"{time.monotonic() - began:.0f} s in all; {log}")
    if failed:
        raise SystemExit(f"failed: {', '.join(sorted(failed))}; the board said:\n" + text[-3000:])


if __name__ == "__main__":
    main()
