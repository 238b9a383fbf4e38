"""A device's first inference: it may compile the graph for tens of seconds, and leave it for the next start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from fastyolo.runtime.devices import Delegate, Device

if TYPE_CHECKING:
    from fastyolo.runtime.graph_cache import CachedGraph

NOTICE_SECONDS = 2.0
"""Every so many seconds of the first inference `notice` is called with how long it has taken."""


class FirstRun:
    """Around the first inference: with it running, `notice` is told the seconds; after it the graph is kept."""

    def __init__(self, delegate: Delegate, graph: CachedGraph | None) -> None:
        self.delegate = delegate
        self.notice: Callable[[float], None] | None = None
        self.graph = graph
        self._over = threading.Event()

    @classmethod
    def of(cls, model: str, device: Device, graph_cache: bool) -> FirstRun:
        assert device.delegate is not None
        graph = None
        if device.kind == "vx" and graph_cache:
            # Not imported for any other device.
            from fastyolo.runtime.graph_cache import cached_graph

            graph = cached_graph(model, device.delegate)
        return cls(graph.delegate if graph is not None else device.delegate, graph)

    def refused(self) -> None:
        """The delegate did not take the model, which a kept graph may be the reason for."""
        if self.graph is not None:
            self.graph.finish(succeeded=False)

    def __enter__(self) -> None:
        if self.notice is not None:
            threading.Thread(target=self._tell, args=(self.notice,), daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._over.set()
        if self.graph is not None:
            self.graph.finish(succeeded=kind is None)

    def _tell(self, notice: Callable[[float], None]) -> None:
        start = monotonic()
        while not self._over.wait(NOTICE_SECONDS):
            notice(monotonic() - start)
