"""Memory that is given back only when nobody looks at it."""

from __future__ import annotations

import gc

import numpy as np

from fastyolo.sources.lending import Lender


def test_it_closes_when_the_last_view_is_gone() -> None:
    said: list[str] = []

    class Packet:
        def __del__(self) -> None:
            said.append("packet")

    lender = Lender(lambda: said.append("closed"))
    loan = lender.lend(Packet())
    waiting = lender.lend(Packet())
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2]
    view = loan.view(array)
    assert np.array_equal(view, array)
    assert view.ctypes.data == array.ctypes.data
    part = view[1:]
    del loan, view
    lender.close()
    lender.close()
    assert said == []
    del waiting
    assert said == ["packet"]
    del part
    gc.collect()
    assert said == ["packet", "packet", "closed"]


def test_it_closes_at_once_when_nothing_is_lent() -> None:
    said: list[str] = []
    lender = Lender(lambda: said.append("closed"))
    lender.lend(1)
    lender.close()
    assert said == ["closed"]
