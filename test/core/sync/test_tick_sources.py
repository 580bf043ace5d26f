"""What each way to choose ticks does."""

from __future__ import annotations

import numpy as np
import pytest
from support.sync_traces import MS, PERIOD, START, misses, play, robot, settings, steady

from vgil_ros.core.streams import Flag
from vgil_ros.core.sync import Miss, Sample, Synchronizer

SPECS = robot(1, 2)
JOINTS, FIRST, SECOND = SPECS
END = START + 1000 * MS


def trace(first_hz: float = 30, second_hz: float = 30) -> list:
    return (
        steady(JOINTS, 200, 1.0, offset_ns=1 * MS)
        + steady(FIRST, first_hz, 1.0, offset_ns=3 * MS)
        + steady(SECOND, second_hz, 1.0, offset_ns=9 * MS)
    )


def samples(method: str, messages: list, rate: float = 50, **changes: object) -> list[Sample]:
    found = play(Synchronizer(SPECS, settings(method=method, **changes), rate), messages, END)
    return [one for one in found if isinstance(one, Sample)]


def test_clock() -> None:
    found = samples("clock", trace())
    assert {one.stamp_ns - START for one in found} == {k * PERIOD for k in range(len(found))}
    assert len(found) >= 45
    assert {int(one.flags[0]) for one in found} <= {Flag.INTERPOLATED, Flag.NEAREST}  # nearest: the first tick only
    assert max(int(np.abs(one.skew_ns[1:]).max()) for one in found) <= 1e9 / 30 / 2 + 1


def test_each_frame_of_the_camera_is_a_tick() -> None:
    found = samples("camera:cam0", trace())
    frames = [m.stamp_ns for m in steady(FIRST, 30, 1.0, offset_ns=3 * MS)]
    assert [one.stamp_ns for one in found] == frames[: len(found)]
    assert len(found) >= 28
    assert all(one.payloads[1] == ("cam0", one.stamp_ns) and one.flags[1] == Flag.EXACT for one in found)
    assert {int(one.skew_ns[2]) for one in found} == {6 * MS}
    assert {int(one.flags[0]) for one in found} <= {Flag.INTERPOLATED, Flag.EXACT}


def test_a_dead_ticking_camera_is_missed_not_waited_for() -> None:
    alive = [m for m in trace() if m.stream != "cam0" or m.stamp_ns < START + 400 * MS]
    found = play(Synchronizer(SPECS, settings(method="camera:cam0", on_miss="drop"), 50), alive, END)
    misses = [one for one in found if isinstance(one, Miss)]
    assert len(misses) >= 10
    assert all("cam0" in [m.stream for m in one.streams] for one in misses)
    last = max(one.stamp_ns for one in found if isinstance(one, Sample))
    assert misses[0].stamp_ns - last <= 2 * PERIOD
    stamps = [one.stamp_ns for one in found]
    assert stamps == sorted(set(stamps))


def test_a_ticking_camera_that_never_came() -> None:
    alive = [m for m in trace() if m.stream != "cam0"]
    found = play(Synchronizer(SPECS, settings(method="camera:cam0"), 50), alive, END)
    assert found
    assert {(one.action, str(one).split(";")[0]) for one in misses(found)} == {("abort", "cam0: nothing received")}


def test_frames_go_on_being_ticks_when_the_camera_comes_back() -> None:
    pause = range(START + 400 * MS, START + 600 * MS)
    found = samples("camera:cam0", [m for m in trace() if m.stream != "cam0" or m.stamp_ns not in pause], max_hold=100)
    frames = [m.stamp_ns for m in steady(FIRST, 30, 1.0, offset_ns=3 * MS) if m.stamp_ns >= START + 640 * MS]
    ticks = [one.stamp_ns for one in found]
    assert set(frames[:8]) <= set(ticks)


def test_min_stamp_is_the_oldest_of_the_newest() -> None:
    found = samples("min_stamp", trace(), rate=30)
    stamps = {m.stamp_ns for m in trace()}
    assert len(found) >= 25
    assert {one.stamp_ns for one in found} <= stamps  # a tick is some stream's own stamp
    steps = np.diff([one.stamp_ns for one in found])
    assert steps.min() >= 0.75e9 / 30
    assert all((one.skew_ns == 0).any() for one in found)
    assert all(int(flag) in (Flag.EXACT, Flag.NEAREST) for one in found for flag in one.flags)


@pytest.mark.parametrize("rate", [10, 20, 30])
def test_min_stamp_keeps_to_the_rate(rate: int) -> None:
    """Streams that are faster than the contract must not give more rows a second than it says."""
    found = samples("min_stamp", trace(60, 47), rate=rate)
    assert 0.8 * rate <= len(found) <= rate + 1


def test_min_stamp_with_a_dead_stream_is_missed() -> None:
    alive = [m for m in trace() if m.stream != "cam1" or m.stamp_ns < START + 300 * MS]
    found = play(Synchronizer(SPECS, settings(method="min_stamp", on_miss="drop"), 30), alive, END)
    misses = [one for one in found if isinstance(one, Miss)]
    assert misses
    assert {m.stream for one in misses for m in one.streams} == {"cam1"}


def test_latest_takes_what_came_last_without_waiting() -> None:
    sync = Synchronizer(SPECS, settings(method="latest"), 50)
    sync.start(START)
    sync.push("arm0/puppet", START - 30 * MS, np.zeros((3, 2)))
    sync.push("cam0", START - 70 * MS, "a")
    sync.push("cam1", START - 400 * MS, "b")
    found = sync.sample(START)
    assert isinstance(found, Sample)
    assert found.skew_ns.tolist() == [-30 * MS, -70 * MS, -400 * MS]
    assert found.flags.tolist() == [Flag.LATEST] * 3
    late = sync.sample(START + 150 * MS)
    assert isinstance(late, Sample)  # cam1 is 420 ms old at the tick of 20 ms
    for _ in range(5):
        late = sync.sample(START + 150 * MS)
    assert isinstance(late, Sample)
    assert late.flags[2] == Flag.HELD  # beyond half a second a stream is dead


@pytest.mark.parametrize("method", ["clock", "camera:cam0", "min_stamp", "latest"])
def test_nothing_before_the_start(method: str) -> None:
    sync = Synchronizer(SPECS, settings(method=method), 50)
    for message in trace():
        sync.push(message.stream, message.stamp_ns, message.payload)
    assert sync.sample(END) is None
