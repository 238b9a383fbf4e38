"""What one thread hands to the next: a bounded queue that either waits for its receiver or keeps only the newest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


class Channel(Iterator[T]):
    """From one sending to one receiving thread. The receiver iterates over it.

    Args:
        size: how many items may wait.
        newest: when it is full, drop the oldest item instead of making the sender wait.
    """

    def __init__(self, size: int, *, newest: bool = False) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._newest = newest
        self._changed = threading.Condition()
        self._finished = False
        self._closed = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Hand an item over. False: nobody wants any more."""
        with self._changed:
            while len(self._items) >= self._size and not self._closed:
                if self._newest:
                    self._items.popleft()
                    self.dropped += 1
                else:
                    self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """There is no more: what waits is still received, then the end, or this error."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Drop what waits and refuse the rest; whoever waits at either end goes on. From any thread."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        # Not a generator, which would hold an item for as long as its receiver does not come back.
        with self._changed:
            while not (self._items or self._finished or self._closed):
                self._changed.wait()
            if not self._items:
                if self._error is not None and not self._closed:
                    raise self._error
                raise StopIteration
            item = self._items.popleft()
            self._changed.notify()
            return item
