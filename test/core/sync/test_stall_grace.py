"""Laws of the time that a node samples by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.sync_traces import samples

from vgil_ros.core.contract import Sync
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync import Synchronizer
from vgil_ros.core.sync.stall_grace import GRACE_NS, MOST_NS, StallGrace

MS = 1_000_000
PERIOD = 10 * MS


@given(st.lists(st.integers(0, 2_000 * MS), max_size=50))
def test_it_runs_forward_is_never_ahead_and_lags_for_a_bounded_time(gaps: list[int]) -> None:
    stall_grace, now, before = StallGrace(PERIOD), 1_000_000 * MS, 0
    for gap in gaps:
        now += gap
        shown = stall_grace.time(now)
        assert before <= shown <= now
        assert now - shown <= MOST_NS + GRACE_NS
        before = shown


@given(st.lists(st.integers(1, 4 * PERIOD), max_size=50))
def test_awake_it_is_the_clock(gaps: list[int]) -> None:
    stall_grace, now = StallGrace(PERIOD), 1_000_000 * MS
    for gap in gaps:
        now += gap
        assert stall_grace.time(now) == now


def test_a_clock_that_is_set_back_is_followed_at_once() -> None:
    stall_grace = StallGrace(PERIOD)
    for now in (5_000 * MS, 5_300 * MS, 1_000 * MS, 1_010 * MS):
        shown = stall_grace.time(now)
    assert shown == 1_010 * MS


@given(st.integers(5 * PERIOD, 350 * MS))
def test_a_sleep_loses_no_tick_whose_samples_wait(sleep_ns: int) -> None:
    spec = StreamSpec("joints", Kind.IMAGE, "/joints", 20 * MS)
    sync, stall_grace = Synchronizer((spec,), Sync(on_miss="drop"), 50.0), StallGrace(PERIOD)
    origin = 1_000_000 * MS
    sync.start(origin)
    sent, found, now = origin, [], origin
    for turn in range(100):
        asleep = turn == 40
        now += sleep_ns if asleep else PERIOD
        if not asleep:  # the turn after the sleep comes before the messages
            while sent <= now:
                sync.push("joints", sent, "image")
                sent += 20 * MS
        shown = stall_grace.time(now)
        while (tick := sync.sample(shown)) is not None:
            found.append(tick)
    assert len(found) > 40
    assert all(int(abs(tick.skew_ns).max()) == 0 for tick in samples(found))
