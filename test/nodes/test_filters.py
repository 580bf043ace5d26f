"""The drop-in for message_filters' ApproximateTimeSynchronizer, against its plain definition."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.nodes.messages.approximate_time import ApproximateTimeSynchronizer

MS = 1_000_000
START = 1_700_000_000_000_000_000


class Source:
    """A filter as message_filters' SimpleFilter is one: callbacks with extra arguments, called with each message."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Any, tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Any, *args: Any) -> int:
        self.callbacks[len(self.callbacks)] = (cb, args)
        return len(self.callbacks) - 1

    def signalMessage(self, *msg: Any) -> None:
        for cb, args in self.callbacks.values():
            cb(*(msg + args))


def message(stamp_ns: int) -> SimpleNamespace:
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), at=stamp_ns)


def synchroniser(inputs: int, queue_size: int = 100, slop: float = 0.03) -> tuple[list[Source], list[tuple[int, ...]]]:
    """Inputs, and the stamps of the sets that come out."""
    sources = [Source() for _ in range(inputs)]
    found: list[tuple[int, ...]] = []
    ApproximateTimeSynchronizer(sources, queue_size, slop).registerCallback(
        lambda *messages: found.append(tuple(m.at for m in messages))
    )
    return sources, found


def plainly(streams: Sequence[Sequence[int]], slop_ns: int) -> list[tuple[int, ...]]:
    """For each message of the first stream, the nearest unused one of each other, as soon as it is certain."""
    out: list[tuple[int, ...]] = []
    left = [sorted(stream) for stream in streams[1:]]
    for tick in sorted(streams[0]):
        if any(not stream or stream[-1] < tick for stream in left):
            break
        nearest = [min(stream, key=lambda s: (abs(s - tick), s)) for stream in left]
        found = (tick, *nearest)
        if max(found) - min(found) <= slop_ns:
            out.append(found)
            left = [[s for s in stream if s > used] for stream, used in zip(left, nearest, strict=True)]
    return out


def feed(sources: Sequence[Source], streams: Sequence[Sequence[int]], seed: int) -> None:
    """Send every message, each stream in its order, the streams mixed at random."""
    order, queues = random.Random(seed), [list(stream) for stream in streams]
    while any(queues):
        i = order.choice([i for i, queue in enumerate(queues) if queue])
        sources[i].signalMessage(message(queues[i].pop(0)))


steps = st.lists(st.integers(1, 60), max_size=30)
streams_of_any_pace = st.lists(
    st.tuples(st.integers(0, 60), steps).map(
        lambda drawn: [START + MS * (drawn[0] + sum(drawn[1][:k])) for k in range(len(drawn[1]) + 1)]
    ),
    min_size=1,
    max_size=4,
)


@given(streams=streams_of_any_pace, seed=st.integers(), slop_ms=st.integers(0, 80))
@settings(deadline=None, max_examples=300)
def test_sets_are_those_of_the_definition(streams: list[list[int]], seed: int, slop_ms: int) -> None:
    sources, found = synchroniser(len(streams), slop=slop_ms / 1000)
    feed(sources, streams, seed)
    assert found == plainly(streams, slop_ms * MS)


@given(streams=streams_of_any_pace, seed=st.integers())
@settings(deadline=None, max_examples=100)
def test_sets_come_once_and_in_order(streams: list[list[int]], seed: int) -> None:
    sources, found = synchroniser(len(streams), queue_size=5)
    feed(sources, streams, seed)
    for stamps in zip(*found, strict=True):
        assert list(stamps) == sorted(set(stamps))
    assert all(max(one) - min(one) <= 30 * MS for one in found)


def test_equal_stamps_come_out_at_once() -> None:
    sources, found = synchroniser(3, slop=0.0)
    for k in range(20):
        for source in sources:
            assert len(found) == k
            source.signalMessage(message(START + k * 33 * MS))
    assert found == [(START + k * 33 * MS,) * 3 for k in range(20)]


def test_extra_arguments_and_several_callbacks() -> None:
    source, seen = Source(), []
    sync = ApproximateTimeSynchronizer([source], 10, 0.1)
    assert sync.registerCallback(lambda m, word: seen.append((m.at, word)), "one") == 0
    assert sync.registerCallback(lambda m: seen.append(m.at)) == 1
    source.signalMessage(message(START))
    assert seen == [(START, "one"), START]


def test_it_is_a_filter_itself() -> None:
    sources, found = [Source(), Source(), Source()], []
    inner = ApproximateTimeSynchronizer(sources[:2], 10, 0.01)
    first = Source()
    inner.registerCallback(lambda a, b: first.signalMessage(a))
    ApproximateTimeSynchronizer([first, sources[2]], 10, 0.01).registerCallback(lambda a, c: found.append((a.at, c.at)))
    for source in sources:
        source.signalMessage(message(START))
    assert found == [(START, START)]


def test_queues_are_bounded_and_a_dead_input_brings_no_set() -> None:
    sources, found = [Source(), Source()], []
    sync = ApproximateTimeSynchronizer(sources, 7, 0.05)
    sync.registerCallback(lambda *m: found.append(m))
    for k in range(500):
        sources[0].signalMessage(message(START + k * 20 * MS))
        assert len(sync.queues[0]) <= 7
    assert not found
    sources[1].signalMessage(message(START + 499 * 20 * MS))  # back again: what is still there is met
    assert [m[0].at for m in found] == [START + 497 * 20 * MS]  # the first within 50 ms


@pytest.mark.parametrize("lag", [-5, -1, 0, 1, 5])
def test_a_bag_that_begins_again(lag: int) -> None:
    """One input may still be at the end of the bag while another has begun anew."""
    sources, found = synchroniser(2)
    stamps = [START + k * 20 * MS for k in range(100)]
    for k in range(-10, 210):
        for source, at in zip(sources, (k, k - lag), strict=True):
            if 0 <= at < 200:
                source.signalMessage(message((stamps * 2)[at]))
    first, again = found[:-100], found[-100:]
    assert len(first) >= 100 - abs(lag)  # what one input had not met when the other began anew is gone
    assert first == [(s, s) for s in stamps[: len(first)]]
    assert again == [(s, s) for s in stamps]


@pytest.mark.parametrize(
    ("bad", "words"),
    [(SimpleNamespace(data=1), "no header.stamp"), (message(0), "header.stamp is zero")],
)
def test_a_message_without_stamp_is_named_once(caplog: pytest.LogCaptureFixture, bad: Any, words: str) -> None:
    sources, found = synchroniser(2)
    for _ in range(3):
        sources[1].signalMessage(bad)
    for source in sources:
        source.signalMessage(message(START))
    assert found == [(START, START)]
    assert [words in record.getMessage() and "input 1" in record.getMessage() for record in caplog.records] == [True]


def test_a_callback_may_send_on_the_same_inputs() -> None:
    """No lock is held during a callback; what it sends comes out after it, in order."""
    sources, found = [Source(), Source()], []
    sync = ApproximateTimeSynchronizer(sources, 10, 0.01)

    def callback(a: Any, b: Any) -> None:
        if len(found) < 3:
            for source in sources:
                source.signalMessage(message(a.at + 20 * MS))
        found.append(a.at)

    sync.registerCallback(callback)
    for source in sources:
        source.signalMessage(message(START))
    assert found == [START + k * 20 * MS for k in range(4)]


def test_a_callback_that_fails_does_not_stop_the_rest() -> None:
    sources, found = [Source()], []
    sync = ApproximateTimeSynchronizer(sources, 10, 0.01)
    sync.registerCallback(lambda m: found.append(m.at) or 1 / (m.at - START))
    with pytest.raises(ZeroDivisionError):
        sources[0].signalMessage(message(START))
    sources[0].signalMessage(message(START + MS))
    assert found == [START, START + MS]


def test_threads() -> None:
    sources, found = synchroniser(3, queue_size=2000, slop=0.004)

    def send(i: int) -> None:
        for k in range(1000):
            sources[i].signalMessage(message(START + k * 10 * MS + i * MS))

    threads = [threading.Thread(target=send, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # the last tick of input 0 is met too, as the others reach it last
    assert found == [tuple(START + k * 10 * MS + i * MS for i in range(3)) for k in range(1000)]


def test_connecting_anew_leaves_the_old_inputs() -> None:
    old, new, found = Source(), Source(), []
    sync = ApproximateTimeSynchronizer([old], 10, 0.01)
    sync.registerCallback(lambda m: found.append(m.at))
    sync.connectInput([new])
    old.signalMessage(message(START))
    new.signalMessage(message(START + MS))
    assert found == [START + MS]


@pytest.mark.parametrize(("inputs", "queue_size", "slop"), [(0, 5, 0.1), (2, 0, 0.1), (2, 5, -0.1)])
def test_wrong_settings_are_named(inputs: int, queue_size: int, slop: float) -> None:
    with pytest.raises(ValueError, match=f"{inputs} inputs, queue_size {queue_size}, slop {slop}; allowed"):
        ApproximateTimeSynchronizer([Source()] * inputs, queue_size, slop)


@given(jitter=st.lists(st.integers(-4, 4), min_size=2, max_size=60), seed=st.integers())
@settings(deadline=None, max_examples=50)
def test_same_sets_as_message_filters_where_they_are_unambiguous(jitter: list[int], seed: int) -> None:
    """Streams of one rate whose jitter is small against the period: both must find the same sets."""
    message_filters = pytest.importorskip("message_filters")
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    sources = [message_filters.SimpleFilter() for _ in range(2)]
    found: dict[str, list[tuple[int, int]]] = {"ours": [], "theirs": []}
    kinds = {"ours": ApproximateTimeSynchronizer, "theirs": message_filters.ApproximateTimeSynchronizer}
    for name, kind in kinds.items():
        kind(sources, 200, 0.015).registerCallback(
            lambda a, b, into: into.append(tuple(m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in (a, b))),
            found[name],
        )
    streams = [[START + k * 33 * MS + j * (i * 2 - 1) * MS // 2 for k, j in enumerate(jitter)] for i in range(2)]
    queues, order = [list(s) for s in streams], random.Random(seed)
    while any(queues):
        i = order.choice([i for i, queue in enumerate(queues) if queue])
        stamp = queues[i].pop(0)
        header = Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9))
        sources[i].signalMessage(SimpleNamespace(header=header))
    assert found["ours"] == sorted(found["theirs"])[: len(found["ours"])]
    assert len(found["ours"]) >= len(jitter) - 1
