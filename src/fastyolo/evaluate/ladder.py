"""Where the accuracy of an int8 model goes: from a reference recipe's rules to ours, one rule at a time.

The reference is the YOLOv4-tiny entry of NXP's eIQ model zoo, whose ``evaluate.py`` reads a network by the rules that
`ladder_rules.Rules` has as defaults. What its own model file loses (bilinear upsampling where Darknet's is
nearest, calibration on letterboxed pictures, one range for the whole head) is not among them: every rung but the last
runs the same int8 file.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from fastyolo.detections import Detections
from fastyolo.detector import Detector
from fastyolo.errors import EvaluationError
from fastyolo.evaluate.found import Found
from fastyolo.evaluate.ground_truth import read_ground_truth
from fastyolo.evaluate.ladder_rules import Float32Array, InputRule, Rules, decode, dequantise, reference_tensor
from fastyolo.evaluate.parallel import open_workers, over_pictures
from fastyolo.evaluate.run import Settings, categories_of, names_of
from fastyolo.evaluate.scoring import Progress, Scores, require_pycocotools, score
from fastyolo.evaluate.truth import StrPath
from fastyolo.files import shown
from fastyolo.frames.frame import Frame, view_frame
from fastyolo.frames.picture import load_image, read_picture
from fastyolo.letterbox import placed_size
from fastyolo.metadata import find_metadata
from fastyolo.preprocess import Preprocessor, Tensor
from fastyolo.runtime.limits import MAX_MEMORY
from fastyolo.runtime.outputs import match_outputs
from fastyolo.spec import ModelSpec

OURS = Settings()

STEPS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "no hidden threshold: boxes of objectness 0.2 and less stay",
        {"gate": 0.0, "score_threshold": OURS.score_threshold},
    ),
    ("score = objectness x class, not objectness", {"class_scores": True}),
    ("every class of a box, not only its best (shows with the next)", {"all_classes": True}),
    ("NMS per class at IoU 0.45, not over all at 0.5", {"per_class": True, "iou_threshold": OURS.iou_threshold}),
    ("300 boxes a picture, not 100", {"max_detections": OURS.max_detections}),
    ("input rounded to int8, not truncated", {"input": "rounded"}),
    ("float boxes, not whole pixels", {"whole_pixels": False}),
    ("boxes end at the picture's edge", {"clip": True}),
    ("centre s sigmoid(x) - (s-1)/2, not sigmoid(s x) - (s-1)/2", {"scale_inside": False}),
    ("our resize, not OpenCV's", {"input": "ours"}),
)
"""What changes from rung to rung, each on top of all before it."""

REFERENCE = "the reference recipe's rules"
FLOAT = "float32 model, not int8"


@dataclass(frozen=True)
class Rung:
    """One row: what changed since the row above, and the scores with that and all earlier changes."""

    change: str
    scores: Scores


@dataclass(frozen=True)
class Ladder:
    """The loss of an int8 model broken down.

    Attributes:
        rungs: from the reference's rules to ours, then to the float model. All count up to 300 boxes of a picture.
        images, images_listed: how many pictures the numbers are of, and how many there were to run.
        models: path of the "int8" and the "float" model.
        seconds: by step, "detect" and "score".
    """

    rungs: tuple[Rung, ...]
    images: int
    images_listed: int
    models: Mapping[str, str]
    seconds: Mapping[str, float] = field(compare=False)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before the last picture."""
        return self.images < self.images_listed

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; AP in percent, None where there is no object to find."""
        return {
            "rungs": [
                {"change": rung.change, "ap50": _rounded(rung.scores.ap50), "ap": _rounded(rung.scores.ap)}
                for rung in self.rungs
            ],
            "images": self.images,
            "images_listed": self.images_listed,
            "interrupted": self.interrupted,
            "models": dict(self.models),
            "seconds": {step: _rounded(seconds) for step, seconds in self.seconds.items()},
        }


def climb(
    model: StrPath | None = None,
    *,
    float_model: StrPath,
    annotations: StrPath,
    images: StrPath | None = None,
    spec: ModelSpec | None = None,
    runtime: str = "auto",
    threads: int | None = None,
    max_memory: int = MAX_MEMORY,
    limit: int | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Ladder:
    """Score an int8 model by the reference's rules, by ours, and by every mixture on the way; then the float model.

    The last int8 rung has the rules of `evaluate` with its default settings, and so has the float one.

    Args:
        model: the int8 model; None takes the bundled COCO YOLOv4-tiny.
        float_model: the same network in float32.
        annotations, images, spec, runtime, threads, max_memory, limit, progress, stop: see
            `fastyolo.evaluate.run.evaluate`. Both models run on the CPU.

    Raises:
        EvaluationError: the models are not an int8 and a float32 one of the same network; and what `evaluate` raises.
    """
    require_pycocotools()
    truth = read_ground_truth(annotations, images, names=lambda: names_of(model, spec), limit=limit)

    def build(cores: int) -> _Climber:
        pair = (
            Detector(path, spec=spec, runtime=runtime, threads=cores, max_memory=max_memory, show_hidden=True)
            for path in (model, float_model)
        )
        return _Climber(*map(_Network, pair))

    climbers = open_workers(build, len(truth.pictures), threads=threads)
    integer, real = climbers[0].networks
    category_ids = categories_of(integer.spec.names, truth)
    started = time.perf_counter()
    found = over_pictures(climbers, truth.pictures, progress, stop)
    detected = time.perf_counter()
    done = truth.of([picture for picture in truth.pictures if picture.id in found])
    rungs = []
    for row, (change, _) in enumerate(_rungs()):
        table = Found.collect({id_: rows[row] for id_, rows in found.items()}, category_ids)
        rungs.append(Rung(change, score(done, table, max_detections=OURS.max_detections)))
        if progress is not None:
            progress("scoring", row + 1, len(_rungs()))
    seconds = {"detect": detected - started, "score": time.perf_counter() - detected}
    models = {"int8": str(integer.path), "float": str(real.path)}
    return Ladder(tuple(rungs), len(done.pictures), len(truth.pictures), models, seconds)


def _rungs() -> list[tuple[str, Rules]]:
    """What changed, and all rules, of every rung; the last two differ in the model alone."""
    rungs = [(REFERENCE, Rules())]
    for change, rules in STEPS:
        rungs.append((change, replace(rungs[-1][1], **rules)))
    return [*rungs, (FLOAT, rungs[-1][1])]


class _Network:
    """A model as tensors in, real numbers out."""

    def __init__(self, detector: Detector) -> None:
        self.path = detector.model
        self.spec = detector.spec
        self.resize = detector.resize
        self.needed = partial(placed_size, input_size=self.spec.input_size, resize=self.resize)
        self.session = detector.session
        self.input = self.session.input
        self._outputs = match_outputs(
            self.session.outputs, self.spec, (find_metadata(detector.model) or {}).get("outputs")
        )
        self._preprocess = Preprocessor(
            self.spec.input_size,
            channels=self.spec.channels,
            dtype=self.input.dtype,
            quantization=self.input.quantization,
            resize=self.resize,
        )

    def heads(self, image: Frame, rule: InputRule) -> list[Float32Array]:
        """The network's answer, in the order of the spec's heads."""
        self.session.input_view()[0] = self._tensor(image, rule)
        self.session.invoke()
        return [dequantise(self.session.output_view(tensor), tensor.quantization)[0] for tensor in self._outputs]

    def _tensor(self, image: Frame, rule: InputRule) -> Tensor:
        if rule == "ours" or self.input.quantization is None:
            tensor: Tensor = self._preprocess.fill(image)[0]
            return tensor
        return reference_tensor(image.planes[0], self.spec.input_size, self.input.dtype, self.input.quantization, rule)


class _Climber:
    """Takes one picture up all rungs. The int8 network runs once for each way of preparing its input."""

    def __init__(self, integer: _Network, real: _Network) -> None:
        _check_pair(integer, real)
        self.networks = integer, real

    def __call__(self, path: Path) -> list[Detections]:
        integer, real = self.networks
        picture = read_picture(path, needed=integer.needed)
        # The reference decodes in full whatever the size.
        full = view_frame(load_image(path))
        heads: dict[InputRule, list[Float32Array]] = {}
        rows = []
        for _, rules in _rungs()[:-1]:
            image = picture if rules.input == "ours" else full
            if rules.input not in heads:
                heads[rules.input] = integer.heads(image, rules.input)
            rows.append(_decode(integer, heads[rules.input], image, rules))
        return [*rows, _decode(real, real.heads(picture, "ours"), picture, _rungs()[-1][1])]


def _decode(network: _Network, heads: Sequence[Float32Array], image: Frame, rules: Rules) -> Detections:
    resize = network.resize if rules.input == "ours" else "stretch"
    found = decode(heads, network.spec, image.extent.covered, rules, resize=resize)
    return replace(found, xyxy=image.extent.in_full(found.xyxy, clip=rules.clip), orig_shape=image.extent.size)


def _check_pair(integer: _Network, real: _Network) -> None:
    for network, kinds, option in ((integer, ("int8", "uint8"), "--model"), (real, ("float32",), "--float-model")):
        if network.input.dtype.name not in kinds:
            raise EvaluationError(
                f"the ladder's {option} must have {' or '.join(kinds)} input, "
                f"got {network.input.dtype} in {shown(network.path)}"
            )
    if replace(integer.spec, resize=real.spec.resize, nms=real.spec.nms) != real.spec:
        raise EvaluationError(
            f"the ladder's models must be of one network, but {shown(integer.path)} and {shown(real.path)} differ in "
            "input size, channels, classes or heads"
        )
    if integer.spec.channels != 3:
        raise EvaluationError("the reference recipe's rules know no grey networks, only ones that take RGB")
    if any(head.new_coords for head in integer.spec.heads):
        raise EvaluationError("the reference recipe's rules know no networks with new_coords=1")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
