"""The kinds of networks that people train with Darknet, each made narrow: the layers and joins of the real ones."""

from __future__ import annotations

from collections.abc import Callable

from darknet_networks import cfg_text, conv, head, pool, tiny, yolov3_tiny, yolov4_tiny, yolov4_tiny_3l

CLASSES = 3


class Cfg:
    """Layers one after the other; every method returns the index of the last."""

    def __init__(self) -> None:
        self.layers: list[str] = []

    def add(self, *layers: str) -> int:
        self.layers += layers
        return len(self.layers) - 1

    def conv(self, filters: int, size: int = 3, stride: int = 1, act: str = "leaky", groups: int = 1) -> int:
        return self.add(conv(filters, size, stride, act) + (f"groups={groups}\n" if groups > 1 else ""))

    def route(self, *layers: int) -> int:
        return self.add(f"[route]\nlayers={','.join(map(str, layers))}\n")

    def shortcut(self, *layers: int, act: str = "linear") -> int:
        return self.add(f"[shortcut]\nfrom={','.join(map(str, layers))}\nactivation={act}\n")

    def yolo(self, mask: str, *, more: str = "", act: str = "linear") -> int:
        text = head(mask, CLASSES, more=more).replace("activation=linear", f"activation={act}")
        convolution, yolo = text.split("[yolo]")
        return self.add(convolution, f"[yolo]{yolo}")

    def up(self, filters: int, layer: int, act: str = "leaky") -> int:
        self.route(layer)
        self.conv(filters, 1, act=act)
        return self.add("[upsample]\nstride=2\n")

    def residual(self, filters: int, count: int, act: str = "leaky") -> int:
        for _ in range(count):
            self.conv(filters // 2, 1, act=act)
            self.conv(filters, 3, act=act)
            self.shortcut(-3)
        return len(self.layers) - 1

    def text(self, height: int = 96, width: int = 96) -> str:
        return cfg_text(*self.layers, height=height, width=width)


def darknet53(pyramid: bool, act: str = "leaky") -> str:
    """yolov3, and with `pyramid` yolov3-spp: residual blocks, three heads."""
    net = Cfg()
    net.conv(8, act=act)
    outputs = []
    for filters, count in ((8, 1), (16, 2), (16, 2), (24, 2), (32, 1)):
        net.conv(filters, 3, 2, act)
        outputs.append(net.residual(filters, count, act))
    last = net.conv(16, 1)
    if pyramid:
        parts = [last]
        for size in (5, 9, 13):
            net.route(last)
            parts.append(net.add(pool(size, 1)))
        net.route(*reversed(parts))
        last = net.conv(16, 1)
    net.conv(32)
    net.yolo("4,5")
    for mask, before in (("2,3", outputs[3]), ("0,1", outputs[2])):
        net.route(net.up(8, last), before)
        last = net.conv(16, 1)
        net.conv(32)
        net.yolo(mask)
    return net.text()


def csp(act: str, *, scaled: bool = False, attention: bool = False) -> str:
    """yolov4: cross-stage partial blocks, a pyramid of pools, a path up and down; `scaled` ends in logistic heads."""
    net = Cfg()
    net.conv(8, act=act)
    outputs = []
    for filters in (8, 16, 24):
        split = net.conv(filters, 3, 2, act)
        side = net.conv(filters // 2, 1, act=act)
        net.route(split)
        net.conv(filters // 2, 1, act=act)
        net.residual(filters // 2, 2, act)
        deep = net.conv(filters // 2, 1, act=act)
        net.route(deep, side)
        outputs.append(net.conv(filters, 1, act=act))
    parts = [net.conv(12, 1)]
    for size in (5, 9):
        net.route(parts[0])
        parts.append(net.add(pool(size, 1)))
    net.route(*reversed(parts))
    bottom = net.conv(12, 1)
    if attention:
        net.conv(12, 1, act="logistic")
        bottom = net.add(f"[sam]\nfrom={bottom}\n")
    up = net.up(8, bottom)
    net.route(outputs[1])
    net.conv(8, 1)
    net.route(-1, up)
    middle = net.conv(8, 1)
    more = "scale_x_y=2.0\nnew_coords=1\n" if scaled else "scale_x_y=1.1\nnms_kind=greedynms\nbeta_nms=0.6\n"
    net.conv(16)
    net.yolo("0,1,2", more=more, act="logistic" if scaled else "linear")
    net.route(middle)
    net.conv(12, 3, 2)
    net.route(-1, bottom)
    net.conv(16, 1)
    net.yolo("3,4,5", more=more, act="logistic" if scaled else "linear")
    return net.text()


def partial_residual() -> str:
    """yolov3-tiny-prn: shortcuts between different numbers of channels."""
    net = Cfg()
    for filters in (8, 16, 24):
        net.conv(filters)
        net.add(pool(2, 2))
    fine = net.conv(32)
    net.add(pool(2, 2))
    net.conv(48)
    coarse = net.conv(24, 1)
    net.conv(32, 3, act="leaky")
    net.shortcut(coarse, act="leaky")
    bottom = net.conv(20, 1)
    net.yolo("3,4,5")
    net.up(24, bottom)
    net.shortcut(fine, act="leaky")
    net.conv(20)
    net.shortcut(-3)  # OpenCV takes the first of several
    net.yolo("0,1,2")
    return net.text(96, 128)


def elan(act: str) -> str:
    """yolov7-tiny: layers gathered from along the way, pools side by side."""
    net = Cfg()
    net.conv(8, 3, 2, act)
    net.conv(16, 3, 2, act)
    outputs = []
    for filters in (8, 12, 16):
        first = net.conv(filters, 1, act=act)
        net.route(-2)
        second = net.conv(filters, 1, act=act)
        third = net.conv(filters, act=act)
        fourth = net.conv(filters, act=act)
        net.route(fourth, third, second, first)
        outputs.append(net.conv(2 * filters, 1, act=act))
        if filters < 16:
            net.add(pool(2, 2))
    net.route(net.up(12, outputs[2], act), outputs[1])
    net.conv(16, act=act)
    net.yolo("0,1,2", more="scale_x_y=2.0\nnew_coords=1\n", act="logistic")
    net.route(outputs[2])
    net.conv(16, act=act)
    net.yolo("3,4,5", more="scale_x_y=2.0\nnew_coords=1\n", act="logistic")
    return net.text(128, 96)


def depthwise(act: str, *, excited: bool = False, multiplier: int = 1) -> str:
    """Yolo-Fastest and others on MobileNet's blocks; `excited` has squeeze and excitation, as EfficientNet's have."""
    net = Cfg()
    net.conv(8, 3, 2, act)
    last = net.conv(8, 1, act="linear")
    outputs = []
    for width, strides in ((8, (1, 2)), (12, (1, 2)), (16, (1, 2, 1))):
        for stride in strides:
            net.conv(3 * width, 1, act=act)
            wide = net.conv(3 * width * multiplier, 3, stride, act, groups=3 * width)
            if excited:
                net.add("[avgpool]\n")
                net.conv(4, 1, act=act)
                net.conv(3 * width * multiplier, 1, act="logistic")
                net.add(f"[scale_channels]\nfrom={wide}\n")
            narrow = net.conv(width, 1, act="linear")
            if stride == 1:
                net.add("[dropout]\nprobability=.15\n")
                narrow = net.shortcut(last)
            last = narrow
        outputs.append(last)
    net.conv(16, 5, 1, act, groups=16)
    bottom = net.conv(16, 1, act="linear")
    net.yolo("3,4,5")
    net.route(bottom)
    net.add("[upsample]\nstride=2\n")
    net.route(-1, outputs[1])
    net.conv(28, 5, 1, act, groups=28)
    net.yolo("0,1,2")
    return net.text()


def resnext(act: str) -> str:
    """csresnext50: residual blocks whose 3x3 convolution has groups, halves of the channels carried around them."""
    net = Cfg()
    net.conv(16, 7, 2, act)
    net.add(pool(2, 2))
    for filters, stride in ((16, 1), (24, 2), (32, 2)):
        entry = net.conv(filters, 1, stride, act)
        side = net.conv(filters, 1, act=act)
        net.route(entry)
        net.conv(filters, 1, act=act)
        for _ in range(2):
            net.conv(filters, 1, act=act)
            net.conv(filters, 3, 1, act, groups=8)
            net.conv(filters, 1, act="linear")
            net.shortcut(-4, act="leaky" if act == "leaky" else "linear")
        deep = net.conv(filters, 1, act=act)
        net.route(deep, side)
        net.conv(filters, 1, act=act)
    net.conv(32)
    net.yolo("0,1,2,3,4,5")
    return net.text()


def faces() -> str:
    """The 50 kB kind that finds faces: few filters, pools of stride 1, one class of several anchors."""
    net = Cfg()
    for filters in (4, 8, 8):
        net.conv(filters, 3, 2, "relu")
        net.conv(filters, 3, 1, "relu", groups=filters)
        net.conv(filters, 1, act="relu")
    net.add(pool(2, 1))
    last = net.conv(12, 3, act="relu")
    net.yolo("0,1,2")
    net.route(last)
    net.conv(12, 3, 2, "relu")
    net.yolo("3,4,5", more="scale_x_y=1.05")
    return net.text(72 * 2, 96 * 2)


FAMILIES: dict[str, Callable[[], str]] = {
    "yolov4-tiny": lambda: yolov4_tiny(128, 160, CLASSES),
    "yolov4-tiny-3l": lambda: yolov4_tiny_3l(96, 96, CLASSES),
    "yolov3-tiny": lambda: yolov3_tiny(128, 96, CLASSES, 4),
    "tiny": lambda: tiny(96, 128, CLASSES),
    "yolov3": lambda: darknet53(pyramid=False),
    "yolov3-spp": lambda: darknet53(pyramid=True),
    "yolov3, swish": lambda: darknet53(pyramid=False, act="swish"),
    "yolov4": lambda: csp("mish"),
    "yolov4, leaky": lambda: csp("leaky"),
    "yolov4-csp": lambda: csp("mish", scaled=True),
    "yolov4-csp, swish": lambda: csp("swish", scaled=True),
    "yolov4-sam-mish": lambda: csp("mish", attention=True),
    "yolov3-tiny-prn": partial_residual,
    "yolov7-tiny": lambda: elan("leaky"),
    "yolov7-tiny, swish": lambda: elan("swish"),
    "yolo-fastest": lambda: depthwise("leaky"),
    "mobilenet": lambda: depthwise("relu", multiplier=2),
    "enet-coco": lambda: depthwise("swish", excited=True),
    "csresnext50-panet": lambda: resnext("leaky"),
    "csresnext50, swish": lambda: resnext("swish"),
    "faces": faces,
}
"""By name, what makes the text of each .cfg; OpenCV loads all of them."""
