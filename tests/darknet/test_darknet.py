"""What .cfg and .weights files say, and what is said of bad ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from darknet_networks import cfg_text, conv, head, pool, tiny, write_network
from fastyolo import COCO_NAMES, ExportError, HeadSpec, ModelSpec, SpecError
from fastyolo.darknet import Convolutional, MaxPool, network_layers, read_cfg, read_weights, spec_from_cfg
from fastyolo.export.fetch import OFFICIAL_CFG


def read_text(folder: Path, text: str) -> ModelSpec:
    path = folder / "net.cfg"
    path.write_text(text)
    return spec_from_cfg(read_cfg(path))


def read_strictly(folder: Path, text: str) -> ModelSpec:
    """Every layer, as exporting does, not only what decoding needs."""
    path = folder / "net.cfg"
    path.write_text(text)
    network_layers(read_cfg(path))
    return spec_from_cfg(read_cfg(path))


def test_the_official_cfg_describes_yolov4_tiny() -> None:
    assert spec_from_cfg(read_cfg(OFFICIAL_CFG), COCO_NAMES) == ModelSpec.yolov4_tiny(nms="diou")


def test_classes_are_numbered_when_nobody_names_them() -> None:
    assert ModelSpec.from_cfg(OFFICIAL_CFG).names[:2] == ("class 0", "class 1")


def test_a_wrong_number_of_names_is_an_error() -> None:
    with pytest.raises(SpecError, match="expected 80 class names, got 2"):
        ModelSpec.from_cfg(OFFICIAL_CFG, names=["cat", "dog"])


def test_options_of_yolo_reach_the_spec(tmp_path: Path) -> None:
    yolo = head("0,2", 4, more="scale_x_y=2.0\nnew_coords=1")
    spec = read_text(tmp_path, cfg_text(conv(4, 3, 2), pool(2, 2), yolo, height=32, width=64))
    assert spec.heads == (HeadSpec(4, ((10, 14), (37, 58)), 2.0, True),)
    assert spec.input_size == (32, 64)
    assert spec.num_classes == 4


def test_without_mask_a_head_uses_every_anchor(tmp_path: Path) -> None:
    text = cfg_text(conv(14, 1, 1, "linear"), "[yolo]\nnum=2\nclasses=2\nanchors=1,2,3,4\n")
    assert read_text(tmp_path, text).heads[0].anchors == ((1, 2), (3, 4))


def test_blanks_comments_line_ends_and_repeated_keys_are_read_as_darknet_reads_them(tmp_path: Path) -> None:
    net = "\ufeff; made by hand\r\n[net]\r\nwidth = 64 # pixels\r\nheight=64\r\nheight=32\r\n"
    assert read_text(tmp_path, net + head("0", 1)).input_size == (64, 64)


def test_a_pool_without_size_takes_its_stride(tmp_path: Path) -> None:
    path = tmp_path / "net.cfg"
    path.write_text(cfg_text("[maxpool]\nstride=2"))
    (layer,) = network_layers(read_cfg(path))
    assert isinstance(layer, MaxPool)
    assert (layer.size, layer.padding, layer.shape) == (2, 1, (32, 32, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected [net] first, got no section"),
        ("width=3\n", "line 1: expected a section before the first option, got 'width=3'"),
        ("[convolutional]\n", "line 1: expected [net] first, got [convolutional]"),
        ("[net]\nwidth\n", "line 2: expected key=value, got 'width'"),
        ("[net]\nwidth=\n", "line 2: expected key=value, got 'width='"),
        ("[net\n", "line 1: expected a section such as [net], got '[net'"),
        ("[net]\nheight=64\n", "line 1: expected width= in [net], got none"),
        ("[net]\nheight=0\nwidth=1\n", "line 2: expected height to be a whole number from 1 to 16384, got '0'"),
        ("[net]\nheight=-5\nwidth=1\n", "line 2: expected height to be a whole number from 1 to 16384, got '-5'"),
        ("[net]\nheight=1e3\nwidth=1\n", "line 2: expected height to be a whole number from 1 to 16384, got '1e3'"),
        ("[net]\nheight=" + "9" * 5000 + "\nwidth=1\n", "line 2: expected height to be a whole number"),
        ("[net]\nheight=64\nwidth=64\n", "net.cfg must have at least one [yolo] layer, got none"),
    ],
)  # fmt: skip
def test_a_syntax_error_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_text(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("[lstm]\n", "line 5: expected a layer of the YOLO-tiny family, got [lstm]"),
        ("[convolutional]\nfilters=-1\n", "line 6: expected filters to be a whole number"),
        ("[convolutional]\nfilters=99999999999999999999\n", "line 6: expected filters to be a whole number"),
        ("[convolutional]\nsize=99\n", "line 5: expected an output of 1 to 1048576 each way, got -34x-34x1"),
        ("[convolutional]\nstride=0\n", "line 6: expected stride to be a whole number from 1 to 255, got '0'"),
        ("[maxpool]\nsize=2\nstride=2\npadding=-3\n", "line 8: expected padding to be a whole number"),
        ("[route]\n", "line 5: expected layers= in [route], got none"),
        ("[route]\nlayers=,\n", "line 5: expected layers= in [route], got none"),
        ("[route]\nlayers=-1\n", "line 6: expected layers to name an earlier layer of this layer 0, got -1"),
        ("[route]\nlayers=0\n", "line 6: expected layers to name an earlier layer of this layer 0, got 0"),
        (conv(4) + "[route]\nlayers=5\n", "expected layers to name an earlier layer of this layer 1, got 5"),
        (conv(4) + "[route]\nlayers=-1,x\n", "got 'x'"),
        (conv(4) + "[route]\nlayers=-1\ngroups=3\n", "expected channels divisible by groups=3, got 4"),
        (conv(4) + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n", "expected group_id to be a whole number from 0 to 1"),
        (conv(4) + pool(2, 2) + "[route]\nlayers=-1,-2\n", "expected layers of one size, got 32x32 and 64x64"),
        ("[upsample]\nstride=99999\n", "line 6: expected stride to be a whole number from 1 to 255, got '99999'"),
        ("[upsample]\nstride=2\nscale=0.5\n", "line 7: expected scale=1, got 0.5"),
        ("[shortcut]\n", "line 5: expected from= in [shortcut], of at most 64 layers, got none"),
        (conv(4) + conv(8, 3, 2) + "[shortcut]\nfrom=-2\n", "layers of one height and width, got 32x32x8 and 64x64x4"),
        (conv(7) + "[yolo]\nclasses=2\nmask=0\nanchors=1,2\n", ""),
        (conv(8) + "[yolo]\nclasses=2\nanchors=1,2\n", "expected 1 * (5 + 2) = 7 filters before this [yolo], got 8"),
        (conv(7) + "[yolo]\nclasses=2\nanchors=1,nan\n", "expected anchors to be a finite number, got 'nan'"),
        (conv(7) + "[yolo]\nclasses=2\nanchors=1,-2\n", "expected anchors of positive pixel sizes, got '1,-2'"),
        (conv(7) + "[yolo]\nclasses=2\nanchors=1\n", "expected 2 numbers in anchors= for num=1, got 1"),
        (conv(7) + "[yolo]\nclasses=2\nmask=3\nanchors=1,2\n", "expected mask to be a whole number from 0 to 0"),
        (conv(7) + "[yolo]\nclasses=2\nanchors=1,2\nscale_x_y=0\n", "expected a positive scale_x_y, got 0"),
        (conv(7) + "[yolo]\nclasses=0\nanchors=1,2\n", "expected classes to be a whole number"),
        (head("0", 2) + conv(3), "expected [route] after a [yolo] layer, got [convolutional]"),
        (head("0", 2) + "[route]\nlayers=-1\n", "expected a layer that is not [yolo] as input, got a [yolo] layer"),
        (head("0", 2) + "[route]\nlayers=-2\n" + head("0", 3), "expected classes=2 as in the first [yolo]"),
    ],
)  # fmt: skip
def test_layers_that_cannot_be_are_named_with_their_line(tmp_path: Path, layer: str, message: str) -> None:
    if not message:
        read_strictly(tmp_path, cfg_text(layer))
        return
    with pytest.raises(SpecError) as caught:
        read_strictly(tmp_path, cfg_text(layer))
    assert str(caught.value).startswith("net.cfg line ")
    assert message in str(caught.value)


def test_an_input_that_is_no_multiple_of_the_stride_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match="expected an input that is a multiple of the stride, got 65x64 and 33x32 cells"
    ):
        read_text(tmp_path, cfg_text(conv(4, 3, 2), head("0", 1), height=65))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[net]\0", "expected text, got binary data"),
        (bytes(range(256)), "expected text, got binary data"),
        (b"#" * (2 << 20), "expected at most 1048576 bytes, got 2097152"),
    ],
)
def test_a_cfg_that_is_no_text_is_one_clear_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "net.cfg"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=reason):
        read_cfg(path)


def test_a_cfg_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.cfg")
    for path, reason in (
        (tmp_path / "no.cfg", "No such file"),
        (tmp_path, "expected a file, got a folder"),
        (tmp_path / "pipe.cfg", "expected a file, got a folder or device"),
        (tmp_path / "a\0b.cfg", "embedded null (byte|character)"),
    ):
        with pytest.raises(SpecError, match=reason):
            read_cfg(path)


def test_weights_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(conv(2, 3), conv(3, 1, 1, "linear", 0), channels=1))
    layers = network_layers(read_cfg(cfg))
    numbers = np.arange(2 * 4 + 2 * 9 + 3 + 3 * 2)
    path = tmp_path / "net.weights"
    path.write_bytes(np.array([0, 2, 0, 7, 0], "<i4").tobytes() + numbers.astype("<f4").tobytes())
    found, _ = read_weights(path, layers)
    first, second = found[0], found[1]
    assert first.scale is not None
    assert first.mean is not None
    assert first.variance is not None
    assert first.bias.tolist() == [0, 1]
    assert first.scale.tolist() == [2, 3]
    assert first.mean.tolist() == [4, 5]
    assert first.variance.tolist() == [6, 7]
    assert first.weights[1, 0].tolist() == [[17, 18, 19], [20, 21, 22], [23, 24, 25]]
    assert second.scale is None
    assert second.bias.tolist() == [26, 27, 28]
    assert second.weights[:, :, 0, 0].tolist() == [[29, 30], [31, 32], [33, 34]]


def test_version_0_1_has_a_shorter_header(tmp_path: Path) -> None:
    cfg, path = write_network(tmp_path, tiny())
    layers = network_layers(read_cfg(cfg))
    wanted, _ = read_weights(path, layers)
    path.write_bytes(np.array([0, 1, 0, 7], "<i4").tobytes() + path.read_bytes()[20:])
    found, _ = read_weights(path, layers)
    assert all(np.array_equal(wanted[index].weights, found[index].weights) for index in wanted)


@pytest.mark.parametrize("change", [-1, -4, 1, 4000])
def test_weights_of_the_wrong_length_say_both_lengths(tmp_path: Path, change: int) -> None:
    cfg, path = write_network(tmp_path, tiny())
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(
        ExportError, match=rf"must hold {len(content)} bytes for this .cfg, got {len(content) + change}$"
    ):
        read_weights(path, network_layers(read_cfg(cfg)))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "must begin with a version of 12 bytes, got 0 bytes"),
        (np.array([0, 3, 1], "<i4").tobytes(), "must be of Darknet weights version 0.1 or 0.2, got 0.3.1"),
        (b"PK\3\4 not weights", "must be of Darknet weights version 0.1 or 0.2, got"),
    ],
)
def test_a_file_that_is_no_weights_is_one_clear_error(tmp_path: Path, start: bytes, message: str) -> None:
    path = tmp_path / "net.weights"
    path.write_bytes(start)
    with pytest.raises(ExportError, match=message):
        read_weights(path, [])


def test_missing_weights_are_one_clear_error(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "no.weights", "No such file"), (tmp_path, "expected a file")):
        with pytest.raises(ExportError, match=reason):
            read_weights(path, [])


def test_a_cfg_that_asks_for_terabytes_does_not_get_them(tmp_path: Path) -> None:
    cfg = tmp_path / "net.cfg"
    cfg.write_text(cfg_text(conv(1 << 20), conv(1 << 20), height=16, width=16))
    _, path = write_network(tmp_path, tiny(), name="other")
    with pytest.raises(ExportError, match="must hold 395"):
        read_weights(path, network_layers(read_cfg(cfg)))


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "finite numbers, got NaN or infinity in layer 0"), (-1.0, "variances of at least 0")],
)
def test_numbers_no_network_can_have_are_an_error(tmp_path: Path, value: float, message: str) -> None:
    cfg, path = write_network(tmp_path, tiny())
    layers = network_layers(read_cfg(cfg))
    assert isinstance(layers[0], Convolutional)
    content = bytearray(path.read_bytes())
    variance = 20 + 4 * 3 * layers[0].filters
    content[variance : variance + 4] = np.array([value], "<f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(ExportError, match=message):
        read_weights(path, layers)
