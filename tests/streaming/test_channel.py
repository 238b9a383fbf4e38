"""What threads hand to each other."""

from __future__ import annotations

import threading
import time

import pytest

from fastyolo.streaming.channel import Channel, Newest


def test_nothing_is_lost_and_the_sender_waits() -> None:
    channel: Channel[int] = Channel(2)
    sent = []

    def send() -> None:
        for number in range(20):
            channel.put(number)
            sent.append(number)
        channel.finish()

    thread = threading.Thread(target=send)
    thread.start()
    received = iter(channel)
    assert next(received) == 0
    time.sleep(0.02)
    assert len(sent) <= 3
    assert list(received) == list(range(1, 20))
    assert channel.dropped == 0
    thread.join()


def test_only_the_newest_waits() -> None:
    channel: Newest[int] = Newest()
    for number in range(5):
        assert channel.put(number)
    channel.finish()
    assert list(channel) == [4]
    assert channel.dropped == 4


@pytest.mark.parametrize("channel", [Channel(3), Newest()])
def test_an_error_comes_after_what_was_sent(channel: Channel[int] | Newest[int]) -> None:
    channel.put(1)
    channel.finish(ValueError("broke"))
    assert next(channel) == 1
    with pytest.raises(ValueError, match="broke"):
        next(channel)
    with pytest.raises(ValueError, match="broke"):
        next(channel)


@pytest.mark.parametrize("empty", [Channel(3), Newest()])
def test_closing_frees_both_ends(empty: Channel[int] | Newest[int]) -> None:
    full: Channel[int] = Channel(1)
    full.put(0)
    results: list[object] = []
    threads = [
        threading.Thread(target=lambda: results.append(full.put(1))),
        threading.Thread(target=lambda: results.append(list(empty))),
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    full.close()
    empty.close()
    for thread in threads:
        thread.join(1)
    assert sorted(map(str, results)) == ["False", "[]"]
    assert not full.put(2)
    assert not full.put(3)
    assert not empty.put(2)
    assert list(full) == list(empty) == []
