"""Control and background timers by a clock that is an argument; the priority of a control loop's thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.nodes.base import timing as priority
from vgil_ros.nodes.base.scheduler import DeadlineScheduler

PERIOD = 0.02
TINY = 1e-9  # no clock is read at the very moment


@dataclass
class Clock:
    """A loop that sleeps as long as it is told to, wakes late, and takes its time over each callback."""

    now: float = 100.0
    log: list[tuple[str, float]] = field(default_factory=list)

    def does(self, name: str, takes: float = 0.0) -> Callable[[], None]:
        def callback() -> None:
            self.log.append((name, self.now))
            self.now += takes

        return callback

    def spin(self, scheduler: DeadlineScheduler, late: list[float]) -> None:
        for more in late:
            self.now += scheduler.wait_s(self.now, 0.1) + more + TINY
            scheduler.run(self.now)

    def times(self, name: str) -> list[float]:
        return [at for found, at in self.log if found == name]


@given(st.lists(st.floats(0.0, 0.09), min_size=2, max_size=60), st.floats(0.0, 0.05))
def test_a_late_turn_moves_no_deadline_and_missed_ones_are_left_out(late: list[float], takes: float) -> None:
    clock, scheduler = Clock(), DeadlineScheduler()
    scheduler.control_timer(PERIOD, clock.does("turn", takes))
    for more in late:
        wait = scheduler.wait_s(clock.now, 0.1)
        assert wait <= PERIOD
        due = (clock.now + wait - 100.0) / PERIOD
        if wait > 0.0:
            assert due == pytest.approx(round(due), abs=1e-5), "off its grid"
        before = len(clock.log)
        clock.now += wait + more + TINY
        scheduler.run(clock.now)
        assert len(clock.log) == before + 1, "one turn, however many deadlines have passed"


def test_background_timers_come_right_after_a_turn_one_at_a_time() -> None:
    clock, scheduler = Clock(), DeadlineScheduler()
    scheduler.control_timer(PERIOD, clock.does("turn"))
    scheduler.background_timer(0.1, clock.does("status"))
    scheduler.background_timer(0.1, clock.does("view"))
    clock.spin(scheduler, [0.0] * 100)
    names = [name for name, _ in clock.log]
    assert all(names[k - 1] == "turn" for k, name in enumerate(names) if name != "turn")
    for name in ("status", "view"):
        assert 18 <= len(clock.times(name)) <= 20
    assert not set(clock.times("status")) & set(clock.times("view"))


def test_a_background_timer_that_is_long_due_waits_for_no_more_than_its_turn() -> None:
    clock, scheduler = Clock(), DeadlineScheduler()
    scheduler.control_timer(PERIOD, clock.does("turn"))
    for name in "abcde":
        scheduler.background_timer(PERIOD, clock.does(name))
    clock.spin(scheduler, [0.0] * 51)
    assert all(9 <= len(clock.times(name)) <= 11 for name in "abcde"), "none is forgotten for another"


def test_background_timers_without_turns_come_when_they_are_due() -> None:
    clock, scheduler = Clock(), DeadlineScheduler()
    scheduler.background_timer(0.03, clock.does("a"))
    scheduler.background_timer(0.05, clock.does("b"))
    clock.spin(scheduler, [0.0] * 16)
    assert clock.times("a") == pytest.approx([100.03 + 0.03 * k for k in range(len(clock.times("a")))])
    assert clock.times("b") == pytest.approx([100.05 + 0.05 * k for k in range(len(clock.times("b")))])


def test_nothing_to_do_waits_as_long_as_it_may() -> None:
    assert DeadlineScheduler().wait_s(5.0, 0.1) == pytest.approx(0.1)


def test_a_callback_that_raises_is_not_called_again_at_once() -> None:
    scheduler = DeadlineScheduler()

    def fail() -> None:
        raise RuntimeError("no")

    scheduler.control_timer(PERIOD, fail)
    scheduler.wait_s(0.0, 1.0)
    with pytest.raises(RuntimeError):
        scheduler.run(0.021)
    assert scheduler.wait_s(0.021, 1.0) == pytest.approx(0.019)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="no such scheduler here")
def test_a_thread_in_real_time_passes_it_on_to_nobody() -> None:
    found: list[object] = []

    def scheduler() -> int:
        return os.sched_getscheduler(threading.get_native_id()) & ~os.SCHED_RESET_ON_FORK

    def loop() -> None:
        why = priority.set_realtime()
        child = threading.Thread(target=lambda: found.append(scheduler()))
        found.extend([why, scheduler()])
        child.start()
        child.join()

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    why, mine, child = found
    assert mine == (os.SCHED_FIFO if why is None else os.SCHED_OTHER)
    assert child == os.SCHED_OTHER
    assert why is None or isinstance(why, str)


def test_favoured_threads_are_nicer_off_or_as_before() -> None:
    found: list[object] = []

    def loop() -> None:
        before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        found.extend([priority.raise_priority(), before, os.getpriority(os.PRIO_PROCESS, threading.get_native_id())])

    thread = threading.Thread(target=loop)
    thread.start()
    thread.join()
    allowed, before, after = found
    assert after == (max(-20, int(str(before)) - priority.NICER) if allowed else before)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before, "this thread is as it was"
