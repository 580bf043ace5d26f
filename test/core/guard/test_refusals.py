"""A stream whose readings are refused holds within two ticks, by name; one lost packet among good ones does not."""

from __future__ import annotations

import numpy as np
from support.contracts import small_robot

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ExecutionOptions, make_direct_pipeline
from vgil_ros.core.errors import ContractError
from vgil_ros.core.guard.refusals import Refusals, one_tick
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample, Synchronizer

MS = 1_000_000
START = 10**18
PERIOD_MS = 40  # 25 Hz
WORDS = "every joint reads -3.1416: the driver has lost its servos"


class Bench:
    """A control loop over the small robot's puppet, at 100 messages a second."""

    def __init__(self) -> None:
        contract = validate(Contract, small_robot(), "small.yaml", ContractError)
        layout, self.streams = Layout(contract), policy_streams(contract, ())
        self.sync = Synchronizer(self.streams, contract.sync, contract.rate_hz)
        self.loop = ControlLoop(self.sync, make_direct_pipeline(ExecutionOptions(), layout, self.streams))
        self.loop.begin(START)
        self.now = START

    def tick(self, lies: int = 0) -> list[str]:
        """A period of messages, the last so many of which are none; names of what stepped in at the tick after it."""
        for i in range(4):
            self.now += 10 * MS
            if i >= 4 - lies:
                self.sync.refusals.refuse("left/puppet", WORDS, self.now - 3 * MS)
                continue
            self.sync.push("left/puppet", self.now - 3 * MS, np.zeros((3, 3)), now_ns=self.now)
            self.sync.refusals.accept("left/puppet", self.now)
        while (found := self.sync.sample(self.now)) is not None:
            if isinstance(found, Sample):
                self.loop.observe(found)
        outcome = self.loop.send(Command(np.array([0.01, 0.0, 0.5])), self.now)
        self.reasons = [event.reason for event in outcome.safety_events]
        return [event.name for event in outcome.safety_events]


def test_the_second_tick_after_the_first_lie_holds_and_says_why() -> None:
    bench = Bench()
    for _ in range(5):
        bench.tick()
    assert "readings" not in bench.tick(lies=1)
    assert bench.tick(lies=4)[:1] == ["readings"]
    assert bench.reasons[0] == f"left/puppet: {WORDS}"
    assert "readings" not in bench.tick()


def test_one_lie_between_good_readings_holds_nothing() -> None:
    bench = Bench()
    for i in range(12):
        assert "readings" not in bench.tick(lies=i % 2)


def test_a_clock_that_is_set_back_does_not_excuse_a_lie() -> None:
    refusals = Refusals(30 * MS)
    refusals.refuse("left/puppet", "a", START)
    assert refusals.standing(START + 29 * MS) == {}
    refusals.refuse("left/puppet", "b", START + 20 * MS)
    assert refusals.standing(START + 30 * MS) == {"left/puppet": "b"}
    assert refusals.standing(START - MS) == {"left/puppet": "b"}
    refusals.accept("left/puppet", START + 59 * MS)
    assert refusals.standing(START + 60 * MS) == {}


def test_one_lie_of_a_stream_slower_than_the_turns_holds_nothing_and_the_next_one_does() -> None:
    """30 messages a second, looked at 100 times a second."""
    refusals, now = one_tick(10 * MS), START

    def message(*, lie: bool = False) -> list[bool]:
        """It comes; whether the stream stands as refused at each turn until the next comes."""
        nonlocal now
        if lie:
            refusals.refuse("left/master", WORDS, now)
        else:
            refusals.accept("left/master", now)
        turns = [bool(refusals.standing(now + i * 10 * MS)) for i in range(4)]
        now += 33 * MS
        return turns

    for _ in range(10):
        message()
    assert message(lie=True) == [False] * 4
    assert message() == [False] * 4
    assert message(lie=True) == [False] * 4
    assert message(lie=True)[-1]
    assert message() == [False] * 4
    now += 60_000 * MS
    message()
    assert message(lie=True) == [False] * 4, "a pause is no period"
    assert refusals.standing(now + 20 * MS), "and the stream that ends with it is refused soon"
