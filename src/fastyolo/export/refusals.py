"""What to say of layers that cannot be exported, and what can be done about each."""

from __future__ import annotations

from fastyolo.darknet.cfg import Section, shorten
from fastyolo.darknet.heads import OTHER_HEADS
from fastyolo.darknet.layers import LAYER_READERS
from fastyolo.errors import ExportError

ADVICE = {
    **{kind: f"it is the head of {whose}, so retrain with [yolo] heads" for kind, whose in OTHER_HEADS.items()},
    "batchnorm": "retrain with batch_normalize=1 in the [convolutional] before it",
    **dict.fromkeys(("reorg", "reorg3d"), "retrain with a [convolutional] or [maxpool] of stride 2 in place of it"),
    **dict.fromkeys(("local_avg", "local_avgpool"), "retrain with a [maxpool] of that size and stride"),
    **dict.fromkeys(("conn", "connected"), "it is of classifiers; retrain with a [convolutional] of size 1"),
    **dict.fromkeys(
        ("crnn", "conv_lstm", "rnn", "gru", "lstm"), "it carries memory from frame to frame; retrain without it"
    ),
}


def refuse_layer(section: Section) -> ExportError:
    """The one-line error for a section of a type that is not exported."""
    kinds = sorted(kind for kind in LAYER_READERS if kind not in ("avg", "conv", "max"))
    advice = ADVICE.get(section.type, f"only {', '.join(kinds)} can")
    kind = shorten(section.type)[1:-1]
    return ExportError(f"{section.file} line {section.line}: layer [{kind}] cannot be exported: {advice}")
