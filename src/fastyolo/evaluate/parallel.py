"""How many pictures are run on every core at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import TypeVar

from fastyolo.errors import EvaluationError, FastYoloError
from fastyolo.evaluate.scoring import Progress
from fastyolo.evaluate.truth import Picture
from fastyolo.files import shown
from fastyolo.runtime.session import check_threads

T = TypeVar("T")
W = TypeVar("W")


def open_workers(
    build: Callable[[int], W], pictures: int, *, device: str = "cpu", threads: int | None = None
) -> list[W]:
    """Call build(cores) once for every core to use; each worker serves one picture at a time.

    Interpreters of one core each run more pictures a second than one interpreter of many cores, and the numbers do not
    depend on how many there are. Threads suffice: the runtimes and the kernels let go of Python's lock. On a delegate
    there is one worker: the accelerator is there once, and preparing a model for it may take a minute.

    Raises:
        OptionError: `threads` is not a number of threads.
    """
    cores = check_threads(threads)
    if device != "cpu":
        return [build(cores)]
    workers = [build(1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the first one has said it
        return workers + [build(1) for _ in range(min(cores, pictures) - 1)]


def over_pictures(
    workers: Sequence[Callable[[Path], T]], pictures: Sequence[Picture], progress: Progress | None, stop: Event | None
) -> dict[int, T]:
    """What the workers make of each picture, by its id; of those that were done when `stop` was set.

    Raises:
        EvaluationError: a picture cannot be used; the first such one, whatever the number of workers.
    """
    idle: SimpleQueue[Callable[[Path], T]] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run(picture: Picture) -> T:
        worker = idle.get()
        try:
            return worker(picture.path)
        except FastYoloError as error:
            raise EvaluationError(f"cannot score {shown(picture.name)}: {error}") from None
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers)) as executor:
        futures = [executor.submit(run, picture) for picture in pictures]
        try:
            _wait(futures, progress, stop)
        finally:
            # Pictures begin in order, so all before the one that failed have begun, and will end.
            executor.shutdown(cancel_futures=True)
    return {
        picture.id: future.result() for picture, future in zip(pictures, futures, strict=True) if not future.cancelled()
    }


def _wait(futures: Sequence[Future[T]], progress: Progress | None, stop: Event | None) -> None:
    """Until all are done, one has failed, or `stop` is set."""
    for done, future in enumerate(as_completed(futures), 1):
        if future.exception() is not None or (stop is not None and stop.is_set()):
            return
        if progress is not None:
            progress("detecting", done, len(futures))
