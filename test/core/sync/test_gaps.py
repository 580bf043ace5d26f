"""What becomes of ticks at which a stream is missing."""

from __future__ import annotations

import numpy as np
import pytest
from support.sync_traces import MS, PERIOD, START, misses, play, robot, samples, settings, steady

from vgil_ros.core.streams import Flag
from vgil_ros.core.sync import Miss, Reason, Sample, Synchronizer

SPECS = robot(1, 1)
JOINTS, CAMERA = SPECS


def gap(seconds: float = 1.0, *, out: tuple[float, float]) -> list:
    """Joints that always come, a camera that is silent for a while."""
    silent = range(START + round(out[0] * 1e9), START + round(out[1] * 1e9))
    frames = [m for m in steady(CAMERA, 50, seconds) if m.stamp_ns not in silent]
    return steady(JOINTS, 200, seconds) + frames


def test_hold_repeats_and_marks_then_goes_on() -> None:
    found = samples(play(Synchronizer(SPECS, settings(max_hold=5), 50), gap(out=(0.4, 0.5)), START + 900 * MS))
    held = [one for one in found if one.flags[1] & Flag.HELD]
    # frames at 400..480 ms are missing: 400 and 480 find a neighbour at 20 ms, the ticks between are held
    assert [round((one.stamp_ns - START) / MS) for one in held] == [420, 440, 460]
    last = next(one for one in found if one.stamp_ns == START + 400 * MS)
    assert all(one.payloads[1] == last.payloads[1] == ("cam0", START + 380 * MS) for one in held)
    assert [int(one.skew_ns[1]) for one in held] == [-40 * MS, -60 * MS, -80 * MS]
    assert all(one.flags[0] == Flag.EXACT for one in held)  # the joints are not held with it


def test_holds_are_counted_in_a_row_only() -> None:
    gaps = [range(START + start * MS, START + (start + 100) * MS) for start in (200, 400, 600)]
    frames = [m for m in steady(CAMERA, 50, 1.0) if not any(m.stamp_ns in gap for gap in gaps)]
    found = play(Synchronizer(SPECS, settings(max_hold=3), 50), steady(JOINTS, 200, 1.0) + frames, START + 900 * MS)
    assert all(isinstance(one, Sample) for one in found)
    assert sum(bool(one.flags[1] & Flag.HELD) for one in samples(found)) == 9


def test_hold_aborts_after_max_hold_in_a_row() -> None:
    found = play(Synchronizer(SPECS, settings(max_hold=3), 50), gap(out=(0.4, 0.9)), START + 700 * MS)
    first = next(i for i, one in enumerate(found) if isinstance(one, Miss))
    assert [int(one.flags[1]) for one in samples(found[first - 3 : first])] == [Flag.HELD] * 3
    assert not samples(found[first - 4 : first])[0].flags[1] & Flag.HELD
    (miss,) = misses(found[first : first + 1])
    assert miss.action == "abort"
    assert [m.stream for m in miss.streams] == ["cam0"]
    assert str(found[first]) == "cam0: silent, nearest sample 100 ms old"


def test_nothing_to_hold_aborts() -> None:
    found = play(Synchronizer(SPECS, settings(), 50), steady(JOINTS, 200, 0.5), START + 200 * MS)
    assert {(one.action, str(one)) for one in misses(found)} == {("abort", "cam0: nothing received")}


def test_drop_leaves_ticks_out_and_numbers_tell() -> None:
    found = play(Synchronizer(SPECS, settings(on_miss="drop"), 50), gap(out=(0.4, 0.6)), START + 900 * MS)
    misses = [one for one in found if isinstance(one, Miss)]
    assert {one.action for one in misses} == {"drop"}
    assert [round((one.stamp_ns - START) / MS) for one in misses] == list(range(420, 580, 20))
    assert not any(isinstance(one, Sample) and one.flags[1] & Flag.HELD for one in found)
    assert [one.tick for one in found] == list(range(len(found)))


def test_abort_is_said_at_once() -> None:
    found = play(Synchronizer(SPECS, settings(on_miss="abort"), 50), gap(out=(0.4, 0.6)), START + 900 * MS)
    first = next(one for one in found if isinstance(one, Miss))
    assert (first.action, round((first.stamp_ns - START) / MS)) == ("abort", 420)


def test_a_tick_waits_no_longer_than_max_wait() -> None:
    sync = Synchronizer(SPECS, settings(max_wait_ms=60.0), 50)
    sync.start(START)
    for message in steady(JOINTS, 200, 0.2):
        sync.push(message.stream, message.stamp_ns, message.payload)
    sync.push("cam0", START - 5 * MS, "frame")
    assert sync.sample(START + 59 * MS) is None
    found = sync.sample(START + 60 * MS)
    assert isinstance(found, Sample)
    assert (found.payloads[1], int(found.skew_ns[1]), found.flags[1]) == ("frame", -5 * MS, Flag.NEAREST)


def test_late_stream_is_told_from_silent_one() -> None:
    sync = Synchronizer(SPECS, settings(on_miss="drop"), 50)
    sync.start(START)
    for message in steady(JOINTS, 200, 0.5):
        sync.push(message.stream, message.stamp_ns, message.payload)
    sync.push("cam0", START - 70 * MS, 0)
    sync.push("cam0", START + 30 * MS, 1)
    found = sync.sample(START + 100 * MS)
    assert isinstance(found, Miss)
    assert (found.streams[0].reason, found.streams[0].age_ns) == (Reason.LATE, -30 * MS)
    assert str(found) == "cam0: late, nearest sample 30 ms ahead"


def test_latency_is_taken_off() -> None:
    specs = robot(1, 1, latency_ms=35.0)
    messages = steady(specs[0], 200, 1.0) + steady(specs[1], 50, 1.0)
    found = play(Synchronizer(specs, settings(), 50), messages, START + 800 * MS)
    assert len(found) > 30
    for one in samples(found):  # frames are stamped 35 ms late, yet the frame of the tick itself is found
        assert (one.payloads[1], int(one.skew_ns[1])) == (("cam0", one.stamp_ns), 0)


def test_uncompensated_latency_shows_as_skew() -> None:
    late = [type(m)(m.stream, m.stamp_ns + 15 * MS, m.payload, m.content) for m in steady(CAMERA, 25, 1.0)]
    found = play(Synchronizer(SPECS, settings(), 25), steady(JOINTS, 200, 1.0) + late, START + 800 * MS)
    assert {int(one.skew_ns[1]) for one in found if isinstance(one, Sample)} == {15 * MS}


def test_what_is_not_measured_stays_nan() -> None:
    sync = Synchronizer(SPECS[:1], settings(), 50)
    sync.start(START)
    for k in (-1, 1):
        sync.push("arm0/puppet", START + k * 5 * MS, np.vstack([np.full((1, 2), k), np.full((2, 2), np.nan)]))
    found = sync.sample(START)
    assert isinstance(found, Sample)
    assert found.payloads[0][0].tolist() == [0.0, 0.0]
    assert np.isnan(found.payloads[0][1:]).all()


@pytest.mark.parametrize("age_ms", [5, 500])
def test_missing_before_the_start(age_ms: int) -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    sync.push("arm0/puppet", START - age_ms * MS, np.zeros((3, 2)))
    missing = [str(m) for m in sync.missing(START)]
    assert missing[-1] == "cam0: nothing received"
    assert missing[:-1] == (["arm0/puppet: silent, nearest sample 500 ms old"] if age_ms > 80 else [])


def test_samples_before_the_start_stay_usable() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    for message in steady(JOINTS, 200, 0.3) + steady(CAMERA, 50, 0.3):
        sync.push(message.stream, message.stamp_ns, message.payload)
    sync.start(START + 250 * MS)
    found = sync.sample(START + 250 * MS)
    assert isinstance(found, Sample)
    assert found.stamp_ns == START + 250 * MS
    assert int(found.skew_ns[1]) in (-10 * MS, 10 * MS)


def test_a_new_start_counts_anew() -> None:
    sync = Synchronizer(SPECS, settings(), 50)
    messages = steady(JOINTS, 200, 1.0) + steady(CAMERA, 50, 1.0)
    play(sync, messages, START + 300 * MS)
    sync.start(START + 310 * MS)
    for message in messages:
        sync.push(message.stream, message.stamp_ns, message.payload)
    again = [sync.sample(START + 500 * MS) for _ in range(3)]
    assert [one.tick for one in again if one] == [0, 1, 2]
    assert [one.stamp_ns - START for one in again if one] == [310 * MS + k * PERIOD for k in range(3)]
