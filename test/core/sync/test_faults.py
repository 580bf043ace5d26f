"""Clocks and cameras that lie: each is found and named."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.sync_traces import MS, PERIOD, START, Message, drain, line, misses, play, robot, settings, steady, summary

from vgil_ros.core.sync import Miss, Reason, Sample, Synchronizer

SPECS = robot(1, 1)
JOINTS, CAMERA = SPECS


def frozen(since: float, until: float, seconds: float) -> list[Message]:
    """A 50 Hz camera that sends the same content under new stamps for a while."""
    stuck = round(since * 50)
    return [
        Message(m.stream, m.stamp_ns, m.payload, stuck if since * 50 <= k < until * 50 else m.content)
        for k, m in enumerate(steady(CAMERA, 50, seconds))
    ]


def test_frozen_camera_is_named() -> None:
    messages = steady(JOINTS, 200, 2.0) + frozen(0.5, 2.0, 2.0)
    found = play(Synchronizer(SPECS, settings(on_miss="abort"), 50), messages, START + 1500 * MS)
    first = next(one for one in found if isinstance(one, Miss))
    assert [(m.stream, m.reason) for m in first.streams] == [("cam0", Reason.FROZEN)]
    assert first.stamp_ns == START + 700 * MS  # the content of 0.5 s, 200 ms later
    assert str(first) == (
        "cam0: frozen, the same content for 200 ms (a scene that may stand still: `frozen_ms` in the contract)"
    )


def test_frozen_camera_shows_before_the_start_too() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for message in steady(JOINTS, 200, 0.4) + frozen(0.0, 1.0, 0.4):
        sync.push(message.stream, message.stamp_ns, message.payload, content=message.content)
    assert [m.reason for m in sync.missing(START + 400 * MS)] == [Reason.FROZEN]


def test_short_stillness_is_none() -> None:
    messages = steady(JOINTS, 200, 1.0) + frozen(0.4, 0.58, 1.0)
    found = play(Synchronizer(SPECS, settings(on_miss="abort"), 50), messages, START + 900 * MS)
    assert all(isinstance(one, Sample) for one in found)


@pytest.mark.parametrize("seed", range(5))
def test_frozen_frames_are_so_even_when_the_camera_has_recovered(seed: int) -> None:
    """What is said of a frame does not depend on what came after it."""
    ahead = Synchronizer(SPECS, settings(on_miss="drop", max_wait_ms=5000.0), 50)
    ahead.start(START)
    messages = steady(JOINTS, 200, 1.0) + frozen(0.1, 0.5, 1.0)
    camera_first = sorted(messages, key=lambda m: (m.stream, m.stamp_ns), reverse=False)
    order = random.Random(seed)
    queues = [[m for m in camera_first if m.stream == spec.name] for spec in SPECS]
    while any(queues):
        queue = order.choice([q for q in queues if q])
        one = queue.pop(0)
        ahead.push(one.stream, one.stamp_ns, one.payload, content=one.content)
    late = [one for one in summary(drain(ahead, START + 900 * MS)) if START < one[1] <= START + 600 * MS]
    usual = play(Synchronizer(SPECS, settings(on_miss="drop"), 50), messages, START + 900 * MS)
    kept = {one[1] for one in late}
    assert [one for one in summary(usual) if one[1] in kept] == late


def test_zero_stamp() -> None:
    fault = Synchronizer(SPECS, settings(), 50).push("cam0", 0, "frame")
    assert fault is not None
    assert (fault.kind, str(fault)) == (
        "no_stamp",
        "cam0: header.stamp is zero; the driver must fill it with the capture time, or the contract say"
        " `stamp: arrival` for this stream",
    )


@pytest.mark.parametrize(("offset_ms", "kind"), [(300, "future"), (-1500, "old"), (150, None), (-900, None)])
def test_stamps_of_another_clock(offset_ms: int, kind: str | None) -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    fault = sync.push("cam0", START + offset_ms * MS, "frame", now_ns=START)
    assert (fault.kind if fault else None) == kind
    assert len(sync._rings["cam0"]) == (kind is None)
    if fault:
        assert "clocks" in fault.message


def test_a_devices_own_time_is_named_with_its_remedy() -> None:
    fault = Synchronizer(SPECS, settings(), 50).push("cam0", 5_000_000_000, "frame", now_ns=START)
    assert fault is not None
    assert "a device's own time?" in fault.message
    assert "`stamp: arrival`" in fault.message


def test_content_that_proves_nothing_is_not_frozen() -> None:
    """A depth camera that sees noise, nothing for a second, and noise again."""
    sync = Synchronizer(SPECS, settings(), 50)
    for k in range(100):
        now = START + k * PERIOD
        sync.push("cam0", now, k, content=None if 30 <= k < 80 else k // 2)
        assert sync.repeating(now) == ()
        assert Reason.FROZEN not in [miss.reason for miss in sync.missing(now)]


def test_a_camera_may_never_be_called_frozen() -> None:
    sync = Synchronizer((JOINTS, replace(CAMERA, frozen_ns=None)), settings(), 50)
    for k in range(100):
        sync.push("cam0", START + k * PERIOD, k, content=1)
    assert Reason.FROZEN not in [miss.reason for miss in sync.missing(START + 99 * PERIOD)]


def test_doubled_stamp_keeps_the_first() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    assert sync.push("cam0", START, "first") is None
    fault = sync.push("cam0", START, "second")
    assert fault is not None
    assert fault.kind == "duplicate"
    assert sync._rings["cam0"].payloads == ["first"]


def test_stamps_that_jump_back_clear_their_stream_only() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for message in steady(JOINTS, 200, 0.05) + steady(CAMERA, 50, 0.05):
        sync.push(message.stream, message.stamp_ns, message.payload)
    fault = sync.push("cam0", START - 3000 * MS, "old time")
    assert fault is not None
    assert (fault.kind, fault.message) == ("jump_back", "stamps jumped back by 3.02 s")
    assert sync._rings["cam0"].payloads == ["old time"]
    assert len(sync._rings["arm0/puppet"]) == 10


def test_a_sample_that_comes_late_is_put_in_its_place() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for at in (0, 20, 10, 40, 30):
        assert sync.push("arm0/puppet", START + at * MS, line(START + at * MS)) is None
    assert sync._rings["arm0/puppet"].stamps == [START + at * MS for at in (0, 10, 20, 30, 40)]


@pytest.mark.parametrize("method", ["clock", "camera:cam0", "min_stamp", "latest"])
def test_clock_that_jumps_back_aborts_and_starts_anew(method: str) -> None:
    sync = Synchronizer(SPECS, settings(method=method), 50)
    play(sync, steady(JOINTS, 200, 0.5) + steady(CAMERA, 50, 0.5), START + 400 * MS)
    early = START - 5000 * MS
    found = sync.sample(early)
    assert isinstance(found, Miss)
    assert (found.action, str(found)) == ("abort", "clock: jumped back by 5.40 s")
    for k in range(20):
        sync.push("arm0/puppet", early + k * 10 * MS, line(early + k * 10 * MS), now_ns=early + k * 10 * MS)
        sync.push("cam0", early + k * 10 * MS, k, now_ns=early + k * 10 * MS, content=k)
    again = drain(sync, early + 200 * MS)
    assert again
    assert all(isinstance(one, Sample) and one.stamp_ns >= early for one in again)


@pytest.mark.parametrize("method", ["clock", "camera:cam0", "min_stamp", "latest"])
def test_clock_that_jumps_ahead_aborts_once(method: str) -> None:
    """A clock that is set by hours must not ask for a tick for each 20 ms of them."""
    sync = Synchronizer(SPECS, settings(method=method, on_miss="drop"), 50)
    sync.start(0)  # a simulated clock before its first message
    found = drain(sync, START)
    assert [(one.action, one.streams[0].reason) for one in misses(found[:1])] == [("abort", Reason.CLOCK)]
    assert "jumped ahead by 1700000000.00 s" in str(found[0])
    assert len(found) <= 2


def test_frozen_is_forgotten_when_the_clock_jumps() -> None:
    sync = Synchronizer(SPECS, settings(on_miss="drop"), 50)
    play(sync, steady(JOINTS, 200, 1.0) + frozen(0.2, 1.0, 1.0), START + 900 * MS)
    early = START - 9000 * MS
    assert isinstance(sync.sample(early), Miss)
    for k in range(40):  # still the same content: frozen again, after its limit in the new time
        now = early + k * PERIOD
        sync.push("arm0/puppet", now, line(now))
        sync.push("cam0", now, "frame", content=10)
    reasons = [one.streams[0].reason if isinstance(one, Miss) else None for one in drain(sync, early + 700 * MS)]
    assert reasons[:10] == [None] * 10
    assert set(reasons[10:]) == {Reason.FROZEN}
