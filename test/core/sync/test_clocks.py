"""Laws of the judgement of clocks: no clock that is right is blamed, and every one that is off is found in a second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.sync_traces import MS, PERIOD, START, drain, line, play, robot, samples, settings, steady

from vgil_ros.core.sync import Miss, Reason, Sample, Synchronizer
from vgil_ros.core.sync.clocks import AHEAD_NS, ClockWatch

SPECS = robot(1, 1)  # tolerance 20 ms
SECOND = 1000 * MS
LATE = st.one_of(st.integers(0, 8 * MS), st.integers(0, 8 * MS), st.integers(0, 500 * MS))  # one in three is late
Arrivals = list[tuple[int, int]]  # (arrival, stamp), by arrival


@st.composite
def deliveries(draw: st.DrawFn, rate_hz: float, seconds: float = 1.0) -> Arrivals:
    """What arrives of a stream stamped by this computer: stamps jitter, messages are late or lost."""
    count = round(rate_hz * seconds)
    jitter = draw(st.lists(st.integers(-3 * MS, 3 * MS), min_size=count, max_size=count))
    delays = draw(st.lists(LATE, min_size=count, max_size=count))
    lost = draw(st.lists(st.sampled_from([False, False, False, True]), min_size=count, max_size=count))
    stamps = [START + round(k * 1e9 / rate_hz) + jitter[k] for k in range(count)]
    return sorted((stamps[k] + delays[k], stamps[k]) for k in range(count) if not lost[k])


def push_all(sync: Synchronizer, arrivals: Arrivals, offset_ns: int) -> int:
    """Push them with stamps of a clock that is ahead; return the time of the last."""
    now = START
    for number, (arrival, stamp) in enumerate(arrivals):
        now = arrival
        sync.push("cam0", stamp + offset_ns, number, now_ns=now, content=number)
    return now


@given(arrivals=deliveries(30), offset=st.integers(-400 * MS, 0))
@examples(deadline=None, max_examples=60)
def test_a_clock_that_is_right_or_behind_is_never_blamed(arrivals: Arrivals, offset: int) -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for k in range(1, len(arrivals) + 1):
        now = push_all(sync, arrivals[k - 1 : k], offset)
        assert sync.ahead("cam0", now) is None
        assert Reason.AHEAD not in [miss.reason for miss in sync.missing(now)]


@given(arrivals=deliveries(30), offset=st.integers(32 * MS, 190 * MS))
@examples(deadline=None, max_examples=60)
def test_a_clock_ahead_by_more_than_the_tolerance_is_found_within_a_second(arrivals: Arrivals, offset: int) -> None:
    """With what the fastest messages take (8 ms), and a stamp's own jitter, put on top of the tolerance of 20 ms."""
    quick = [one for one in arrivals if one[0] - one[1] <= 8 * MS]
    if len(quick) < 3:  # so much is lost or late that nothing can be said yet
        return
    sync = Synchronizer(SPECS, settings(), 50)
    now = push_all(sync, [one for one in arrivals if one[0] <= START + SECOND], offset)
    named = sync.ahead("cam0", now)
    if sum(one[0] <= now for one in quick) < 3:
        return
    assert named is not None
    assert AHEAD_NS < named.age_ns <= offset  # type: ignore[operator]
    assert [(m.stream, m.reason) for m in sync.missing(now)] == [("arm0/puppet", Reason.SILENT), ("cam0", Reason.AHEAD)]


def set_ahead(offset_ms: float) -> list[Sample | Miss]:
    """A camera of 50 Hz whose clock is set ahead after a second, beside joints whose clock is right."""
    sync = Synchronizer(SPECS, settings(), 50)
    sync.start(START)
    found: list[Sample | Miss] = []
    for now in range(START, START + 2 * SECOND, 5 * MS):
        offset = round(offset_ms * MS) if now >= START + SECOND else 0
        sync.push("arm0/puppet", now, line(now), now_ns=now + MS)
        if (now - START) % PERIOD == 0:
            sync.push("cam0", now + offset, now, now_ns=now + MS, content=now)
        found += drain(sync, now + MS)
    return found


@pytest.mark.parametrize("offset_ms", [60, 150])
def test_rows_of_a_clock_ahead_end_an_episode_soon(offset_ms: float) -> None:
    found = set_ahead(offset_ms)
    at, first = next((i, one) for i, one in enumerate(found) if isinstance(one, Miss))
    assert first.stamp_ns < START + 2 * SECOND
    assert at <= 50 + 6  # one sample at the tick itself, five held
    assert first.action == "abort"
    assert f"cam0: stamped {offset_ms - 1} ms ahead of its arrival" in str(first)


def test_a_clock_ahead_within_the_tolerance_is_named_and_its_rows_kept() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    messages = steady(SPECS[0], 200, 1.0) + [
        replace(m, stamp_ns=m.stamp_ns + 12 * MS) for m in steady(SPECS[1], 50, 1.0)
    ]
    early = [replace(m, payload=m.payload) for m in messages]
    sync.start(START)
    now = START
    for m in sorted(early, key=lambda m: m.stamp_ns - (12 * MS if m.stream == "cam0" else 0)):
        now = m.stamp_ns - (12 * MS if m.stream == "cam0" else 0)
        sync.push(m.stream, m.stamp_ns, m.payload, now_ns=now, content=m.content)
    named = sync.ahead("cam0", now)
    assert named is not None
    assert named.age_ns == 12 * MS
    assert sync.missing(now) == ()
    assert sync.delays() == {"arm0/puppet": 0, "cam0": -12 * MS}


def test_one_slip_of_a_driver_is_none() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for k in range(50):
        now = START + k * PERIOD
        sync.push("cam0", now + (100 * MS if k in (10, 11) else 0), k, now_ns=now + MS, content=k)
        assert sync.ahead("cam0", now) is None


def test_a_clock_that_is_mended_is_forgotten_in_two_seconds() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for k in range(200):
        now = START + k * PERIOD
        sync.push("cam0", now + (100 * MS if k < 50 else 0), k, now_ns=now, content=k)
    assert sync.ahead("cam0", now) is None
    assert Reason.AHEAD not in [miss.reason for miss in sync.missing(now)]


def test_latency_that_the_contract_takes_off_is_no_clock_ahead() -> None:
    specs = robot(1, 1, latency_ms=40)
    sync = Synchronizer(specs, settings(), 50)
    for k in range(50):
        now = START + k * PERIOD
        sync.push("cam0", now + 30 * MS, k, now_ns=now, content=k)
    assert sync.ahead("cam0", now) is None


def test_simulated_stamps_may_come_before_their_clock() -> None:
    """/clock at 10 Hz, and a simulator that is ahead of it."""
    sync = Synchronizer(SPECS, settings(), 50, simulated=True)
    for k in range(200):
        stamp = START + k * PERIOD
        clock = START + (stamp - START) // (100 * MS) * 100 * MS
        assert sync.push("cam0", stamp, k, now_ns=clock, content=k) is None
        assert sync.ahead("cam0", clock) is None
    fault = sync.push("cam0", START + 10 * SECOND, 0, now_ns=clock, content=0)
    assert fault is not None
    assert fault.kind == "future"


@given(step=st.integers(12 * MS, 480 * MS))
@examples(deadline=None, max_examples=40)
def test_a_clock_set_back_ends_the_episode_by_its_arrivals_alone(step: int) -> None:
    """Stamps and arrivals by one clock that is set back in the middle; stamps in the rows before stay even."""
    sync = Synchronizer(SPECS, settings(), 50)
    sync.start(START)
    found: list[Sample | Miss] = []
    for true in range(START, START + 2 * SECOND, 5 * MS):
        clock = true - (step if true >= START + SECOND else 0)
        sync.push("arm0/puppet", clock, np.full((3, 1), float(true - START)), now_ns=clock)
        if (true - START) % PERIOD == 0:
            sync.push("cam0", clock, true, now_ns=clock, content=true)
        found += drain(sync, clock)
    at = next(i for i, one in enumerate(found) if isinstance(one, Miss))
    first = found[at]
    assert isinstance(first, Miss)
    assert (first.action, first.streams[0].reason) == ("abort", Reason.CLOCK)
    for before in samples(found[:at]):
        assert before.payloads[0][0, 0] == pytest.approx(before.stamp_ns - START)


@given(
    start=st.integers(0, 10**18),
    steps=st.lists(st.integers(1, 200 * MS), min_size=2, max_size=60),
    apart=st.lists(st.integers(0, MS), min_size=61, max_size=61),
    at=st.integers(1, 60),
    by=st.one_of(st.integers(5 * MS, 10**15), st.integers(-(10**15), -5 * MS)),
)
@examples(deadline=None, max_examples=80)
def test_a_set_clock_is_found_at_once_whatever_the_step(
    start: int, steps: list[int], apart: list[int], at: int, by: int
) -> None:
    watch, monotonic = ClockWatch(), 12345
    for k, step in enumerate([0, *steps]):
        monotonic += step
        set_by = by if k >= at else 0
        found = watch.saw(start + monotonic + set_by, monotonic + apart[k])
        assert (abs(found - by) <= 2 * MS) if k == at else found == 0


def test_small_steps_add_up() -> None:
    watch = ClockWatch()
    found = [watch.saw(START + k * (PERIOD + MS), k * PERIOD) for k in range(9)]
    assert [one for one in found if one] == [4 * MS, 4 * MS]


def test_a_clock_that_was_set_begins_anew() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    play(sync, steady(SPECS[0], 200, 0.5) + steady(SPECS[1], 50, 0.5), START + 400 * MS)
    miss = sync.clock_set(START + 553 * MS, 153 * MS)
    assert (miss.action, str(miss)) == ("abort", "clock: jumped ahead by 153 ms")
    assert [one.age_ns for one in sync.missing(START + 553 * MS)] == [None, None]


@pytest.mark.parametrize(("offset_ms", "wanted"), [(0, 0), (30, 30 * MS)])
def test_a_stream_may_be_stamped_by_its_arrival(offset_ms: int, wanted: int) -> None:
    camera = replace(SPECS[1], arrival_offset_ns=offset_ms * MS)
    sync = Synchronizer((SPECS[0], camera), settings(), 50)
    for stamp in (0, 5_000_000, START + 10**15):  # none, the device's own, another clock's
        assert sync.push("cam0", stamp, stamp, now_ns=START + stamp % 977, content=stamp) is None
    newest = sync.newest("cam0")
    assert newest is not None
    assert newest[0] == START + max(s % 977 for s in (0, 5_000_000, START + 10**15)) - wanted
    assert sync.ahead("cam0", START) is None


def test_arrivals_come_with_the_sample_interpolated_as_its_values() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    sync.start(START)
    for at, delay in ((-5, 2), (5, 4)):
        sync.push("arm0/puppet", START + at * MS, line(START + at * MS), now_ns=START + (at + delay) * MS)
    sync.push("cam0", START + 2 * MS, 0, now_ns=START + 11 * MS, content=0)
    (sample,) = samples(drain(sync, START + 12 * MS))
    assert sample.arrival_ns.tolist() == [START + 3 * MS, START + 11 * MS]
