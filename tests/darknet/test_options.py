"""Every option has its place: used, without effect, or refused; and what Darknet does not know is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from darknet_networks import cfg_text, conv, head, load, write_network
from fastyolo import ExportError, ModelSpec, SpecError
from fastyolo.darknet import network_layers, read_cfg, spec_from_cfg
from fastyolo.darknet.options import LAYER_TRAINING, NET_MACHINE, NET_TRAINING, OPTIONS, YOLO_TRACKING, YOLO_TRAINING
from fastyolo.export.build import supported_layers


def lines(keys: frozenset[str]) -> str:
    return "".join(f"{key}=1\n" for key in sorted(keys))


def read(folder: Path, text: str | bytes) -> ModelSpec:
    path = folder / "net.cfg"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return spec_from_cfg(read_cfg(path))


def exported(folder: Path, text: str) -> int:
    """How many layers would be exported."""
    path = folder / "net.cfg"
    path.write_text(text)
    return len(supported_layers(read_cfg(path)))


def test_what_only_training_looks_at_changes_nothing(tmp_path: Path) -> None:
    plain = cfg_text(head("0", 2))
    full = plain.replace("[net]\n", f"[net]\n{lines(NET_TRAINING | NET_MACHINE)}")
    full += lines(YOLO_TRAINING | YOLO_TRACKING | LAYER_TRAINING | {"show_details"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(tmp_path, full) == read(tmp_path, plain)


def test_no_option_has_two_places() -> None:
    for kind, known in OPTIONS.items():
        assert not known.used & known.ignored, kind
        assert not known.used & known.neutral.keys(), kind


@pytest.mark.parametrize(
    ("layer", "option", "expected"),
    [
        ("maxpool", "antialiasing=1", "antialiasing=0, got 1"),
        ("maxpool", "maxpool_depth=1", "maxpool_depth=0, got 1"),
        ("maxpool", "maxpool_zero_nonmax=1", "maxpool_zero_nonmax=0, got 1"),
        ("convolutional", "antialiasing=1", "antialiasing=0, got 1"),
        ("convolutional", "flipped=1", "flipped=0, got 1"),
        ("convolutional", "dontload=1", "dontload=0, got 1"),
        ("convolutional", "dontloadscales=1", "dontloadscales=0, got 1"),
        ("convolutional", "xnor=1", "xnor=0, got 1"),
        ("convolutional", "binary=nan", "binary=0, got nan"),
        ("convolutional", "share_index=0", "no share_index=, got 0"),
        ("convolutional", "coordconv=1", "coordconv=0, got 1"),
        ("convolutional", "groups=3", "groups that divide the 4 channels before this layer, got groups=3"),
        ("upsample", "scale=2", "scale=1, got 2"),
        ("shortcut", "weights_type=per_feature", "weights_type=none, a sum without trained weights, got 'per_feature'"),
    ],
)  # fmt: skip
def test_what_would_change_the_network_is_refused_by_line(
    tmp_path: Path, layer: str, option: str, expected: str
) -> None:
    layers = f"[{layer}]\n{option}\n" + ("from=-2\n" if layer == "shortcut" else "size=3\n" if layer[0] != "u" else "")
    text = cfg_text(conv(4), conv(4), layers, head("0", 2))
    line = text[: text.index(option)].count("\n") + 1
    with pytest.raises(ExportError) as caught:
        exported(tmp_path, text)
    assert str(caught.value) == f"net.cfg line {line}: expected {expected}"


@pytest.mark.parametrize(
    ("layer", "options"),
    [
        ("maxpool", "size=2\nstride=1\nstride_x=2\nstride_y=2\nantialiasing=0\nmaxpool_depth=0\nout_channels=7\n"),
        ("convolutional", "filters=4\nsize=3\nstride=1\nstride_x=2\nstride_y=2\npad=1\nactivation=leaky\ngroups=1\n"),
        ("convolutional", "filters=4\nsize=1\nstride=2\ndilation=3\nactivation=leaky\nflipped=0\nxnor=0\n"),
    ],
)
def test_the_same_stride_both_ways_is_a_stride(tmp_path: Path, layer: str, options: str) -> None:
    text = cfg_text(conv(4), f"[{layer}]\n{options}", head("0", 2))
    assert exported(tmp_path, text) == 4
    assert load(*write_network(tmp_path, text)).shapes["head_32x32"] == (32, 32, 7)


def test_what_darknet_does_not_know_is_a_warning_with_its_line(tmp_path: Path) -> None:
    text = cfg_text(head("0", 2, more="nms_kinds=greedynms")).replace("[net]\n", "[net]\nleter_box=1\n")
    with pytest.warns(UserWarning, match="Darknet knows no") as caught:
        assert read(tmp_path, text).resize == "stretch"
    assert [str(warning.message) for warning in caught] == [
        "net.cfg line 2: Darknet knows no 'leter_box' in [net], so it is left out; did you mean letter_box?",
        "net.cfg line 18: Darknet knows no 'nms_kinds' in [yolo], so it is left out; did you mean nms_kind?",
    ]
    with pytest.warns(UserWarning, match=r"line 6: Darknet knows no 'paddng' in \[maxpool\].*did you mean padding\?"):
        exported(tmp_path, cfg_text("[maxpool]\npaddng=0\n", head("0", 2)))


def test_a_thousand_unknown_options_are_six_lines(tmp_path: Path) -> None:
    text = cfg_text(head("0", 2)) + "".join(f"\x1b[31m{index}=1\n".replace("[", "") for index in range(1000))
    with pytest.warns(UserWarning, match="Darknet knows no|more such lines") as caught:
        read(tmp_path, text)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 6
    assert messages[-1] == "net.cfg: 995 more such lines"
    assert all(message.isprintable() for message in messages)


def test_a_word_with_a_comment_behind_it_means_something_else_to_darknet(tmp_path: Path) -> None:
    text = cfg_text(head("0", 2, more="nms_kind=greedynms # as in the paper"))
    with pytest.warns(UserWarning, match=r"net.cfg line 17: Darknet takes the comment for a part of nms_kind="):
        assert read(tmp_path, text).nms == "diou"


@pytest.mark.parametrize("comment", ["# gr\xf6\xdfe", "; gr\xf6\xdfe", "#\x85\xa0", "# \u2028 \U0001f600"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_comment_may_hold_any_bytes(tmp_path: Path, comment: str, encoding: str) -> None:
    plain = cfg_text(head("0", 2))
    text = plain.replace("[net]\n", f"[net] {comment}\n{comment}\n").replace("classes=2", f"classes=2 {comment}")
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        content = text.encode("utf-8") + b"# \xff\xfe\n"
    assert read(tmp_path, content) == read(tmp_path, plain)
    assert read(tmp_path, b"\xef\xbb\xbf" + content) == read(tmp_path, plain)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    content = ("\ufeff" if encoding.endswith("be") else "") + cfg_text(head("0", 2))
    with pytest.raises(SpecError, match=r"net\.cfg is in UTF-16: save it as UTF-8"):
        read(tmp_path, content.encode(encoding))


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option in ("letter_box", "width", "inputs") for value in ("nan", "1e9", "9" * 30, "x", "1_0")]
    + [("classes", "-1"), ("scale_x_y", "inf"), ("num", "0x6"), ("mask", "0,x"), ("anchors", "1,1e400")]
    + [("mask", "0,-1"), ("new_coords", "yes"), ("classes", "9" * 5000)],
)  # fmt: skip
def test_values_that_are_none_name_their_line(tmp_path: Path, option: str, value: str) -> None:
    section = "net" if option in ("letter_box", "width", "inputs") else "yolo"
    text = cfg_text(head("0", 2)).replace(f"[{section}]\n", f"[{section}]\n{option}={value}\n")
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    line = text[: text.index(f"{option}={value}")].count("\n") + 1
    assert str(caught.value).startswith(f"net.cfg line {line}: expected ")
    assert len(str(caught.value)) < 200


def test_the_two_readings_agree(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text(cfg_text(conv(4, 3, 2), "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", head("0", 2)))
    heads = [layer.head for layer in network_layers(read_cfg(path)) if layer.section.type == "yolo"]  # type: ignore[union-attr]
    assert tuple(heads) == spec_from_cfg(read_cfg(path)).heads
