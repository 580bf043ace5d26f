"""Laws of the control loop: late, lost, doubled and out-of-order answers; stalls; stops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ChunkSize, ExecutionOptions, make_action_pipeline, make_direct_pipeline
from vgil_ros.core.control.requests import InferenceError, InferenceRequest, InferenceResult
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.safety.entry import SILENT_NS
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample, Synchronizer

TEXT = """
name: small
rate_hz: 50
arms:
  - name: left
    puppet: {topic: /p}
    command: {topic: /c, type: joint_state}
    joints: [waist, grip]
    limits: {lower: [-1.0, 0.0], upper: [1.0, 1.0], velocity: [2.0, 2.0]}
    home: [0.0, 0.0]
cameras:
  - {name: cam, topic: /cam, height: 8, width: 8}
"""
MS = 1_000_000
PERIOD, ORIGIN = 20 * MS, 10**18
HORIZON = 30
LAYOUT = Layout(parse_contract(TEXT, "test"))
STREAMS = policy_streams(LAYOUT.contract, ("cam",))
HERE = np.array([0.1, 0.2])
SILENCE, AGE = 200 * MS, 200 * MS
VELOCITY = 2.0 * PERIOD / 1e9  # a joint's way in a tick, at its limit


def make_loop(mode: str = "async", obs_offsets: tuple[int, ...] = (), soft_start: float = 1.0) -> ControlLoop:
    sync = Synchronizer(STREAMS, LAYOUT.contract.sync, LAYOUT.contract.rate_hz)
    options = ExecutionOptions(mode, silence_ns=SILENCE, age_ns=AGE, soft_start=soft_start)
    return ControlLoop(
        sync, make_action_pipeline(options, LAYOUT, STREAMS, ChunkSize(HORIZON, LAYOUT.dim, HORIZON)), obs_offsets
    )


@dataclass
class Driver:
    """A driver whose robot stands still, unless `here` is moved, and answers with its sensors at every tick.

    `frames` stops the camera's content from changing where it is False: the frames then repeat.
    """

    loop: ControlLoop
    now: int = ORIGIN
    frames: bool = True
    here: np.ndarray = field(default_factory=HERE.copy)
    outcomes: list[Outcome | None] = field(default_factory=list)
    requests: list[InferenceRequest] = field(default_factory=list)
    _content: int = 0

    def begin(self) -> None:
        self._sense()
        self.loop.begin(self.now)

    def _sense(self) -> None:
        self._content += self.frames
        self.loop.sync.push("left/puppet", self.now, np.stack([self.here, np.zeros(2), np.zeros(2)]), now_ns=self.now)
        self.loop.sync.push("cam", self.now, "frame", now_ns=self.now, content=self._content)

    def turn(self, *, sense: bool = True, ask: bool = True, jitter: int = 0) -> Outcome | None:
        """A period passes, then one turn; `jitter` (ns) is how late it is."""
        self.now += PERIOD
        if sense:
            self._sense()
        for found in self._ripe():
            self.loop.observe(found)
        outcome = self.loop.step(self.now + jitter)
        self.outcomes.append(outcome)
        if ask and (request := self.loop.request(self.now + jitter)) is not None:
            self.requests.append(request)
        return outcome

    def _ripe(self) -> Iterator[Sample]:
        while (found := self.loop.sync.sample(self.now)) is not None:
            if isinstance(found, Sample):
                yield found


def result(request: InferenceRequest, value: float = 0.15) -> InferenceResult:
    return InferenceResult(request.serial, np.full((HORIZON, LAYOUT.dim), value), 0.01)


def started(mode: str = "async") -> Driver:
    """A loop that moves: its first request is answered."""
    driver = Driver(make_loop(mode))
    driver.begin()
    while not driver.requests:
        driver.turn()
    assert driver.loop.accept(result(driver.requests[-1]))
    outcome = driver.turn()
    assert outcome is not None
    assert not outcome.holding
    return driver


def test_nothing_is_sent_before_the_first_chunk() -> None:
    driver = Driver(make_loop())
    driver.begin()
    assert [driver.turn() for _ in range(40)] == [None] * 40
    assert len(driver.requests) == 1, "one request is open at a time"
    assert driver.loop.accept(result(driver.requests[0]))
    assert driver.turn() is not None


@given(st.integers(0, 25))
def test_a_result_is_played_at_its_own_tick_however_late_it_is(late: int) -> None:
    """Row k belongs to tick q + k: a chunk that comes `late` ticks later loses its first rows and nothing else."""
    driver = Driver(make_loop("open_loop"))
    driver.begin()
    while not driver.requests:
        driver.turn()
    request = driver.requests[0]
    for _ in range(late):
        driver.turn()
    ramp = 0.1 + 0.001 * np.arange(HORIZON)
    driver.loop.accept(InferenceResult(request.serial, np.stack([ramp, np.full(HORIZON, 0.2)], axis=1)))
    outcome = driver.turn()
    assert outcome is not None
    assert outcome.command is not None
    row = driver.loop.tick - request.tick
    np.testing.assert_allclose(outcome.command.positions, [ramp[row], 0.2])


Event: TypeAlias = Literal["turn", "answer", "again", "stranger", "refuse", "lose", "stall"]
EVENTS: list[Event] = ["turn", "answer", "again", "stranger", "refuse", "lose", "stall"]


@given(st.lists(st.sampled_from(EVENTS), max_size=60))
def test_doubled_and_strange_answers_change_nothing(events: list[Event]) -> None:
    """A loop that is also told old, doubled and unknown answers sends the same commands as one that is not."""
    plain, told = Driver(make_loop()), Driver(make_loop())
    for driver in (plain, told):
        driver.begin()
    for number, event in enumerate(events):
        for driver in (plain, told):
            pending = driver.requests[-1] if driver.requests else None
            if event in ("turn", "lose"):
                driver.turn()
            elif event == "stall":
                driver.now += 7 * PERIOD
                driver.turn()
            elif event == "answer" and pending is not None:
                driver.loop.accept(result(pending, 0.1 + 0.001 * number))
            elif event == "refuse" and pending is not None:
                driver.loop.accept(InferenceError(pending.serial, "cam: does not decode"))
        if event == "again":
            for old in told.requests[:-1]:
                assert not told.loop.accept(result(old, 0.9))
        elif event == "stranger":
            assert not told.loop.accept(InferenceResult(10**6, np.full((HORIZON, LAYOUT.dim), 0.9)))
    assert len(plain.outcomes) == len(told.outcomes)
    for one, other in zip(plain.outcomes, told.outcomes, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.command is not None
            assert other.command is not None
            np.testing.assert_array_equal(one.command.positions, other.command.positions)
            assert one.holding == other.holding


@given(st.lists(st.sampled_from(EVENTS), max_size=80), st.lists(st.integers(0, 15 * MS), min_size=80, max_size=80))
def test_whatever_happens_no_joint_is_sent_faster_than_its_limit(events: list[Event], jitter: list[int]) -> None:
    driver = Driver(make_loop())
    driver.begin()
    before: np.ndarray | None = None
    for number, event in enumerate(events):
        pending = driver.requests[-1] if driver.requests else None
        if event == "answer" and pending is not None:
            driver.loop.accept(result(pending, (-1.0) ** number))
        elif event == "refuse" and pending is not None:
            driver.loop.accept(InferenceError(pending.serial, "no"))
        else:
            driver.now += 11 * PERIOD if event == "stall" else 0
            outcome = driver.turn(jitter=jitter[number])
            if outcome is None or outcome.command is None:
                continue
            sent = outcome.command.positions
            if before is not None:
                assert np.abs(sent - before).max() <= VELOCITY + 1e-9
            before = sent


@given(st.integers(0, 14))  # a chunk that comes then still has rows to play
def test_an_answer_that_never_comes_holds_after_the_allowed_silence_and_not_before(extra: int) -> None:
    driver = started()
    asked = driver.now  # the request that follows the first command is lost
    holds = []
    for _ in range(11 + extra):
        outcome = driver.turn()
        assert outcome is not None
        holds.append((driver.now - asked, outcome.holding))
    assert all(holding == (silent > SILENCE) for silent, holding in holds)
    assert driver.loop.accept(result(driver.requests[-1])), "it comes after all"
    outcome = driver.turn()
    assert outcome is not None
    assert not outcome.holding


@pytest.mark.parametrize("mode", ["temporal_ensemble", "open_loop", "async", "consistent", "rtc"])
def test_after_a_hold_nothing_of_the_plan_before_it_is_played(mode: str) -> None:
    """The old plan tells where the robot would be, had it not been held. The new one says: stay."""
    driver = Driver(make_loop(mode))
    driver.begin()
    while not driver.requests:
        driver.turn()
    ramp = np.repeat(np.linspace(0.1, 0.9, HORIZON)[:, None], LAYOUT.dim, axis=1)
    driver.loop.accept(InferenceResult(driver.requests[-1].serial, ramp))
    held: Outcome | None = None
    while held is None or not held.holding:
        assert len(driver.outcomes) < 2 * HORIZON
        held = driver.turn()
    assert driver.loop.accept(InferenceError(driver.requests[-1].serial, "no answer within 1 s")) == (
        len(driver.requests) > 1
    )
    asked = len(driver.requests)
    while len(driver.requests) == asked:
        held = driver.turn()
    assert held is not None
    assert held.command is not None
    assert held.holding
    assert driver.requests[-1].prefix is None, "nothing is settled"
    stay = np.tile(held.command.positions, (HORIZON, 1))
    driver.loop.accept(InferenceResult(driver.requests[-1].serial, stay))
    for _ in range(8):
        outcome = driver.turn(ask=False)
        assert outcome is not None
        assert outcome.command is not None
        assert not outcome.holding
        np.testing.assert_allclose(outcome.command.positions, held.command.positions, atol=1e-12)


@pytest.mark.parametrize("mode", ["temporal_ensemble", "open_loop", "async", "consistent", "rtc"])
@settings(max_examples=10)
@given(lost=st.integers(1, 40), late=st.integers(0, 8), far=st.floats(-0.9, 0.9))
def test_a_server_that_is_back_is_followed_gently_from_where_the_robot_was_held(
    mode: str, lost: int, late: int, far: float
) -> None:
    """Whatever it wants by then: no step above the soft start's speed until it is near, none above the limit after."""
    share = 0.2
    driver = Driver(make_loop(mode, soft_start=share))
    driver.begin()
    while not driver.requests:
        driver.turn()
    driver.loop.accept(result(driver.requests[-1], HERE[0]))
    for _ in range(HORIZON + lost):  # the server is gone: each request is refused at once
        outcome = driver.turn()
        driver.loop.accept(InferenceError(driver.requests[-1].serial, "nobody listens there"))
    assert outcome is not None
    assert outcome.command is not None
    assert outcome.holding
    before = outcome.command.positions
    target, answered = np.array([far, HERE[0]]), 0
    for turn in range(200):
        if turn > late and len(driver.requests) > answered:
            answered = len(driver.requests)
            driver.loop.accept(InferenceResult(driver.requests[-1].serial, np.tile(target, (HORIZON, 1))))
        outcome = driver.turn()
        assert outcome is not None
        assert outcome.command is not None
        step = np.abs(outcome.command.positions - before).max()
        near = np.abs(target - before).max() <= 0.05 * 2.0
        assert step <= (1.0 if near else share) * VELOCITY + 1e-9
        driver.here = before = outcome.command.positions
    np.testing.assert_allclose(before, target, atol=1e-6)


def test_a_chunk_made_before_a_hold_is_played_by_its_ticks_and_the_next_one_takes_over() -> None:
    driver = started()
    while not (outcome := driver.turn()) or not outcome.holding:
        pass
    before = driver.requests[-1]
    driver.loop.accept(result(before, 0.3))
    outcome = driver.turn()
    assert outcome is not None
    assert not outcome.holding
    assert driver.loop.pipeline.executor.coming(driver.loop.tick).shape[0] == HORIZON - (driver.loop.tick - before.tick)
    driver.loop.accept(result(driver.requests[-1], -0.3))
    assert (driver.loop.pipeline.executor.coming(driver.loop.tick) == -0.3).all(), "without a fade"
    driver.turn()
    driver.loop.accept(result(driver.requests[-1], 0.3))
    assert not (driver.loop.pipeline.executor.coming(driver.loop.tick + 1) == 0.3).all(), "and the one after that fades"


def test_one_error_after_another_is_silence_since_the_first() -> None:
    driver = started()
    asked = driver.now
    for _ in range(15):
        driver.loop.accept(InferenceError(driver.requests[-1].serial, "cam: does not decode"))
        outcome = driver.turn()
        assert outcome is not None
        assert outcome.holding == (driver.now - asked > SILENCE)
        assert driver.loop.error == "cam: does not decode"
    driver.loop.accept(result(driver.requests[-1]))
    assert driver.loop.error is None
    outcome = driver.turn()
    assert outcome is not None
    assert not outcome.holding


def test_a_failure_holds_at_once_and_until_the_next_begin() -> None:
    driver = started()
    driver.loop.fail("RuntimeError: no more")
    asked = len(driver.requests)
    for _ in range(5):
        outcome = driver.turn()
        assert outcome is not None
        assert outcome.holding
    assert len(driver.requests) == asked
    driver.begin()
    driver.turn()
    driver.turn()
    assert len(driver.requests) > asked


@given(st.integers(1, 20))
def test_answers_from_before_a_begin_are_not_played_after_it(turns: int) -> None:
    driver = started()
    for _ in range(turns):
        driver.turn()
    old = list(driver.requests)
    driver.begin()
    for request in old:
        assert not driver.loop.accept(result(request, 0.9))
    assert driver.turn() is None
    assert driver.loop.tick == 1, "ticks are counted from the begin"


def test_a_stall_goes_on_with_the_tick_of_now() -> None:
    driver = started()
    before = driver.loop.tick
    driver.now += 9 * PERIOD
    driver.turn()
    assert driver.loop.tick == before + 10


def test_the_estop_holds_whatever_is_played() -> None:
    driver = started()
    driver.loop.estop = True
    outcome = driver.turn()
    assert outcome is not None
    assert outcome.holding
    assert driver.loop.hold(driver.now).holding
    driver.loop.estop = False
    outcome = driver.turn()
    assert outcome is not None
    assert not outcome.holding


@pytest.mark.parametrize("what", ["silent", "frozen"])
def test_what_is_old_holds_and_is_named(what: str) -> None:
    """A camera whose frames repeat ages with the time that passes, and does not wait for the next of its frames."""
    driver = started()
    driver.frames = False
    driver.turn()  # the same frame once more: from here on it repeats
    seen = driver.now - PERIOD
    named = ""
    while not named:
        outcome = driver.turn(sense=what == "frozen", ask=False)
        if driver.requests:
            driver.loop.accept(result(driver.requests[-1]))
        assert outcome is not None
        named = "; ".join(one.reason for one in outcome.safety_events if one.name == "stale")
        assert driver.now - seen <= AGE + 2 * PERIOD
    assert "cam" in named
    assert ("observation" in named) == (what == "silent") or driver.now - seen > AGE


def test_a_request_carries_what_was_observed_before_it_in_this_episode() -> None:
    driver = Driver(make_loop(obs_offsets=(2, 1)))
    driver.begin()
    pasts = []
    for _ in range(5):
        driver.turn()
        if driver.requests and driver.loop.accept(result(driver.requests[-1])):
            tick = driver.requests[-1].tick
            past = driver.requests[-1].past
            pasts.append([None if one is None else driver.loop.ticks.nearest(one.stamp_ns) - tick for one in past])
    assert pasts[0] in ([None, None], [None, -1])
    assert pasts[-1] == [-2, -1]
    driver.begin()
    while not driver.requests or driver.loop.latest is None:
        driver.turn()
    assert driver.requests[-1].past[0] is None


@given(st.lists(st.integers(0, 14), min_size=1, max_size=6))
def test_commands_from_elsewhere_hold_once_their_caller_is_silent(pauses: list[int]) -> None:
    """`heard` is the caller's sign of life: between two of them the last command stays, for as long as is allowed."""
    sync = Synchronizer(STREAMS, LAYOUT.contract.sync, LAYOUT.contract.rate_hz)
    options = ExecutionOptions(silence_ns=SILENCE, age_ns=AGE, soft_start=1.0)
    driver = Driver(ControlLoop(sync, make_direct_pipeline(options, LAYOUT, STREAMS)))
    driver.begin()
    while driver.loop.latest is None:
        assert driver.turn() is None, "no chunk ever comes"
    for pause in pauses:
        heard = driver.now
        driver.loop.heard(heard)
        for _ in range(pause + 1):
            outcome = driver.loop.send(Command(np.array([0.12, 0.2])), driver.now)
            assert outcome.holding == (driver.now - heard > SILENCE)
            driver.turn()
    assert not driver.requests


def test_a_driver_that_comes_back_finds_no_old_command_and_begins_from_where_its_arm_is() -> None:
    """It dies for 3 s, the arm falls; started again, it goes wherever it is sent, at once."""
    driver = started("temporal_ensemble")
    driver.loop.accept(result(driver.requests[-1], 0.6))

    def turns(count: int, *, follow: bool, sense: bool = True) -> list[Outcome]:
        outcomes = []
        for _ in range(count):
            if not sense:  # the camera alone goes on
                driver.loop.sync.push(
                    "cam", driver.now + PERIOD, "frame", now_ns=driver.now + PERIOD, content=driver.now
                )
            outcome = driver.turn(sense=sense)
            if driver.requests and driver.loop.accept(result(driver.requests[-1], 0.6)):
                driver.requests.clear()
            assert outcome is not None
            assert outcome.command is not None
            if follow:
                driver.here = outcome.command.positions.copy()
            outcomes.append(outcome)
        return outcomes

    turns(100, follow=True)
    assert driver.here[0] == pytest.approx(0.6)
    gone = turns(150, follow=False, sense=False)
    assert all(outcome.holding for outcome in gone[15:])
    heard = [not outcome.silent for outcome in gone]
    assert heard.index(False) == pytest.approx((AGE + SILENT_NS) / PERIOD, abs=2), "a hold is sent on at first"
    assert not any(heard[heard.index(False) :])
    driver.here = np.array([-0.9, 0.6])
    back = turns(200, follow=True)
    first = back[0].command
    assert first is not None
    np.testing.assert_allclose(first.positions, [-0.9, 0.6], atol=1e-9)
    assert (back[0].silent, back[0].holding) == (frozenset(), True)
    words = back[0].reason("returned")
    assert words is not None
    assert words.startswith("left/waist heard again, up to 1.5 from where last commanded")
    way = np.array([outcome.command.positions for outcome in back if outcome.command is not None])
    assert np.abs(np.diff(way, axis=0)).max() <= VELOCITY + 1e-9
    assert way[-1, 0] == pytest.approx(0.6), "and goes on with the policy"


def test_a_driver_that_is_silent_for_a_moment_is_not_begun_anew() -> None:
    driver = started()
    driver.loop.accept(result(driver.requests[-1], 0.6))
    for _ in range(40):
        driver.turn(sense=False)
    driver.here = np.array([-0.9, 0.2])
    outcome = driver.turn()
    assert outcome is not None
    assert not any(one.silent for one in driver.outcomes if one is not None)
    assert outcome.reason("returned") is None
