"""What a device's name stands for on this machine: which chip this is, which delegate library, which device nodes.

File names and nodes are those of NXP's BSPs and of Mesa. `root` is where the file system begins, for tests.
"""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass, field
from glob import glob
from typing import NamedTuple

from fastyolo.errors import OptionError, RuntimeUnavailableError
from fastyolo.texts import brief, printable, shortened


class Delegate(NamedTuple):
    """An external delegate: a shared library that takes over operators, and its options."""

    library: str
    options: dict[str, str]


class Npu(NamedTuple):
    """One way to an NPU: its delegate, the nodes of its driver, what brings both, and the operator it compiles to."""

    library: str
    nodes: tuple[str, ...]
    cure: str


NPUS = {
    "vx": Npu(
        "libvx_delegate.so",
        ("/dev/galcore",),
        "install NXP's tensorflow-lite-vx-delegate and load the kernel module galcore",
    ),
    "ethosu": Npu(
        "libethosu_delegate.so",
        ("/dev/ethosu0",),
        "install NXP's tensorflow-lite-ethosu-delegate and ethos-u-firmware",
    ),
    "neutron": Npu(
        "libneutron_delegate.so",
        ("/dev/neutron0",),
        "install NXP's packages tensorflow-lite-neutron-delegate and neutron, which has the firmware",
    ),
    "teflon": Npu(
        "libteflon.so",
        ("/dev/accel*", "/dev/accel/accel*", "/dev/dri/renderD*"),
        "install Mesa's mesa-teflon-delegate and a kernel with the NPU's open driver",
    ),
}


class Chip(NamedTuple):
    name: str
    npus: tuple[str, ...]


# By the device tree's word, which soc_id spells in capitals: fsl,imx8mp and i.MX8MP.
CHIPS = {
    "imx8mp": Chip("i.MX 8M Plus", ("vx", "teflon")),
    "imx93": Chip("i.MX 93", ("ethosu",)),
    "imx95": Chip("i.MX 95", ("neutron",)),
}
_FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib", "/usr/lib/aarch64-linux-gnu", "/usr/lib/teflon")
NAMES = ("cpu", "npu", "auto", *NPUS)


@dataclass(frozen=True)
class Device:
    """What runs a model. `kind` is "cpu", a name of `NPUS`, or "delegate"; `why` tells what chose it."""

    kind: str
    delegate: Delegate | None = None
    why: str = ""
    asked: str = field(default="cpu", compare=False)


def find_device(text: str, root: str = "/") -> Device:
    """The device that ``cpu | npu | auto | vx | ethosu | neutron | teflon | LIB.so``, with ``,key=value...``, names.

    Raises:
        OptionError: no such name, or options that are not key=value.
        RuntimeUnavailableError: this machine has no such device; in one line what was looked for, and the cure.
    """
    name, *pairs = text.split(",")
    if "\0" in text:
        raise OptionError(f"device must not hold a NUL character, got {brief(text)}")
    if not (name in NAMES or re.search(r"\.so(\.\d+)*$", name)) or (name == "cpu" and pairs):
        raise OptionError(
            f"device must be {', '.join(NAMES)}, or a delegate library LIB.so[,key=value...], got {brief(text)}"
        )
    options = _options(pairs, text)
    if name == "cpu":
        return Device("cpu", asked=text)
    if name in NPUS:
        library, problem = _look(name, root)
        if problem:
            where = find_chip(root)[0]
            raise RuntimeUnavailableError(f"{name} is not there on this {where}: {problem} ({_looked_in()})")
        return Device(name, Delegate(library, options), "asked for by name", text)
    if name not in NAMES:
        kinds = [kind for kind, npu in NPUS.items() if os.path.basename(name).startswith(npu.library)]
        return Device(kinds[0] if kinds else "delegate", Delegate(name, options), "asked for by path", text)
    try:
        kind, library, why = _npu_of_this_chip(root)
    except RuntimeUnavailableError as error:
        if name == "npu":
            raise
        return Device("cpu", why=str(error), asked=text)
    return Device(kind, Delegate(library, options), why, text)


def find_chip(root: str = "/") -> tuple[str, Chip | None]:
    """What the kernel calls this chip, and what is known of it."""
    said = _text(root, "/sys/devices/soc0/soc_id")
    compatible = _text(root, "/proc/device-tree/compatible").split("\0")
    words = [said.lower().replace(".", ""), *(word.rpartition(",")[2] for word in compatible)]
    for word in words:
        for key, chip in CHIPS.items():
            if re.fullmatch(rf"{key}([^0-9].*)?", word):
                return chip.name, chip
    named = said or next((word for word in reversed(compatible) if word), "")
    return printable(shortened(named, 60)) or f"{os.uname().machine} without a device tree", None


def find_nodes(kind: str, root: str = "/") -> list[str]:
    """The device nodes of an NPU's driver that are there."""
    return sorted(found for pattern in NPUS[kind].nodes for found in glob(_under(root, pattern)))


def find_library(kind: str, root: str = "/") -> str | None:
    """Where an NPU's delegate lies: in the BSP's folders and the loader's, else by name where the loader knows it."""
    name = NPUS[kind].library
    wanted = os.environ.get("LD_LIBRARY_PATH", "").split(":") if root == "/" else []
    for folder in (*filter(None, wanted), *(_under(root, folder) for folder in (*_FOLDERS, *_loader_folders(root)))):
        # A development link may be left out: libx.so.1 is what a runtime package holds.
        for path in (os.path.join(folder, name), *sorted(glob(os.path.join(folder, f"{name}.*")))):
            if os.path.isfile(path):
                return path
    if root != "/":
        return None
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    return name


def _npu_of_this_chip(root: str) -> tuple[str, str, str]:
    """(kind, library, why) of the chip's NPU."""
    name, chip = find_chip(root)
    if chip is None:
        looked = ", ".join(npu.library for npu in NPUS.values())
        known = ", ".join(chip.name for chip in CHIPS.values())
        raise RuntimeUnavailableError(
            f"no NPU: this is {name}, and NPUs are known of {known} ({looked}); name a delegate's library, or run on "
            f"--device cpu"
        )
    problems = []
    for kind in chip.npus:
        library, problem = _look(kind, root)
        if not problem:
            return kind, library, f"the NPU of the {name}"
        problems.append(f"{kind}: {problem}" if len(chip.npus) > 1 else problem)
    raise RuntimeUnavailableError(f"no NPU on this {name}: {'; or '.join(problems)} ({_looked_in()})")


def _look(kind: str, root: str) -> tuple[str, str]:
    """The library of an NPU whose driver is there too, and open to this user; else what is missing, and the cure."""
    npu, library, nodes = NPUS[kind], find_library(kind, root), find_nodes(kind, root)
    missing = []
    if library is None:
        missing.append(f"no {npu.library}")
    if not nodes:
        missing.append(f"no device node {' or '.join(npu.nodes)}")
    if missing or library is None:
        return "", f"{' and '.join(missing)}; {npu.cure}"
    if not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return "", _closed(nodes[0])
    return library, ""


def _looked_in() -> str:
    return f"looked in {', '.join(_FOLDERS)}, and where the loader does"


def _closed(node: str) -> str:
    import grp

    try:
        group = grp.getgrgid(os.stat(node).st_gid).gr_name
    except (OSError, KeyError):
        group = ""
    cure = f"add the user to its group: usermod -aG {group} USER" if group not in ("", "root") else "run as root"
    return f"this user may not open {node}; {cure}, or give the node a group with a udev rule"


def _options(pairs: list[str], text: str) -> dict[str, str]:
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise OptionError(f"delegate options must be key=value, got {brief(pair)} in device {brief(text)}")
        if key in options:
            raise OptionError(f"delegate option {brief(key)} is given twice in device {brief(text)}")
        try:
            pair.encode()
        except UnicodeEncodeError:
            raise OptionError(f"delegate options must be UTF-8, got {brief(pair)}") from None
        options[key] = value
    return options


def _loader_folders(root: str) -> list[str]:
    folders = []
    for path in sorted(glob(_under(root, "/etc/ld.so.conf.d/*.conf"))):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                folders += [line.strip() for line in file if line.startswith("/")]
        except OSError:
            continue
    return folders


def _text(root: str, path: str) -> str:
    try:
        with open(_under(root, path), "rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip("\0\n ")
    except OSError:
        return ""


def _under(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))
