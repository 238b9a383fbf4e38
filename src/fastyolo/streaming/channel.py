"""What one thread hands to the next: a bounded queue that makes its sender wait, and a place for the newest item."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_END: Any = object()


class Channel(Iterator[T]):
    """From one sending to one receiving thread, which iterates over it. Nothing is lost.

    Two of Python's own queues, of items and of free places: conditions made of Python code would cost a network of ten
    milliseconds two per cent. Not a generator, which would hold an item until its receiver comes back.

    Args:
        size: how many items may wait.
        by_hand: an item keeps its place until its receiver calls `free`, for one who must not be disturbed before.
    """

    def __init__(self, size: int, *, by_hand: bool = False) -> None:
        self._by_hand = by_hand
        self._items: SimpleQueue[T] = SimpleQueue()
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._places.put(None)
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Hand an item over. False: nobody wants any more."""
        self._places.get()
        if self._closed:
            self._places.put(None)
            return False
        self._items.put(item)
        return True

    def finish(self, error: BaseException | None = None) -> None:
        """There is no more: what waits is still received, then the end, or this error."""
        self._error = error
        self._items.put(_END)

    def close(self) -> None:
        """Drop what waits and refuse the rest; whoever waits at either end goes on. From any thread."""
        self._closed = True
        try:
            while True:
                self._items.get_nowait()
        except Empty:
            pass
        self._items.put(_END)
        self._places.put(None)

    def __next__(self) -> T:
        item = self._items.get()
        if item is _END or self._closed:
            self._items.put(_END)  # for whoever asks again
            if self._error is not None and not self._closed:
                raise self._error
            raise StopIteration
        if not self._by_hand:
            self.free()
        return item

    def free(self) -> None:
        """Give the place of the last item to the sender, who then goes on."""
        self._places.put(None)


class Newest(Iterator[T]):
    """The same with room for one item, which a newer one replaces; `dropped` counts those that were."""

    def __init__(self) -> None:
        self._item: T = _END
        self._changed = threading.Condition()
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Hand an item over. False: nobody wants any more."""
        with self._changed:
            if self._closed:
                return False
            self.dropped += self._item is not _END
            self._item = item
            self._changed.notify()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """There is no more: what waits is still received, then the end, or this error."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Drop what waits and refuse the rest; whoever waits goes on. From any thread."""
        with self._changed:
            self._closed = True
            self._item = _END
            self._changed.notify_all()

    def __next__(self) -> T:
        with self._changed:
            while self._item is _END and not (self._finished or self._closed):
                self._changed.wait()
            item, self._item = self._item, _END
            if item is not _END:
                return item
            if self._error is not None and not self._closed:
                raise self._error
            raise StopIteration
