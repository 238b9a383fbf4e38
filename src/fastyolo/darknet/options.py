"""What every option that Darknet's parser knows does here: used, without effect on what is found, or refused.

The lists follow ``parser.c`` of AlexeyAB/darknet. What is in none of them Darknet ignores ("Unused field"), and so does
this package, with a warning: more often than not it is a slip of the pen.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from fastyolo.darknet.cfg import Section, shorten
from fastyolo.errors import FastYoloError, SpecError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NET_TRAINING = _words("""
    adam adversarial_lr angle aspect attention augment_speed B1 B2 badlabels_rejection_percentage batch blur burn_in
    contrastive contrastive_color contrastive_jit_flip cutmix decay dynamic_minibatch ema_alpha eps equidistant_point
    exposure flip gamma gaussian_noise hue label_smooth_eps learning_rate learning_rate_min loss_scale max_batches
    max_chart_loss max_crop min_crop mixup momentum mosaic mosaic_bound num_sigmas_reject_badlabels policy power
    resize_step saturation scale scales seq_scales sequential_subdivisions sgdr_cycle sgdr_mult step steps subdivisions
    time_steps track try_fix_nan unsupervised weights_reject_freq
    """)
"""Options of [net] that only training looks at."""

NET_MACHINE = _words("optimized_memory show_receptive_field use_cuda_graph workspace_size_limit_MB")
"""Options of [net] about memory, the GPU and what is printed."""

YOLO_TRAINING = _words("""
    cls_normalizer counters_per_class delta_normalizer focal_loss ignore_thresh iou_loss iou_normalizer iou_thresh
    iou_thresh_kind jitter label_smooth_eps map max max_delta obj_normalizer objectness_smooth random resize
    truth_thresh
    """)
"""Options of [yolo] that only training looks at."""

YOLO_TRACKING = _words("dets_for_show dets_for_track embedding_layer sim_thresh track_ciou_norm track_history_size")
"""Options of [yolo] that number objects from frame to frame, which nothing here does; boxes and scores stay."""

LAYER_TRAINING = _words("burnin_update clip dont_update learning_rate onlyforward stopbackward train_only_bn")
"""Options of every layer that only training looks at."""

CONVOLUTIONAL_TRAINING = _words("angle assisted_excitation dot grad_centr reverse")
"""Options of [convolutional] that only training looks at; angle belongs to rotate."""

DROPOUT_TRAINING = _words("dropblock dropblock_size_abs dropblock_size_rel probability")
"""Options of [dropout], all of them."""

STREAMS = _words("stream wait_stream")
"""On which of the GPU's streams a layer runs."""

LAYER_WEIGHTS = _words("dontload dontloadscales")
"""Options of every layer that leave numbers of the .weights file out; only [convolutional] has any here."""


class Options(NamedTuple):
    """The options of one kind of section.

    Attributes:
        used: read here.
        ignored: without effect on what is found.
        neutral: they change what is computed in a way unknown here, except with this value; None: with any.
    """

    used: frozenset[str]
    ignored: frozenset[str]
    neutral: Mapping[str, float | None]


def _layer(used: str, ignored: Iterable[str] = (), neutral: Mapping[str, float | None] | None = None) -> Options:
    return Options(_words(used), LAYER_TRAINING | LAYER_WEIGHTS | frozenset(ignored), neutral or {})


_NET = Options(_words("width height channels inputs letter_box"), NET_TRAINING | NET_MACHINE, {})
_CONVOLUTIONAL = _layer(
    "filters groups size stride stride_x stride_y pad padding activation batch_normalize cbn",
    CONVOLUTIONAL_TRAINING | STREAMS,
    {
        "dilation": 1, "antialiasing": 0, "binary": 0, "xnor": 0, "bin_output": 0, "sway": 0, "rotate": 0,
        "stretch": 0, "stretch_sway": 0, "coordconv": 0, "flipped": 0, "share_index": None, "dontload": 0,
        "dontloadscales": 0,
    },
)  # fmt: skip
_MAXPOOL = _layer(
    "size stride stride_x stride_y padding",
    ["out_channels"],  # of maxpool_depth
    {"antialiasing": 0, "maxpool_depth": 0, "maxpool_zero_nonmax": 0},
)

OPTIONS: Mapping[str, Options] = {
    "net": _NET,
    "network": _NET,
    "conv": _CONVOLUTIONAL,
    "convolutional": _CONVOLUTIONAL,
    "max": _MAXPOOL,
    "maxpool": _MAXPOOL,
    "route": _layer("layers groups group_id", STREAMS),
    # Without weights they are not normalised.
    "shortcut": _layer("from activation weights_type", ["weights_normalization"]),
    "avg": _layer(""),
    "avgpool": _layer(""),
    "dropout": _layer("", DROPOUT_TRAINING),
    "scale_channels": _layer("from activation", neutral={"scale_wh": 0}),
    "sam": _layer("from activation"),
    "upsample": _layer("stride scale"),
    "yolo": _layer(
        "mask anchors classes num scale_x_y new_coords nms_kind beta_nms",
        YOLO_TRAINING | YOLO_TRACKING | {"show_details"},
    ),
}
"""By type of section, of those that are exported or decoded."""

TEXTS = _words("activation nms_kind weights_type")
"""Used options whose value is a word: Darknet takes a comment behind it for part of the word."""

MAX_WARNINGS = 5


def check_options(sections: Iterable[Section], error: type[FastYoloError] = SpecError) -> None:
    """Warn of options that Darknet does not know.

    Raises:
        error: an option that changes what is computed and is not supported, with its line.
    """
    odd = [(section, key) for section in sections for key in _odd_options(section, error)]
    for section, key in odd[:MAX_WARNINGS]:
        warnings.warn(_remark(section, key), stacklevel=3)
    if len(odd) > MAX_WARNINGS:
        warnings.warn(f"{odd[0][0].file}: {len(odd) - MAX_WARNINGS} more such lines", stacklevel=3)


def _odd_options(section: Section, error: type[FastYoloError]) -> Iterator[str]:
    known = OPTIONS[section.type]
    for key, option in section.options.items():
        if key in known.neutral:
            neutral = known.neutral[key]
            # A window of one pixel has nothing to spread.
            if not _is(option.text, neutral) and not (key == "dilation" and section.text("size", "1") == "1"):
                expected = f"{key}={neutral:g}" if neutral is not None else f"no {key}="
                raise error(str(section.error(expected, shorten(option.text)[1:-1], key=key)))
        elif key not in known.used | known.ignored or (option.comment and key in TEXTS):
            yield key


def _remark(section: Section, key: str) -> str:
    """What to say of an option that Darknet does not know, or reads otherwise."""
    where = f"{section.file} line {section.options[key].line}"
    if key in TEXTS:
        return f"{where}: Darknet takes the comment for a part of {key}=; here it is left out"
    close = get_close_matches(key[:40], OPTIONS[section.type].used, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{where}: Darknet knows no {shorten(key)} in [{section.type}], so it is left out{hint}"


def _is(text: str, neutral: float | None) -> bool:
    try:
        return float(text) == neutral
    except ValueError:
        return False
