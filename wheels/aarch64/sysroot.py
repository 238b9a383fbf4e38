"""Debian packages of any release and architecture, unpacked into a folder. The machine's own are left alone."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools import MissingToolError, program

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpacked(folder: Path, suite: str, architecture: str, packages: Sequence[str], only: str = "") -> Path:
    """`folder`, holding these packages and all they depend on, or of them one file. Fetched once."""
    done = folder / ".complete"
    wanted = f"{suite} {architecture} {' '.join(packages)} {only}\n"
    if done.is_file() and done.read_text() == wanted:
        return folder
    root = folder / "usr"
    (root / "lib").mkdir(parents=True, exist_ok=True)
    # Newer releases have only /usr/lib, older ones also link to it: so one layout serves both.
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).mkdir(exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    for package in _downloaded(folder / ".apt", suite, architecture, packages):
        _run(f"dpkg-deb --fsys-tarfile {package} | tar -x --keep-directory-symlink -C {folder} {only and './' + only}")
    done.write_text(wanted)
    return folder


def _downloaded(private: Path, suite: str, architecture: str, packages: Sequence[str]) -> list[Path]:
    for name in ("etc/preferences.d", "state/lists/partial", "cache/archives/partial"):
        (private / name).mkdir(parents=True, exist_ok=True)
    (private / "status").touch()
    (private / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    settings = {
        "Dir::Etc": private / "etc",
        "Dir::Etc::sourcelist": private / "etc/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": private / "state",
        "Dir::State::status": private / "status",
        "Dir::Cache": private / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Retries": "3",
    }
    apt = " ".join(["apt-get -qq", *(f"-o {key}={value}" for key, value in settings.items())])
    _run(f"{apt} update")
    _run(f"{apt} install --yes --no-install-recommends --download-only {' '.join(packages)}")
    return sorted((private / "cache/archives").glob("*.deb"))


def _mirror() -> str:
    """The one from which this machine itself gets Debian's packages."""
    program("apt-get", "apt, on Debian or a machine with Debian's mirrors configured")
    program("dpkg-deb", "dpkg")
    if not KEYRING.is_file():
        raise MissingToolError(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
    for line in _run("apt-get --print-uris update").splitlines():
        address = line.split("'")[1] if line.startswith("'") else ""
        base, _, rest = address.partition("/dists/")
        if rest.endswith("/InRelease") and base.endswith("/debian"):
            return base
    raise MissingToolError("no Debian mirror among apt's sources: the emulated Pythons are Debian's")


def _run(command: str) -> str:
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    if run.returncode:
        raise MissingToolError(f"{command.split(' -o ')[0]} failed: {run.stderr.strip()[-1000:]}")
    return run.stdout
