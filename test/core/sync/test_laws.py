"""Laws of the synchroniser, for any streams (hypothesis)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sync_traces import MS, PERIOD, START, drain, line, play, robot, summary, traces
from support.sync_traces import settings as sync_settings

from vgil_ros.core.streams import Flag, Kind
from vgil_ros.core.sync import Miss, Sample, Synchronizer

SPECS = robot(2, 2, base=True)
END = START + 600 * MS
METHODS = ("clock", "camera:cam0", "min_stamp", "latest")


def merged(trace: dict[str, list[Any]], order: random.Random) -> list[Any]:
    """The messages of all streams in one of the orders in which they can arrive: each stream keeps its own."""
    queues = [list(reversed(messages)) for messages in trace.values() if messages]
    out = []
    while queues:
        queue = order.choice(queues)
        out.append(queue.pop())
        queues = [q for q in queues if q]
    return out


def one_by_one(trace: dict[str, list[Any]], order: random.Random, **changes: Any) -> list[Sample | Miss]:
    """Sample after each message while nothing has waited too long, and let the rest time out at the end."""
    sync = Synchronizer(SPECS, sync_settings(max_wait_ms=5000.0, **changes), 50)
    sync.start(START)
    found = []
    for message in merged(trace, order):
        sync.push(message.stream, message.stamp_ns, message.payload, content=message.content)
        found += drain(sync, END)
    return found + drain(sync, END + 5000 * MS)


@given(trace=traces(SPECS), seeds=st.tuples(st.integers(), st.integers()), on_miss=st.sampled_from(["hold", "drop"]))
@settings(deadline=None, max_examples=60)
@pytest.mark.parametrize("method", ["clock", "camera:cam0"])
def test_order_of_arrival_between_streams_does_not_matter(
    method: str, trace: dict[str, list[Any]], seeds: tuple[int, int], on_miss: str
) -> None:
    first, second = (one_by_one(trace, random.Random(s), method=method, on_miss=on_miss) for s in seeds)
    if method == "clock":
        assert summary(first) == summary(second)
    else:  # when a camera ends, the ticks it misses are told apart from its frames by the order in which others end
        frames = {m.stamp_ns for m in trace["cam0"]}
        picked = [[one for one in summary(found) if one[1] in frames] for found in (first, second)]
        assert [p[1] for p in picked[0]] == [p[1] for p in picked[1]]


@given(trace=traces(SPECS), on_miss=st.sampled_from(["hold", "drop", "abort"]))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("method", METHODS)
def test_no_sample_is_older_than_its_tolerance(method: str, trace: dict[str, list[Any]], on_miss: str) -> None:
    sync = Synchronizer(SPECS, sync_settings(method=method, on_miss=on_miss), 50)
    stamps = {name: {m.stamp_ns for m in messages} for name, messages in trace.items()}
    for found in play(sync, [m for messages in trace.values() for m in messages], END):
        if not isinstance(found, Sample):
            continue
        for i, spec in enumerate(SPECS):
            skew, flag = int(found.skew_ns[i]), Flag(int(found.flags[i]))
            assert (flag is Flag.INTERPOLATED) or found.stamp_ns + skew in stamps[spec.name] or flag is Flag.HELD
            if flag is Flag.HELD:
                assert on_miss == "hold"
            elif flag is Flag.LATEST:
                assert skew >= -500 * MS
            else:
                assert abs(skew) <= spec.tolerance_ns
            if flag is Flag.INTERPOLATED:
                before = max(s for s in stamps[spec.name] if s < found.stamp_ns)
                after = min(s for s in stamps[spec.name] if s > found.stamp_ns)
                assert max(found.stamp_ns - before, after - found.stamp_ns) <= spec.tolerance_ns
            if flag is Flag.EXACT:
                assert skew == 0


@given(trace=traces(SPECS), rate=st.sampled_from([7.0, 30.0, 50.0, 60.0, 333.0]), data=st.data())
@settings(deadline=None, max_examples=60)
def test_clock_ticks_are_uniform_monotone_and_complete(
    trace: dict[str, list[Any]], rate: float, data: st.DataObject
) -> None:
    every = data.draw(st.integers(1 * MS, 130 * MS))
    sync = Synchronizer(SPECS, sync_settings(on_miss=data.draw(st.sampled_from(["hold", "drop", "abort"]))), rate)
    found = play(sync, [m for messages in trace.values() for m in messages], END, every_ns=every)
    assert [one.tick for one in found] == list(range(len(found)))
    assert [one.stamp_ns for one in found] == [START + round(k * 1e9 / rate) for k in range(len(found))]
    last_call = START + (END - START) // every * every
    due = last_call - sync.max_wait_ns
    assert len(found) >= len([k for k in range(1000) if START + round(k * 1e9 / rate) <= due])


@given(trace=traces(SPECS))
@settings(deadline=None, max_examples=40)
@pytest.mark.parametrize("method", METHODS)
def test_ticks_rise_whatever_the_method(method: str, trace: dict[str, list[Any]]) -> None:
    sync = Synchronizer(SPECS, sync_settings(method=method), 50)
    found = play(sync, [m for messages in trace.values() for m in messages], END)
    stamps = [one.stamp_ns for one in found]
    assert found
    assert stamps == sorted(set(stamps))
    assert [one.tick for one in found] == list(range(len(found)))


@given(trace=traces(SPECS))
@settings(deadline=None, max_examples=60)
def test_linear_signals_are_exact_under_interpolation(trace: dict[str, list[Any]]) -> None:
    sync = Synchronizer(SPECS, sync_settings(), 50)
    for found in play(sync, [m for messages in trace.values() for m in messages], END):
        if not isinstance(found, Sample):
            continue
        for i, spec in enumerate(SPECS):
            if spec.kind.interpolated and found.flags[i] in (Flag.INTERPOLATED, Flag.EXACT):
                expected = line(found.stamp_ns)
                expected = expected if spec.kind is Kind.JOINTS else expected[0]
                assert np.abs(found.payloads[i] - expected).max() < 1e-12


@given(trace=traces(SPECS))
@settings(deadline=None, max_examples=40)
def test_images_are_the_nearest_frame(trace: dict[str, list[Any]]) -> None:
    sync = Synchronizer(SPECS, sync_settings(max_wait_ms=300.0), 50)
    for found in play(sync, [m for messages in trace.values() for m in messages], END):
        if not isinstance(found, Sample):
            continue
        for i, spec in enumerate(SPECS):
            if spec.kind is Kind.IMAGE and found.flags[i] != Flag.HELD:
                nearest = min(abs(m.stamp_ns - found.stamp_ns) for m in trace[spec.name])
                assert abs(found.payloads[i][1] - found.stamp_ns) == nearest


@given(trace=traces(SPECS), max_hold=st.integers(0, 6))
@settings(deadline=None, max_examples=60)
def test_holds_are_marked_and_end(trace: dict[str, list[Any]], max_hold: int) -> None:
    sync = Synchronizer(SPECS, sync_settings(max_hold=max_hold), 50)
    held = dict.fromkeys(range(len(SPECS)), 0)
    last: dict[int, Any] = {}
    for found in play(sync, [m for messages in trace.values() for m in messages], END):
        if isinstance(found, Miss):
            assert found.action == "abort"
            assert any(
                held[i] >= max_hold or i not in last
                for i, spec in enumerate(SPECS)
                if spec.name in {m.stream for m in found.streams}
            )
            break
        for i in range(len(SPECS)):
            held[i] = held[i] + 1 if found.flags[i] == Flag.HELD else 0
            if found.flags[i] == Flag.HELD:
                assert found.payloads[i] is last[i]
            last[i] = found.payloads[i]
            assert held[i] <= max_hold


@given(messages=st.integers(1, 3000), sampled=st.booleans())
@settings(deadline=None, max_examples=20)
def test_memory_is_bounded(messages: int, sampled: bool) -> None:
    sync = Synchronizer(robot(1, 1), sync_settings(), 50)
    if sampled:
        sync.start(START)
    for k in range(messages):
        stamp = START + k * PERIOD // 2
        sync.push("cam0", stamp, k)
        sync.push("arm0/puppet", stamp, line(stamp))
        if sampled:
            drain(sync, stamp)
        assert len(sync._rings["cam0"]) <= 16  # 0.3 s of 100 Hz at most, whether ticks are taken or not
        assert len(sync._rings["arm0/puppet"]) <= 32
