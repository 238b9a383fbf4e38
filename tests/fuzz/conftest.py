"""How long: a few fixed examples in the suite; for FUZZ_SECONDS together, with new ones each time, in `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.configuration import set_hypothesis_home_dir

from places import REPOSITORY

SECONDS = float(os.environ.get("FUZZ_SECONDS") or 0)

set_hypothesis_home_dir(REPOSITORY / "build/hypothesis")
settings.register_profile(
    "suite",
    # Explained and shrunk is what somebody looks at, in `make fuzz`; here everything repeats.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("fuzz", settings.get_profile("suite"), max_examples=100, derandomize=False)
settings.load_profile("fuzz" if SECONDS else "suite")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """In `make fuzz`, run it again and again until its share of the time is over."""
    if not SECONDS or not _is_fuzz(pyfuncitem):
        return (yield)
    end = monotonic() + SECONDS / sum(map(_is_fuzz, pyfuncitem.session.items))
    result = yield
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    while monotonic() < end:
        pyfuncitem.obj(**arguments)
    return result


def _is_fuzz(item: pytest.Item) -> bool:
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))
