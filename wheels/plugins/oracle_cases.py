"""A pytest plugin: lets the emulated kernel meet cases that this machine's oracle drew and judged.

The oracle is plain NumPy; emulated, it takes a quarter of an hour. So kernels/test_decode_oracle.py runs here first,
where every case is recorded with what it expects, and there each test gets the cases recorded under its name.
$FASTYOLO_ORACLE_CASES is the file: written where it does not exist, else read.
"""

from __future__ import annotations

import os
import pickle
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FILE = Path(os.environ["FASTYOLO_ORACLE_CASES"])
RECORDING = not FILE.exists()
_recorded: dict[str, list[Any]] = defaultdict(list)


@pytest.fixture(autouse=True)
def cases_of_this_machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.module.__name__ != "test_decode_oracle":
        yield
        return
    build_case = request.module.build_case
    name = request.node.nodeid
    left = iter(() if RECORDING else _load()[name])

    def recorded(*arguments: Any, **options: Any) -> Any:
        if RECORDING:
            _recorded[name].append(build_case(*arguments, **options))
            return _recorded[name][-1]
        return next(left)

    monkeypatch.setattr(request.module, "build_case", recorded)
    yield
    assert next(left, None) is None, "the test took fewer cases than were recorded for it"


@cache
def _load() -> dict[str, list[Any]]:
    # A test that draws no case of this kind has none.
    return defaultdict(list, pickle.loads(FILE.read_bytes()))


def pytest_sessionfinish(exitstatus: int) -> None:
    if RECORDING and exitstatus == 0:
        FILE.write_bytes(pickle.dumps(dict(_recorded)))
