"""The past of an observation: by stamp, within half a period, or unknown; against a slow definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.history import SLACK_TICKS, History, past_rows, row_stamps, with_past, with_task

PERIOD = 20_000_000
TICKS = st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True).map(lambda t: tuple(sorted(t, reverse=True)))
JITTER = st.integers(-PERIOD // 2 + 1, PERIOD // 2 - 1)


def slow(stamps: list[int], stamp: int, ticks: int) -> int | None:
    """The stamp that must be found, by looking at each."""
    wanted = stamp - ticks * PERIOD
    near = sorted((abs(s - wanted), s) for s in stamps)
    return near[0][1] if near and 2 * near[0][0] <= PERIOD else None


@st.composite
def arrivals(draw: st.DrawFn) -> list[int]:
    """Stamps of ticks with jitter, some missing, in an order in which some come late."""
    count = draw(st.integers(1, 30))
    kept = [t for t in range(count) if draw(st.booleans()) or t == count - 1]
    stamps = [t * PERIOD + draw(JITTER) for t in kept]
    order = sorted(range(len(stamps)), key=lambda i: (i + draw(st.integers(0, 2)), i))
    return [stamps[i] for i in order]


@given(arrivals(), TICKS)
def test_what_is_found_is_what_a_look_at_every_stamp_finds(stamps: list[int], ticks: tuple[int, ...]) -> None:
    """Jitter, gaps and late ones: the observation found is the nearest of all that ever came, or none."""
    history: History[int] = History(ticks, PERIOD)
    for count, stamp in enumerate(stamps, 1):
        history.push(stamp, stamp)
        newest = max(stamps[:count])
        assert history.past(newest) == tuple(slow(stamps[:count], newest, t) for t in ticks)
        for found, t in zip(history.past(newest), ticks, strict=True):
            assert found is None or abs(newest - found - t * PERIOD) <= PERIOD // 2
            assert found is None or found < newest


@given(TICKS, st.integers(1, 60))
def test_memory_is_flat_and_a_request_may_be_some_ticks_old(ticks: tuple[int, ...], count: int) -> None:
    history: History[int] = History(ticks, PERIOD)
    for t in range(count):
        history.push(t * PERIOD, t)
        assert len(history) <= max(ticks) + SLACK_TICKS + 2
    for late in range(SLACK_TICKS + 1):
        now = count - 1 - late
        if now >= 0:
            assert history.past(now * PERIOD) == tuple(now - t if t <= now else None for t in ticks)


def test_a_gap_is_unknown_until_it_lies_behind() -> None:
    history: History[int] = History((2, 1), PERIOD)
    found = []
    for t in (0, 1, 2, 6, 7, 8):
        history.push(t * PERIOD, t)
        found.append(history.past(t * PERIOD))
    assert found == [(None, None), (None, 0), (0, 1), (None, None), (None, 6), (6, 7)]


def test_reset_forgets_and_nothing_is_kept_where_nobody_asks() -> None:
    history: History[str] = History((1,), PERIOD)
    history.push(0, "of the episode before")
    history.reset()
    assert history.past(PERIOD) == (None,)
    nobody: History[str] = History((), PERIOD)
    nobody.push(0, "a")
    assert len(nobody) == 0
    assert nobody.past(PERIOD) == ()


def test_a_doubled_stamp_replaces() -> None:
    history: History[str] = History((1,), PERIOD)
    history.push(0, "a")
    history.push(0, "b")
    assert history.past(PERIOD) == ("b",)
    assert len(history) == 1


@given(st.lists(st.booleans(), min_size=1, max_size=25), TICKS, st.data())
def test_rows_of_a_recording_are_what_a_robot_would_have_known(
    kept: list[bool], ticks: tuple[int, ...], data: st.DataObject
) -> None:
    """Training and run time find the same past for the same stamps."""
    stamps = [t * PERIOD + data.draw(JITTER) for t, keep in enumerate(kept) if keep or t == 0]
    history: History[int] = History(ticks, PERIOD)
    for row, stamp in enumerate(stamps):
        history.push(stamp, row)
        assert history.past(stamp) == past_rows(row, ticks, np.array(stamps), PERIOD)


def test_rows_without_stamps_are_ticks() -> None:
    assert past_rows(1, (2, 1), None, PERIOD) == (None, 0)
    assert past_rows(5, (2, 1), np.arange(9), None) == (3, 4)


def test_with_past_copies_the_present_where_nothing_is_known() -> None:
    def seen(value: int) -> dict:
        return {"qpos": np.full(2, value, np.float32), "images": {"a": np.full((3, 4, 3), value, np.uint8)}}

    both = with_past({**seen(7), "task": "x"}, [None, seen(3)])
    assert both["task"] == "x"
    assert both["past"]["known"].tolist() == [False, True]
    assert both["past"]["qpos"].tolist() == [[7, 7], [3, 3]]
    assert both["past"]["images"]["a"].shape == (2, 3, 4, 3)
    assert both["past"]["images"]["a"][:, 0, 0, 0].tolist() == [7, 3]
    assert "past" not in with_past(seen(1), [])


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_distance_of_exactly_half_a_period_counts_and_more_does_not(ticks: int) -> None:
    for off, known in ((PERIOD // 2, True), (PERIOD // 2 + 1, False), (-PERIOD // 2, True), (-PERIOD // 2 - 1, False)):
        history: History[int] = History((ticks,), PERIOD)
        history.push(off, 1)
        assert (history.past(ticks * PERIOD)[0] is not None) is known


def test_a_task_is_told_where_there_is_one() -> None:
    observation = {"qpos": np.zeros(2, np.float32)}
    assert with_task(observation, "stack") == {**observation, "task": "stack"}
    assert with_task(observation, "") == observation


def test_stamps_that_are_fewer_than_the_rows_tell_nothing() -> None:
    stamps = np.arange(5) * PERIOD
    assert row_stamps(None, 3) is None
    assert row_stamps(stamps, 6) is None
    np.testing.assert_array_equal(row_stamps(stamps, 4), stamps[:4])
    assert past_rows(5, (2, 1), row_stamps(stamps, 6), PERIOD) == (3, 4)
