"""What an ELF library says about itself, and what Pythons offer to it."""

from __future__ import annotations

import io
import re
from functools import cache

import abi3info
from abi3info.models import PyVersion
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection
from tools import Python

MACHINES = {"EM_AARCH64": "aarch64", "EM_X86_64": "x86_64"}
_PYTHON_SYMBOL = re.compile(r"_?Py[A-Z_]")


class Library:
    """One shared library: what it is for, and what it needs."""

    def __init__(self, content: bytes) -> None:
        elf = ELFFile(io.BytesIO(content))
        self.machine = MACHINES.get(elf["e_machine"], elf["e_machine"])
        self.needed = {
            tag.needed
            for section in elf.iter_sections()
            if isinstance(section, DynamicSection)
            for tag in section.iter_tags()
            if tag.entry.d_tag == "DT_NEEDED"
        }
        self.debug_sections = [
            section.name
            for section in elf.iter_sections()
            if section.name == ".symtab" or section.name.startswith(".debug")
        ]
        undefined = _undefined(elf)
        self.python_symbols = {name for name in undefined if _PYTHON_SYMBOL.match(name)}
        self.glibc_symbols = {
            name: _numbers(version) for name, version in undefined.items() if version and version.startswith("GLIBC_2")
        }
        self.unversioned = {name for name, version in undefined.items() if not version} - self.python_symbols


@cache
def exported_api(python: Python) -> frozenset[str]:
    """What this Python, or its shared library, exports of the C API."""
    with open(python.symbols_in, "rb") as file:
        table = ELFFile(file).get_section_by_name(".dynsym")
        names = {symbol.name for symbol in table.iter_symbols() if symbol["st_shndx"] != "SHN_UNDEF"}
    return frozenset(name for name in names if _PYTHON_SYMBOL.match(name))


@cache
def stable_api(version: tuple[int, int]) -> frozenset[str]:
    """What the stable ABI has since this Python or longer."""
    limit = PyVersion(*version)
    known = [*abi3info.FUNCTIONS.values(), *abi3info.DATAS.values()]
    return frozenset(entry.symbol.name for entry in known if entry.added <= limit)


def _undefined(elf: ELFFile) -> dict[str, str | None]:
    """Every symbol that another library must define, and the version it must have there; no weak ones."""
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    versions = _needed_versions(elf)
    numbers = next((s for s in elf.iter_sections() if isinstance(s, GNUVerSymSection)), None)
    result = {}
    for index, symbol in enumerate(table.iter_symbols()):
        if symbol.name and symbol["st_shndx"] == "SHN_UNDEF" and symbol["st_info"]["bind"] != "STB_WEAK":
            number = numbers.get_symbol(index)["ndx"] if numbers else None
            result[symbol.name] = versions.get(number)
    return result


def _needed_versions(elf: ELFFile) -> dict[object, str]:
    return {
        auxiliary["vna_other"]: auxiliary.name
        for section in elf.iter_sections()
        if isinstance(section, GNUVerNeedSection)
        for _, auxiliaries in section.iter_versions()
        for auxiliary in auxiliaries
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.removeprefix("GLIBC_").split("."))
