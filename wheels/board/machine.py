"""An emulated i.MX 8M Plus EVK: Debian's kernel and user land on QEMU's machine imx8mp-evk, with cameras by vivid."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tools import REPOSITORY, program

sys.path.append(str(REPOSITORY / "wheels/aarch64"))
from sysroot import unpacked

BUILD = REPOSITORY / "build/board"
PACKAGES = ["busybox-static", "bash", "v4l-utils", "python3", "libstdc++6"]
# The SD card's drivers, its file system, and the virtual cameras.
MODULES = ("crc32c_generic", "sdhci-esdhc-imx", "ext4", "vivid")
CARD_BYTES = 1 << 30
"""QEMU takes only powers of two."""

INIT = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do
    case $module in vivid.ko) insmod /modules/$module n_devs=1;; *) insmod /modules/$module;; esac
done
for try in 1 2 3 4 5 6 7 8 9; do card=$(ls /dev/mmcblk? 2>/dev/null) && break; sleep 1; done
mount -t ext4 $card /root
for folder in proc sys dev; do mount --move /$folder /root/$folder; done
exec switch_root /root /opt/main
"""

MAIN = """#!/bin/bash
export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/root PYTHONPATH=/opt/fastyolo PYTHONDONTWRITEBYTECODE=1
busybox mount -t tmpfs tmp /tmp
cd /tmp && python3 -u /opt/on_board.py
echo "=== off"
busybox poweroff -f
"""


def site_packages(wheel: Path) -> Path:
    """The wheel with what it needs on a board with Python 3.11, fetched once for each wheel."""
    folder = BUILD / "site-packages"
    done = folder / ".wheel"
    identity = f"{wheel.name} {wheel.stat().st_size} {wheel.stat().st_mtime_ns}"
    if done.is_file() and done.read_text() == identity:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    platforms = [f"--platform=manylinux{name}_aarch64" for name in ("2014", "_2_17", "_2_27", "_2_28", "_2_34")]
    target = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *platforms, f"--target={folder}"]
    # pip on a PC chooses the runtime for a PC, so the board's is named.
    needed = [f"{wheel}[video]", "numpy<2", "tflite-runtime"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-warn-conflicts", "--no-compile", *target, *needed],
        check=True,
    )
    done.write_text(identity)
    return folder


def card(wheel: Path, files: dict[str, Path]) -> Path:
    """The SD card's image: user land, the wheel, and `files` in /opt."""
    root = BUILD / "card"
    shutil.rmtree(root, ignore_errors=True)
    base = unpacked(BUILD / "root", "bookworm", "arm64", PACKAGES)
    # Linked, not copied: it is only read.
    subprocess.run(["cp", "-al", base, root], check=True)
    shutil.rmtree(root / ".apt", ignore_errors=True)
    for name in ("proc", "sys", "dev", "tmp", "root", "opt"):
        (root / name).mkdir(exist_ok=True)
    subprocess.run(["cp", "-al", site_packages(wheel), root / "opt/fastyolo"], check=True)
    # Mesa's delegate for NPUs, with its own release's libraries around it.
    teflon = unpacked(BUILD / "teflon", "trixie", "arm64", ["mesa-teflon-delegate"])
    subprocess.run(["cp", "-al", teflon, root / "opt/teflon"], check=True)
    shutil.rmtree(root / "opt/teflon/.apt", ignore_errors=True)
    for name, path in files.items():
        shutil.copy(path, root / "opt" / name)
    (root / "opt/main").write_text(MAIN)
    (root / "opt/main").chmod(0o755)
    image = BUILD / "card.img"
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(CARD_BYTES)
    program("mkfs.ext4", "e2fsprogs")
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", root, image], check=True)
    return image


def kernel() -> tuple[Path, Path, Path]:
    """Debian's kernel, the board's device tree, and the folder with the modules."""
    root = unpacked(BUILD / "kernel", "trixie", "arm64", ["linux-image-arm64"])
    (image,) = root.glob("boot/vmlinuz-*")
    version = image.name.removeprefix("vmlinuz-")
    tree = root / f"usr/lib/linux-image-{version}/freescale/imx8mp-evk.dtb"
    return image, tree, root / f"usr/lib/modules/{version}"


def initial_ramdisk() -> Path:
    """What finds the card: busybox, and the modules in an order in which they load."""
    modules = _in_order(kernel()[2], MODULES)
    busybox = unpacked(BUILD / "root", "bookworm", "arm64", PACKAGES) / "usr/bin/busybox"
    content: dict[str, bytes | str | None] = dict.fromkeys(("bin", "dev", "proc", "sys", "root", "modules"))
    content |= {"bin/busybox": busybox.read_bytes(), "bin/sh": "busybox", "init": INIT.encode()}
    content |= {f"modules/{name}": module for name, module in modules.items()}
    content["modules/order"] = "\n".join(modules).encode()
    path = BUILD / "initrd.gz"
    path.write_bytes(gzip.compress(_cpio(content), 1))
    return path


def run(image: Path, log: Path, seconds: float) -> str:
    """Boot, wait until the board has switched itself off; what it printed."""
    root = unpacked(BUILD / "qemu", "trixie", "amd64", ["qemu-system-arm"])
    linux, tree, _ = kernel()
    loader = root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = [loader, "--library-path", f"{libraries}:{root / 'usr/lib'}", root / "usr/bin/qemu-system-aarch64"]
    command += ["-L", root / "usr/share/qemu", "-M", "imx8mp-evk", "-smp", "4", "-m", "3G"]
    command += ["-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none"]
    # The console is the second serial port, the card the third slot.
    command += ["-serial", "null", "-serial", f"file:{log}", "-serial", "null", "-serial", "null"]
    command += ["-kernel", linux, "-initrd", initial_ramdisk(), "-dtb", tree, "-append", "console=ttymxc1 loglevel=4"]
    command += ["-drive", f"file={image},if=sd,bus=2,format=raw"]
    log.write_bytes(b"")
    process = subprocess.Popen(list(map(str, command)))
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    time.sleep(0.1)
    return log.read_text(errors="replace")


def _in_order(folder: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """File name -> content of these modules and all they depend on, those first on which others depend."""
    paths = {path.name.partition(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        path = paths[name.replace("-", "_")]
        file = f"{path.name.partition('.ko')[0]}.ko"
        if file in found:
            return
        content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for other in needs[1].decode().split(",") if needs and needs[1] else ():
            add(other)
        found[file] = content

    for name in wanted:
        add(name)
    return found


def _cpio(content: dict[str, bytes | str | None]) -> bytes:
    """An archive in the format newc: bytes are files, text is where a link leads, None is a folder."""
    archive = io.BytesIO()

    def entry(number: int, name: str, mode: int, data: bytes) -> None:
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        archive.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
        archive.write(bytes(-archive.tell() % 4) + data)
        archive.write(bytes(-archive.tell() % 4))

    for number, (name, data) in enumerate(content.items(), 1):
        if data is None:
            entry(number, name, 0o040755, b"")
        elif isinstance(data, str):
            entry(number, name, 0o120777, data.encode())
        else:
            entry(number, name, 0o100755, data)
    entry(0, "TRAILER!!!", 0, b"")
    return archive.getvalue()
