"""The exported float network computes what Darknet computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_networks import cfg_text, conv, forward, head, load, pool, tiny, write_network
from fastyolo import ExportError
from fastyolo.darknet import network_layers, read_cfg, read_weights
from fastyolo.export.build import supported_layers
from fastyolo.export.fetch import OFFICIAL_CFG
from fastyolo.export.graph import MaxPool, Pad
from float_heads import largest_difference, random_image, run_float

NETWORKS = {
    "yolov4-tiny layers": tiny(),
    "yolov3-tiny layers": cfg_text(conv(8), pool(2, 2), conv(8), pool(2, 1), conv(8, 1), head("0,1", 3)),
    "three heads": cfg_text(
        conv(8, 3, 2), head("0", 1), "[route]\nlayers=0", conv(8, 3, 2), head("1", 1), "[route]\nlayers=-3",
        pool(2, 2), head("2", 1),
    ),
    "two heads of one size": cfg_text(conv(8, 3, 2), head("0", 2), "[route]\nlayers=0", head("1", 2)),
    "shortcut": cfg_text(conv(8, 3, 2), conv(8), "[shortcut]\nfrom=-2\nactivation=leaky", head("0", 2)),
    "shortcut with relu": cfg_text(conv(8, 3, 2), conv(8), "[shortcut]\nfrom=-2\nactivation=relu", head("0", 2)),
    "relu and logistic": cfg_text(conv(8, activation="relu"), conv(8, activation="logistic"), head("0", 1)),
    "no batch norm, no padding": cfg_text(conv(8, normalize=0), conv(6, 1, 1, "logistic", 0).replace("pad=1", "pad=0"),
                                          "[yolo]\nclasses=1\nanchors=9,9"),
    "odd sizes": cfg_text(conv(4, 3, 3), conv(4, 4), conv(4, 2).replace("pad=1", "pad=0"), conv(4, 3, 3), head("0", 1),
                          height=63, width=45),
    "pool of 3 with stride 2": cfg_text(conv(4), pool(3, 2), head("0", 1), height=32, width=48),
    "pools of 5 and 4": cfg_text(conv(4), pool(5, 1), pool(4, 1), head("0", 1), height=32, width=32),
    "pool without padding": cfg_text(conv(4), pool(2, 2) + "padding=0", head("0", 1), height=32, width=48),
    "groups of several layers": cfg_text(conv(6, 3, 2), conv(9), "[route]\nlayers=-1,-2\ngroups=3\ngroup_id=1",
                                         "[upsample]\nstride=2", head("0", 1)),
    "depthwise": cfg_text(conv(8, 3, 2), conv(8) + "groups=8\n", conv(8, 5, 2, "relu6") + "groups=8\n", head("0", 1)),
    "depthwise, three filters each": cfg_text(conv(4, 3, 2), conv(12) + "groups=4\n", head("0", 1)),
    "grouped": cfg_text(conv(8, 3, 2), conv(12, 3, 2) + "groups=4\n", conv(6, 1) + "groups=2\n", head("0", 1)),
    "depthwise, of the picture": cfg_text(conv(3) + "groups=3\n", head("0", 1)),
    "dropout, counted": cfg_text(conv(8, 3, 2), "[dropout]\nprobability=.2\n", conv(8), "[dropout]\n",
                                 "[shortcut]\nfrom=1\n", "[route]\nlayers=-2,-5\n", head("0", 1)),
    "relu6, swish and silu": cfg_text(conv(8, 3, 2, "relu6"), conv(8, 1, 1, "swish"), conv(8, 1, 1, "silu"),
                                      head("0", 1)),
    "mish and hardswish": cfg_text(conv(8, 3, 2, "mish"), conv(8, 1, 1, "hardswish"), head("0", 1)),
    "shortcut to fewer channels": cfg_text(conv(6, 3, 2), conv(9), "[shortcut]\nfrom=-2\n", head("0", 1)),
    "shortcut to more channels": cfg_text(conv(9, 3, 2), conv(6), "[shortcut]\nfrom=-2\nactivation=leaky\n",
                                          head("0", 1)),
    "shortcut to several": cfg_text(conv(6, 3, 2), conv(9), conv(6), "[shortcut]\nfrom=-2,-3\nactivation=relu6\n",
                                    head("0", 1)),
    "squeeze and excitation": cfg_text(conv(8, 3, 2), "[avgpool]\n", conv(4, 1, 1, "relu"),
                                       conv(8, 1, 1, "logistic"), "[scale_channels]\nfrom=-4\n", head("0", 1)),
    "spatial attention": cfg_text(conv(8, 3, 2), conv(8, 3, 1, "logistic"), "[sam]\nfrom=-2\nactivation=leaky\n",
                                  head("0", 1)),
    "two strides": cfg_text(conv(4) + "stride_x=2\nstride_y=1\n", conv(4) + "stride_x=2\nstride_y=4\n",
                            head("0", 1), height=32, width=32),
    "pools of two strides": cfg_text(conv(4), pool(3, 1) + "stride_x=2\n", pool(2, 2) + "stride_x=1\n", head("0", 1),
                                     height=32, width=32),
    "pools of any padding": cfg_text(conv(4), pool(5, 1) + "padding=1\n", pool(4, 2) + "padding=2\n", conv(4, 2, 2),
                                     head("0", 1), height=36, width=36),
    "one and four channels in": cfg_text(conv(4), head("0", 1), channels=4),
}  # fmt: skip


@pytest.mark.parametrize("text", NETWORKS.values(), ids=NETWORKS.keys())
def test_heads_are_those_of_a_plain_reading_of_darknet(tmp_path: Path, text: str) -> None:
    cfg, weights = write_network(tmp_path, text)
    graph = load(cfg, weights)
    image = random_image(graph)
    layers = network_layers(read_cfg(cfg))
    numbers, _ = read_weights(weights, layers)
    assert largest_difference(run_float(graph, image), forward(layers, numbers, image)) < 1e-5


def test_outputs_are_listed_finest_first_and_heads_as_in_the_cfg(official_weights: Path) -> None:
    graph = load(OFFICIAL_CFG, official_weights)
    assert graph.heads == ("head_13x13", "head_26x26")
    assert graph.outputs == ("head_26x26", "head_13x13")


def test_heads_of_one_size_get_different_names(tmp_path: Path) -> None:
    graph = load(*write_network(tmp_path, NETWORKS["two heads of one size"]))
    assert graph.heads == ("head_32x32", "head_32x32_2")


def test_padding_is_explicit_only_where_tflite_would_pad_otherwise(official_weights: Path) -> None:
    graph = load(OFFICIAL_CFG, official_weights)
    pads = [operation for operation in graph.operations if isinstance(operation, Pad)]
    assert [(pad.rows, pad.columns) for pad in pads] == [((1, 0), (1, 0))] * 2
    assert all(pool.same for pool in graph.operations if isinstance(pool, MaxPool))


def test_layers_no_head_depends_on_are_left_out(tmp_path: Path) -> None:
    text = cfg_text(conv(8, 3, 2), head("0", 2), "[route]\nlayers=0", conv(4), pool(2, 2))
    graph = load(*write_network(tmp_path, text))
    assert [operation.outputs[0] for operation in graph.operations][-1] == "head_32x32"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("[lstm]\n", "net.cfg line 5: layer [lstm] cannot be exported"),
        ("[reorg]\nstride=2\n", "layer [reorg] cannot be exported: retrain with a [convolutional] or [maxpool] of"),
        (
            "[Gaussian_yolo]\n",
            "layer [Gaussian_yolo] cannot be exported: it is the head of Gaussian YOLOv3, so retrain",
        ),
        (
            conv(4, activation="selu"),
            "line 11: expected activation linear, leaky, relu, relu6, logistic, swish, silu, "
            "mish or hardswish, got selu: retrain with one of those",
        ),
        (conv(4) + "groups=4\n", "line 12: expected groups that divide the 3 channels before this layer, got groups=4"),
        (conv(4) + conv(6) + "groups=4\n", "line 19: expected groups that divide the 6 filters, got groups=4"),
        (conv(4) + "groups=0\n", "line 12: expected groups to be a whole number from 1 to 1048576, got '0'"),
        (conv(4) + "groups=-4\n", "line 12: expected groups to be a whole number from 1 to 1048576, got '-4'"),
        (conv(4) + "dilation=2\n", "line 12: expected dilation=1, got 2"),
        (conv(4) + "stretch_sway=1\n", "line 12: expected stretch_sway=0, got 1"),
        (conv(4) + conv(4) + "[shortcut]\nfrom=-2\nactivation=swish\n", "or logistic, got swish: retrain"),
        (conv(4) + "[shortcut]\nfrom=1\n", "line 13: expected from to name an earlier layer of this layer 1, got 1"),
        (
            conv(4) + "[shortcut]\nfrom=-1" + ",-1" * 9999,
            "line 13: expected from= in [shortcut], of at most 64 layers, got 10000 layers",
        ),
        (conv(4) + "[shortcut]\nfrom=9\n", "line 13: expected from to name an earlier layer of this layer 1, got 9"),
        (conv(4) + "[shortcut]\nfrom=-1\nweights_type=per_feature\n", "weights_type=none, a sum without trained"),
        (conv(4) + "[scale_channels]\nfrom=-1\n", "line 13: expected 1x1x4 before [scale_channels], a factor for"),
        (conv(4) + "[avgpool]\n[scale_channels]\nfrom=-2\nscale_wh=1\n", "line 15: expected scale_wh=0, got 1"),
        (conv(4) + conv(2) + "[sam]\nfrom=-2\n", "line 20: expected two layers of one shape, got 64x64x2 and 64x64x4"),
        (conv(4) + conv(4) + "[sam]\nfrom=-2,-1\n", "line 20: expected from= one layer in [sam], got 2 layers"),
        (conv(1 << 18), "an output of at most 268435456 numbers, got 64x64x262144"),
        ("[maxpool]\nsize=3\nstride=2\npadding=3\n", "line 8: expected padding from 0 to 2, got 3"),
    ],
)
def test_what_cannot_be_exported_is_named_with_its_line(tmp_path: Path, layer: str, message: str) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(layer, "[route]\nlayers=-1", head("0", 2)))
    with pytest.raises(ExportError) as caught:
        load(cfg, tmp_path / "none.weights")
    assert message in str(caught.value)


def test_ten_thousand_layers_are_one_line(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text("[dropout]\n" * 10_000, head("0", 2)))
    with pytest.raises(ExportError, match=r"line 2005: expected at most 2000 layers, got 10002"):
        load(cfg, tmp_path / "none.weights")


def test_a_picture_that_fills_memory_is_one_line(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(conv(4, 3, 2), head("0", 2), height=16384, width=16384))
    with pytest.raises(
        ExportError, match=r"line 1: expected an output of at most 268435456 numbers, got 16384x16384x3"
    ):
        load(cfg, tmp_path / "none.weights")


def test_two_yolo_layers_on_one_convolution_are_an_error(tmp_path: Path) -> None:
    yolo = "[yolo]\nclasses=1\nanchors=1,2\n"
    cfg, weights = write_network(tmp_path, cfg_text(conv(6, 1, 1, "linear"), yolo, "[route]\nlayers=0\n", yolo))
    with pytest.raises(ExportError, match=r"every \[yolo\] layer must read a layer of its own"):
        load(cfg, weights)


def test_weights_that_overflow_are_an_error(tmp_path: Path) -> None:
    cfg, weights = write_network(tmp_path, tiny())
    content = np.frombuffer(weights.read_bytes(), "<f4").copy()
    # Behind the header of five numbers: eight biases, eight scales.
    content[5 + 8 : 5 + 16] = 3e38
    content[5 + 32 : 5 + 40] = 3e38
    weights.write_bytes(content.tobytes())
    with pytest.raises(ExportError, match="layer 0 has weights too large for float32"):
        load(cfg, weights)


def test_a_network_without_heads_cannot_be_exported(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(conv(4)))
    with pytest.raises(ExportError, match=r"must have \[convolutional\] and \[yolo\] layers"):
        supported_layers(read_cfg(cfg))
