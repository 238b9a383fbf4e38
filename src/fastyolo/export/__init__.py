"""Darknet -> TFLite: a .cfg and its .weights become float32 and int8 files for these boards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fastyolo.darknet import Convolutional, read_cfg, spec_from_cfg, with_input_size
from fastyolo.errors import ExportError, OptionError
from fastyolo.export.activations import check_integer_activations
from fastyolo.export.build import BATCH_NORM_EPSILON, build_graph, supported_layers
from fastyolo.export.fetch import OFFICIAL_CFG, Progress, fetch_weights
from fastyolo.export.graph import Convolution, Graph
from fastyolo.export.output import write_files
from fastyolo.export.source import numbers_of
from fastyolo.export.targets import check_target, resolve_weights
from fastyolo.letterbox import ResizeMode, check_resize
from fastyolo.metadata import append_metadata
from fastyolo.names import COCO_NAMES
from fastyolo.spec import PICTURE_CHANNELS, ModelSpec, NmsKind

if TYPE_CHECKING:
    from fastyolo.darknet import Cfg
    from fastyolo.export.int8 import Quantization, WeightScales
    from fastyolo.export.pictures import Calibration
    from fastyolo.export.recipe import Effort
    from fastyolo.export.report import QuantisationReport
    from fastyolo.export.targets import Target
    from fastyolo.export.vela import Compiled

__all__ = ["FORMATS", "ExportResult", "Format", "export"]

Format = Literal["float32", "int8", "quant"]
FORMATS: tuple[Format, ...] = ("float32", "int8", "quant")
"""float32 throughout; int8 throughout; int8 in and float32 out."""

StrPath = str | os.PathLike[str]

REPORTED_PICTURES = 8


@dataclass(frozen=True)
class ExportResult:
    """What `export` made.

    Attributes:
        paths: the file of each format.
        spec: the network that they hold.
        seconds: the time each step took: "fetch", "read", "calibrate", "quantise", "report", "compile",
            "write".
        pictures: how many calibrated.
        compiled: the file for the NPU and what its compiler says about it, if a target was given.
        report: what quantisation chose for every tensor and what it cost, if an int8 or quant file was made.
        weight_scales: how many scales the weights of that file have.
        multiply_adds: how often a product is added up for one picture, in all convolutions.
    """

    paths: Mapping[Format, Path]
    spec: ModelSpec
    seconds: Mapping[str, float]
    pictures: int = 0
    compiled: tuple[Path, Compiled] | None = None
    report: QuantisationReport | None = None
    weight_scales: WeightScales | None = None
    multiply_adds: int = 0


@dataclass
class _Clock:
    """Measures the steps and passes progress on."""

    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def ticker(self, step: str, total: int) -> Callable[[int], None]:
        def tick(done: int) -> None:
            if self.progress is not None:
                self.progress(step, done, total)

        tick(0)
        return tick


def export(
    cfg: StrPath | None = None,
    weights: StrPath | None = None,
    *,
    output_dir: StrPath,
    calibration: Calibration | None = None,
    names: Sequence[str] | None = None,
    formats: Sequence[Format] | None = None,
    resize: ResizeMode | None = None,
    nms: NmsKind | None = None,
    input_size: tuple[int, int] | None = None,
    target: Target | None = None,
    effort: Effort = "default",
    weight_scales: WeightScales | None = None,
    batch_norm_epsilon: float = BATCH_NORM_EPSILON,
    offline: bool = False,
    progress: Progress | None = None,
    log: Callable[[str], None] | None = None,
) -> ExportResult:
    """Write a Darknet network as ``NAME_SIZE_FORMAT.tflite`` files, each with its description inside.

    All files are written, or none: the work is done before the first of them is opened.

    Args:
        cfg, weights: the network; without both, the official COCO YOLOv4-tiny, fetched once and then cached.
        output_dir: made if missing. NAME is that of the .cfg, SIZE is 416, or 256x416 (height x width).
        calibration: pictures that show what the camera will see: a folder, a pattern, or several of them or of files.
        names: class names; default COCO's for the official network, else "class 0", "class 1", ...
        formats: of `FORMATS`; default all, or only float32 without calibration pictures, which the others need.
        resize: the geometry of calibration, and, through the file's description, of inference; None is what the .cfg
            says (``letter_box``), else "stretch".
        nms: what the files' description says of NMS, "iou" or "diou"; None is what the .cfg says (``nms_kind``).
        input_size: (height, width) instead of the .cfg's; a multiple of every stride.
        target: the chip whose NPU will run the int8 file (or the quant file, where only that is written). "imx93":
            also compile it, into the folder ``model_imx93`` beside it. "imx8mp": its weights must be per tensor.
        effort: "high" takes some minutes more to choose the int8 numbers; the bundled model is made with it.
        weight_scales: "per-tensor", one scale for all weights of a convolution, which every NPU runs on its convolution
            cores; or "per-channel", one for each filter. None: what the target needs, else "per-channel".
        batch_norm_epsilon: Darknet's 1e-5 unless another importer is to be matched.
        offline: never use the network.
        progress: called as progress(step, done, total) with steps "download", "calibrate" and "quantise".
        log: called with what the compiler for `target` printed.

    Raises:
        SpecError, ExportError, ImageError, OptionError: one line that says what was expected and what came.
    """
    if resize is not None:
        check_resize(resize)
    formats = check_formats(formats, calibration)
    if (cfg is None) != (weights is None):
        raise OptionError("a network needs both its .cfg and its .weights, got only one of them")
    check_target(target, formats)
    weight_scales = resolve_weights(weight_scales, target)
    if calibration is not None:
        # Before anything is downloaded.
        _check_pictures(calibration)
    clock = _Clock(progress)
    if cfg is None or weights is None:
        names = COCO_NAMES if names is None else names
        cfg = OFFICIAL_CFG
        with clock.step("fetch"):
            weights = fetch_weights(offline=offline, progress=progress)
    with clock.step("read"):
        description = read_cfg(cfg)
        if input_size is not None:
            description = with_input_size(description, input_size)
        check_channels(description)
        layers = supported_layers(description)
        if set(formats) - {"float32"}:
            check_integer_activations(layers)
        spec = _with_use(spec_from_cfg(description, names), resize, nms)
        numbers, source_sha256 = numbers_of(weights, layers)
        graph = build_graph(description, numbers, batch_norm_epsilon=batch_norm_epsilon)
    metadata = {
        **spec.to_dict(),
        "outputs": list(graph.heads),
        "source": {"cfg": Path(cfg).name, "weights": Path(weights).name, "weights_sha256": source_sha256},
        "exporter": _version(),
    }
    int8_graph, quantization, report = graph, None, None
    if calibration is not None and set(formats) - {"float32"}:
        int8_graph, quantization, report, metadata["calibration"] = _quantise(
            graph, spec, calibration, effort, weight_scales, clock
        )
    folder, stem = Path(output_dir), f"{Path(cfg).stem}_{size_name(spec.input_size)}"
    paths = {kind: folder / f"{stem}_{kind}.tflite" for kind in formats}
    with clock.step("write"):
        networks = {kind: (graph, None) if kind == "float32" else (int8_graph, quantization) for kind in formats}
        contents = {paths[kind]: append_metadata(_content(*networks[kind], kind), metadata) for kind in formats}
    compiled = None
    if target == "imx93":
        with clock.step("compile"):
            compiled = _compile(paths, contents, metadata, target, log)
    with clock.step("write"):
        write_files(contents if compiled is None else {**contents, compiled[0]: compiled[1].content})
    pictures = metadata["calibration"]["count"] if "calibration" in metadata else 0
    scales = None if report is None else weight_scales
    multiply_adds = sum(layer.multiply_accumulates for layer in layers if isinstance(layer, Convolutional))
    return ExportResult(paths, spec, clock.seconds, pictures, compiled, report, scales, multiply_adds)


def _quantise(
    graph: Graph,
    spec: ModelSpec,
    calibration: Calibration,
    effort: Effort,
    weight_scales: WeightScales,
    clock: _Clock,
) -> tuple[Graph, Quantization, QuantisationReport, dict[str, Any]]:
    """Calibrate and quantise: the int8 network's graph and numbers, what came of it, and how, for the metadata."""
    from fastyolo.export.calibrate import calibrate
    from fastyolo.export.layerwise import refine
    from fastyolo.export.pictures import Pictures, describe_pictures, find_pictures
    from fastyolo.export.quantise import quantise
    from fastyolo.export.recipe import Recipe
    from fastyolo.export.report import measure

    recipe = Recipe.of(effort)
    if any(isinstance(operation, Convolution) and operation.groups > 1 for operation in graph.operations):
        recipe = recipe.of_small()
    files = find_pictures(calibration)
    pictures = Pictures(files, spec.input_size, spec.resize, spec.channels)
    with clock.step("calibrate"):
        listed = describe_pictures(files)
        tick = clock.ticker("calibrate", len(files))
        step = -(-len(files) // recipe.relevance)
        statistics = calibrate(graph, spec, pictures, tick, relevance_step=step)
    with clock.step("quantise"):
        graph, quantization = quantise(graph, statistics, weight_scales, weight_share=recipe.weight_share)
        del statistics  # large, and no longer needed
        some = list(Pictures(_evenly(files, recipe.refining), spec.input_size, spec.resize, spec.channels))
        tick = clock.ticker("quantise", len(quantization.convolutions))
        quantization = refine(graph, quantization, some, learned_rounding=recipe.learned_rounding, tick=tick)
    with clock.step("report"):
        few = Pictures(_evenly(files, REPORTED_PICTURES), spec.input_size, spec.resize, spec.channels)
        report = measure(graph, quantization, few, sigmoid_outputs=not spec.heads[0].new_coords)
    description = {
        "effort": effort,
        "weights": weight_scales,
        "recipe": recipe.to_dict(),
        "most_score": report.most_score,
    }
    return graph, quantization, report, {**description, "count": len(files), "files": listed}


def _evenly(files: tuple[Path, ...], count: int) -> tuple[Path, ...]:
    """At most `count` of the files, from the first to the last."""
    return tuple(files[index * len(files) // count] for index in range(count)) if count < len(files) else files


def _content(graph: Graph, quantization: Quantization | None, kind: Format) -> bytes:
    from fastyolo.export.tflite import write_tflite

    return write_tflite(graph, quantization, float_outputs=kind == "quant")


def _compile(
    paths: Mapping[Format, Path],
    contents: Mapping[Path, bytes],
    metadata: Mapping[str, Any],
    target: Literal["imx93"],
    log: Callable[[str], None] | None,
) -> tuple[Path, Compiled]:
    """The file for the NPU, not yet written."""
    from fastyolo.export.vela import compile_content

    source = paths["int8"] if "int8" in paths else paths["quant"]
    compiled = compile_content(contents[source], metadata, target=target, name=source.name, log=log)
    return source.parent / f"model_{target}" / f"{source.stem}_vela.tflite", compiled


def check_formats(formats: Sequence[Format] | None, calibration: Calibration | None) -> tuple[Format, ...]:
    """What will be written; `OptionError` for what is no format, or needs pictures that are not there."""
    if formats is None:
        return ("float32",) if calibration is None else FORMATS
    for kind in formats:
        if kind not in FORMATS:
            raise OptionError(f"formats must be of {', '.join(FORMATS)}, got {kind!r}")
        if kind != "float32" and calibration is None:
            raise OptionError(f"format {kind} needs calibration pictures, got none")
    return tuple(dict.fromkeys(formats))


def check_channels(description: Cfg) -> None:
    """Raise `ExportError` for a network that takes neither RGB nor grey: nothing could prepare its input."""
    channels = description.input_shape[2]
    if channels not in PICTURE_CHANNELS:
        expected = "channels=3 (RGB) or channels=1 (grey) in [net]"
        raise ExportError(str(description.net.error(expected, str(channels), key="channels")))


def size_name(size: tuple[int, int]) -> str:
    """ "416", or "256x416": height x width, as in files' names."""
    height, width = size
    return str(height) if height == width else f"{height}x{width}"


def _check_pictures(calibration: Calibration) -> None:
    from fastyolo.export.pictures import find_pictures

    find_pictures(calibration)


def _with_use(spec: ModelSpec, resize: ResizeMode | None, nms: NmsKind | None) -> ModelSpec:
    return replace(spec, resize=resize or spec.resize, nms=nms or spec.nms)


def _version() -> str:
    import fastyolo

    return f"fastyolo {fastyolo.__version__}"
