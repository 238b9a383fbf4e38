"""What decoding takes from a .cfg, and the layers that it need not understand."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from darknet_networks import cfg_text, conv, head, pool
from fastyolo import HeadSpec, ModelSpec, SpecError
from fastyolo.darknet import read_cfg, spec_from_cfg, with_input_size
from fastyolo.darknet.grids import head_grids

DEPTHWISE = "[convolutional]\nfilters=8\ngroups=8\nsize=5\npad=1\nactivation=mish\n"
SQUEEZE = "[avgpool]\n" + conv(4, 1, 1, "swish") + conv(8, 1, 1, "logistic") + "[scale_channels]\nfrom=-4\n"
"""Squeeze and excitation, as in EfficientNet: one number a channel, multiplied into the layer before."""


def write(folder: Path, text: str) -> Path:
    path = folder / "net.cfg"
    path.write_text(text)
    return path


def grid_after(folder: Path, *layers: str, height: int = 64, width: int = 96) -> tuple[int, ...]:
    """What a [yolo] behind these layers reads."""
    path = write(folder, cfg_text(*layers, "[yolo]\n", height=height, width=width))
    return head_grids(read_cfg(path))[-1][1]


@pytest.mark.parametrize(
    ("layers", "grid"),
    [
        (conv(8, 3, 2), (32, 48, 8)),
        ("[conv]\nfilters=8\nsize=3\n", (62, 94, 8)),
        ("[convolutional]\nfilters=8\nsize=3\nstride_x=4\nstride_y=2\npad=1\n", (32, 24, 8)),
        ("[convolutional]\nfilters=8\nsize=3\nstride=2\nstride_x=0\npadding=1\n", (32, 48, 8)),
        # The blur takes the stride: 3 wide with padding 1, or for 2 two wide without.
        ("[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nantialiasing=1\n", (32, 48, 8)),
        ("[convolutional]\nfilters=8\nsize=3\nstride=3\npad=1\nantialiasing=2\n", (21, 32, 8)),
        ("[maxpool]\nsize=2\nstride=2\n", (32, 48, 3)),
        ("[maxpool]\nsize=2\nstride_x=2\nstride_y=1\n", (64, 48, 3)),
        ("[maxpool]\nmaxpool_depth=1\nout_channels=2\nstride=2\n", (64, 96, 2)),
        ("[local_avgpool]\nsize=4\nstride=4\npadding=0\n", (16, 24, 3)),
        ("[avgpool]\n", (1, 1, 3)),
        ("[reorg]\nstride=2\n", (32, 48, 12)),
        ("[reorg3d]\nstride=2\n", (32, 48, 12)),
        (conv(8) + "[reorg]\nstride=2\nreverse=1\n", (128, 192, 2)),
        ("[upsample]\nstride=2\n", (128, 192, 3)),
        ("[upsample]\nstride=-2\n", (32, 48, 3)),
        ("[dropout]\nprobability=.5\n", (64, 96, 3)),
        ("[batchnorm]\n", (64, 96, 3)),
        ("[activation]\nactivation=mish\n", (64, 96, 3)),
        # Added to part of the channels, with weights, from several layers: the size is that of the layer before.
        (conv(8) + conv(4) + "[shortcut]\nfrom=-2\n", (64, 96, 4)),
        (conv(8) + conv(8) + "[shortcut]\nfrom=-2,-1\nweights_type=per_feature\n", (64, 96, 8)),
        (conv(8, 3, 2) + SQUEEZE, (32, 48, 8)),
        (conv(8) + conv(8) + "[sam]\nfrom=-2\n", (64, 96, 8)),
        (DEPTHWISE, (64, 96, 8)),
        (conv(8) + "[route]\nlayers=-1,-1\ngroups=4\ngroup_id=3\n", (64, 96, 4)),
        (head("0", 2) + "[route]\nlayers=0\n" + conv(5), (64, 96, 5)),
        ("[connected]\noutput=10\n", (1, 1, 10)),
        ("[crop]\ncrop_height=32\ncrop_width=16\n", (32, 16, 3)),
        ("[implicit]\nfilters=255\n", (1, 1, 255)),
    ],
)  # fmt: skip
def test_every_layer_has_the_size_that_darknet_gives_it(
    tmp_path: Path, layers: str, grid: tuple[int, int, int]
) -> None:
    assert grid_after(tmp_path, layers) == grid


def test_what_no_head_depends_on_may_be_anything(tmp_path: Path) -> None:
    odd = "[lstm]\noutput=3\n[convolutional]\nfilters=x\n[swin]\nwindow=7\n[route]\nlayers=99\n"
    text = cfg_text(conv(8, 3, 2), odd, "[route]\nlayers=0\n", head("0,2", 3))
    assert spec_from_cfg(read_cfg(write(tmp_path, text))).head_shapes == ((32, 32, 16),)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[lstm]\noutput=3\n", "line 5: expected layers whose size is known before a [yolo], got [lstm], whose size"),
        ("[sw\x1bin]\n", "line 5: expected layers whose size is known before a [yolo], got [sw\\x1bin], whose size"),
        ("[convolutional]\nfilters=x\n", "line 6: expected filters to be a whole number"),
        ("[route]\nlayers=7\n", "line 6: expected layers to name an earlier layer of this layer 0, got 7"),
        ("[route]\n", "line 5: expected layers= in [route], got none"),
        ("[sam]\n", "line 5: expected from= in [sam], got none"),
        ("[upsample]\nstride=0\n", "line 6: expected a stride other than 0, got 0"),
        ("[upsample]\nstride=255\n" * 3, "line 7: expected an output of 1 to 1048576 each way, got 4161600x4161600x3"),
        (conv(3) + "[maxpool]\nstride=2\n[route]\nlayers=0,1\n", "expected layers of one size, got 64x64 and 32x32"),
    ],
)  # fmt: skip
def test_what_a_head_depends_on_is_named_with_its_line(tmp_path: Path, layers: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec_from_cfg(read_cfg(write(tmp_path, cfg_text(layers, conv(7, 1), "[yolo]\nclasses=2\nanchors=1,2\n"))))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["region", "Gaussian_yolo", "detection"])
def test_heads_of_other_generations_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, cfg_text(conv(7), f"[{kind}]\nclasses=2\n"))
    with pytest.raises(SpecError, match=rf"net.cfg line 13: expected heads of type \[yolo\] only, got \[{kind}\], of"):
        spec_from_cfg(read_cfg(path))


@pytest.mark.parametrize(
    ("net", "resize"),
    [
        ("", "stretch"),
        ("letter_box=0\n", "stretch"),
        ("letter_box=1\n", "letterbox"),
        ("letter_box = 1 # train as well\n", "letterbox"),
        ("letter_box=0\nletter_box=1\n", "stretch"),
    ],
)
def test_letter_box_is_the_geometry(tmp_path: Path, net: str, resize: str) -> None:
    text = cfg_text(head("0", 2)).replace("[net]\n", f"[net]\n{net}")
    assert spec_from_cfg(read_cfg(write(tmp_path, text))).resize == resize


@pytest.mark.parametrize(
    ("first", "last", "nms"),
    [
        ("", "", "iou"),
        ("nms_kind=greedynms", "nms_kind=greedynms\nbeta_nms=0.6", "diou"),
        ("nms_kind=greedynms", "", "iou"),
        ("", "nms_kind=greedynms", "diou"),
        ("nms_kind=greedynms", "nms_kind=default", "iou"),
        # greedynms has its exponent built in; diounms reads beta_nms.
        ("", "nms_kind=greedynms\nbeta_nms=0.9", "diou"),
        ("nms_kind=diounms\nbeta_nms=0.9", "nms_kind=diounms\nbeta_nms=0.6", "diou"),
    ],
)
def test_the_last_heads_nms_kind_counts_for_all(tmp_path: Path, first: str, last: str, nms: str) -> None:
    text = cfg_text(head("0", 2, more=first), "[route]\nlayers=-2\n", head("1", 2, more=last))
    assert spec_from_cfg(read_cfg(write(tmp_path, text))).nms == nms


def test_an_exponent_that_is_not_computed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, cfg_text(head("0", 2, more="nms_kind=diounms\nbeta_nms=0.9")))
    with pytest.raises(SpecError, match=r"net.cfg line 18: expected beta_nms=0.6 with nms_kind=diounms, .* got 0.9"):
        spec_from_cfg(read_cfg(path))


def test_a_kind_that_darknet_does_not_know_is_its_default_and_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, cfg_text(head("0", 2, more="nms_kind=soft")))
    with pytest.warns(UserWarning, match=r"net.cfg line 17: Darknet takes nms_kind='soft' for default"):
        assert spec_from_cfg(read_cfg(path)).nms == "iou"


def test_inputs_must_be_what_the_sides_say(tmp_path: Path) -> None:
    text = cfg_text(head("0", 2)).replace("[net]\n", "[net]\ninputs=12288\n")
    cfg = read_cfg(write(tmp_path, text))
    assert spec_from_cfg(cfg).input_size == (64, 64)
    assert spec_from_cfg(with_input_size(cfg, (32, 64))).input_size == (32, 64)
    with pytest.raises(SpecError, match="line 2: expected inputs=12288, height x width x channels, got 100"):
        spec_from_cfg(read_cfg(write(tmp_path, text.replace("12288", "100"))))


@pytest.mark.pc("needs a file beside the COCO pictures")
def test_a_network_for_small_boards_is_read_whole(coco_dir: Path) -> None:
    path = coco_dir.parent / "networks" / "yolo-fastest-1.1.cfg"
    if not path.exists():
        pytest.skip("needs what Darknet found, beside the COCO pictures")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = ModelSpec.from_cfg(path)
    assert spec.heads == (
        HeadSpec(32, ((115, 73), (119, 199), (242, 238))),
        HeadSpec(16, ((12, 18), (37, 49), (52, 132))),
    )
    assert (spec.input_size, spec.num_classes, spec.resize, spec.nms) == ((320, 320), 80, "stretch", "diou")


def test_pools_that_the_strict_reading_takes_are_the_same_size(tmp_path: Path) -> None:
    assert grid_after(tmp_path, pool(2, 2), pool(2, 1), pool(5, 1), height=416, width=416) == (208, 208, 3)
