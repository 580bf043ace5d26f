"""Laws of human takeover: no step at either hand-over, whatever the two want; silence holds; the e-stop wins."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ChunkSize, ExecutionOptions, make_action_pipeline
from vgil_ros.core.control.requests import InferenceRequest, InferenceResult
from vgil_ros.core.control.takeover import BACK_NS, Actor, Decision, Takeover
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.leader_follower import ALIGN_SPEED
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Synchronizer

ARM = """
  - name: {name}
    puppet: {{topic: /{name}/p}}
    {master}
    command: {{topic: /{name}/c, type: joint_state}}
    joints: [waist, grip]
    limits: {{lower: [-1.0, 0.0], upper: [1.0, 1.0], velocity: [2.0, 4.0]}}
    home: [0.0, 0.0]
    gripper: {{joint: grip, puppet_range: [0.0, 1.0], master_range: [0.0, 1.0]}}
"""
MASTER = "master: {{topic: /{name}/m}}"


def layout_of(*led: bool) -> Layout:
    """Arms a, b, ...; those that are `led` have a master."""
    arms = [
        ARM.format(name=name, master=MASTER.format(name=name) if has else "")
        for name, has in zip("abc", led, strict=False)
    ]
    return Layout(parse_contract("name: small\nrate_hz: 50\narms:" + "".join(arms), "test"))


ONE, TWO = layout_of(True), layout_of(True, False)
MS = 1_000_000
PERIOD, ORIGIN, HORIZON = 20 * MS, 10**18, 20
STALE = 200 * MS
REACH = np.array([2.0, 4.0]) * PERIOD / 1e9  # a tick's way at the velocity limits
SLACK = 1e-9


@dataclass
class Bench:
    """A robot that is where it was commanded, a policy that answers at once, and a master."""

    layout: Layout = field(default_factory=lambda: ONE)
    mode: str = "async"
    now: int = ORIGIN
    master: np.ndarray = field(default_factory=lambda: np.zeros(2))
    wanted: np.ndarray = field(default_factory=lambda: np.zeros(2))  # (J,): the policy's action
    master_ns: int | None = None  # when the master was heard last; None: now
    answers: bool = True
    commands: list[np.ndarray] = field(default_factory=list)
    requests: list[InferenceRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        streams = policy_streams(self.layout.contract, ())
        sync = Synchronizer(streams, self.layout.contract.sync, self.layout.contract.rate_hz)
        size = ChunkSize(HORIZON, self.layout.dim, HORIZON)
        pipeline = make_action_pipeline(ExecutionOptions(self.mode), self.layout, streams, size)
        self.takeover = Takeover(self.layout)
        self.loop = ControlLoop(sync, pipeline, takeover=self.takeover)
        self.at = np.zeros(self.layout.joints)
        self.wanted = np.resize(self.wanted, self.layout.joints)
        self._sense()
        self.loop.begin(self.now)

    def _sense(self) -> None:
        for arm in self.layout.arms:
            payload = np.stack([self.at[arm.columns], np.zeros(2), np.zeros(2)])
            self.loop.sync.push(f"{arm.arm.name}/puppet", self.now, payload, now_ns=self.now)

    def turn(self) -> Outcome | None:
        """A period: the robot is sensed, the policy asked, a command sent."""
        self.now += PERIOD
        self._sense()
        while (sample := self.loop.sync.sample(self.now)) is not None:
            self.loop.observe(sample)
        heard = self.now if self.master_ns is None else self.master_ns
        self.loop.masters = [(self.master.copy(), heard)]
        outcome = self.loop.step(self.now)
        if outcome is not None and outcome.command is not None:
            self.at = outcome.command.positions
            self.commands.append(self.at)
        request = self.loop.request(self.now)
        if request is not None:
            self.requests.append(request)
            if self.answers:
                self.loop.accept(InferenceResult(request.serial, np.tile(self.wanted, (HORIZON, 1))))
        return outcome

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.turn()

    @property
    def decision(self) -> Decision:
        assert self.loop.decision is not None
        return self.loop.decision

    def assert_within_limits(self) -> None:
        steps = np.abs(np.diff(np.array([np.zeros(self.layout.joints), *self.commands]), axis=0))
        assert (steps <= np.resize(REACH, self.layout.joints) + SLACK).all()


POSES = st.tuples(st.floats(-3.0, 3.0), st.floats(-0.5, 1.5)).map(np.array)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["take", "back", "master", "policy", "silence", "estop", "mute", "none"]),
        POSES,
        st.integers(1, 12),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.sampled_from(["async", "temporal_ensemble", "open_loop"]))
def test_no_command_is_faster_than_the_velocity_limits_whatever_the_two_do_and_whenever_they_change(
    events: list[tuple[str, np.ndarray, int]], mode: str
) -> None:
    bench = Bench(mode=mode)
    bench.turns(5)
    for what, pose, ticks in events:
        if what == "take":
            bench.loop.take_over()
        elif what == "back":
            bench.loop.hand_back(bench.now)
        elif what == "master":
            bench.master = pose
        elif what == "policy":
            bench.wanted = pose
        elif what == "silence":
            bench.master_ns = bench.now if bench.master_ns is None else None
        elif what == "estop":
            bench.loop.estop = not bench.loop.estop
        elif what == "mute":
            bench.answers = not bench.answers
        bench.turns(ticks)
    bench.assert_within_limits()
    inside = np.clip(np.array(bench.commands), [-1.0, 0.0], [1.0, 1.0])
    assert np.allclose(inside, bench.commands, atol=1e-9), "and none leaves the position limits"


@settings(max_examples=15, deadline=None)
@given(POSES, POSES)
def test_the_human_gets_the_arms_and_the_policy_gets_them_back_by_the_same_slow_way(
    master: np.ndarray, wanted: np.ndarray
) -> None:
    bench = Bench(master=master, wanted=wanted)
    bench.turns(150)
    assert bench.decision.actor is Actor.POLICY
    assert bench.loop.take_over()
    assert not bench.loop.take_over()
    before = bench.at
    bench.turn()
    assert (np.abs(bench.at - before) <= ALIGN_SPEED * REACH + SLACK).all(), "the way to the master begins slowly"
    grip = before[1]
    bench.turns(250)
    assert bench.decision.actor is Actor.HUMAN
    assert bench.at == pytest.approx([np.clip(master[0], -1, 1), grip], abs=1e-6), "a gripper that nobody moved stays"
    assert bench.loop.hand_back(bench.now)
    assert not bench.loop.hand_back(bench.now)
    before = bench.at
    bench.turn()
    assert bench.decision.actor is Actor.RETURNING
    bench.turn()
    assert (np.abs(bench.at - before) <= 2 * ALIGN_SPEED * REACH + SLACK).all(), "and so does the way back"
    bench.turns(150 + round(BACK_NS / PERIOD))
    assert bench.decision.actor is Actor.POLICY
    assert bench.at == pytest.approx(np.clip(wanted, [-1, 0], [1, 1]), abs=1e-6)
    bench.assert_within_limits()


def test_the_policy_watches_and_is_asked_anew_when_it_gets_the_arms_back() -> None:
    bench = Bench(wanted=np.array([0.5, 0.5]))
    bench.turns(20)
    bench.loop.take_over()
    bench.master = np.array([-0.5, 0.1])
    count = len(bench.requests)
    bench.turns(60)
    assert len(bench.requests) > count + 10, "requests go on in shadow"
    assert bench.decision.policy == pytest.approx([0.5, 0.5])
    assert bench.decision.human == pytest.approx([-0.5, 0.1])
    bench.wanted = np.array([-0.9, 0.9])
    asked = len(bench.requests)
    bench.loop.hand_back(bench.now)
    held = bench.at
    outcome = bench.turn()
    assert outcome is not None
    assert bench.at == pytest.approx(held), (
        "what was planned before is forgotten: it holds until the new chunk is there"
    )
    assert bench.decision.waits == "the policy's next action"
    assert bench.requests[asked].tick >= bench.loop.tick - 2, "asked about where the robot is now"
    bench.turns(2)
    assert bench.decision.policy == pytest.approx([-0.9, 0.9])


def test_an_answer_to_what_was_asked_while_the_human_led_changes_nothing_after_the_hand_back() -> None:
    bench = Bench()
    bench.turns(10)
    bench.loop.take_over()
    bench.answers = False
    bench.turns(3)
    old = bench.requests[-1]
    bench.loop.hand_back(bench.now)
    assert not bench.loop.accept(InferenceResult(old.serial, np.ones((HORIZON, 2))))


def test_a_silent_master_holds_the_robot_and_says_so_and_is_aligned_with_anew() -> None:
    bench = Bench(master=np.array([0.8, 0.5]))
    bench.turns(10)
    bench.loop.take_over()
    bench.turns(120)
    assert bench.decision.actor is Actor.HUMAN
    assert bench.decision.intervention
    bench.master_ns = bench.now
    bench.turns(int(STALE / PERIOD) + 2)
    held = bench.at
    assert bench.decision.actor is Actor.ALIGNING
    assert not bench.decision.intervention
    assert "a: its master is silent for" in bench.decision.waits
    assert np.isnan(bench.decision.human).all()
    bench.turns(20)
    assert bench.at == pytest.approx(held)
    bench.master_ns, bench.master = None, np.array([-0.8, 0.5])
    bench.turn()
    assert abs(bench.at[0] - held[0]) <= ALIGN_SPEED * REACH[0] + SLACK
    bench.turns(200)
    assert bench.decision.actor is Actor.HUMAN


def test_a_near_master_is_aligned_with_anew_after_a_silence_and_those_rows_are_no_corrections() -> None:
    bench = Bench()
    bench.turns(10)
    bench.loop.take_over()
    bench.turns(20)
    assert bench.decision.actor is Actor.HUMAN
    bench.master_ns = bench.now
    bench.turns(round(800 * MS / PERIOD))
    held = bench.at
    bench.master_ns, bench.master = None, np.array([0.19, 0.0])
    bench.turn()
    assert abs(bench.at[0] - held[0]) <= ALIGN_SPEED * REACH[0] + SLACK
    assert bench.decision.actor is Actor.ALIGNING
    assert not bench.decision.intervention
    bench.turns(30)
    assert bench.decision.actor is Actor.HUMAN
    assert bench.at == pytest.approx([0.19, 0.0])


def test_a_taken_over_gripper_keeps_its_grip_until_the_human_moves_it() -> None:
    """jog's master stands where the gripper was measured: on the cube that the policy squeezes."""
    bench = Bench()
    bench.turns(10)
    bench.master = np.array([0.3, 0.35])
    bench.loop.take_over()
    while bench.decision.actor is not Actor.HUMAN:
        bench.turn()
        assert bench.at[1] == 0.0
    bench.master = np.array([-0.3, 0.35])
    bench.turns(50)
    assert bench.at == pytest.approx([-0.3, 0.0])
    bench.loop.estop = True
    bench.turns(3)
    bench.loop.estop = False
    bench.turns(50)
    assert bench.decision.actor is Actor.HUMAN
    assert bench.at == pytest.approx([-0.3, 0.0]), "nor does a hold on the way let go of it"
    bench.master = np.array([-0.3, 0.45])
    bench.turns(10)
    assert bench.at == pytest.approx([-0.3, 0.45])
    bench.assert_within_limits()


def test_a_takeover_without_any_master_heard_holds() -> None:
    bench = Bench(wanted=np.array([0.9, 0.9]))
    bench.turns(30)
    bench.loop.take_over()
    moving = bench.at
    bench.loop.masters = [None]
    decision = bench.takeover.decide(bench.now, PERIOD / 1e9, moving, Command(bench.wanted), [None])
    assert decision.command is not None
    assert decision.command.positions == pytest.approx(moving)
    assert decision.waits == "a: nothing to go by from its master"


def test_the_e_stop_holds_whoever_has_the_arms_and_the_hand_over_begins_anew_behind_it() -> None:
    bench = Bench(master=np.array([0.8, 0.5]))
    bench.turns(10)
    bench.loop.take_over()
    bench.turns(120)
    bench.loop.estop = True
    held = bench.at
    bench.master = np.array([-0.8, 0.0])
    for _ in range(20):
        outcome = bench.turn()
        assert outcome is not None
        assert outcome.holding
        assert bench.at == pytest.approx(held)
    bench.loop.estop = False
    before = bench.at
    bench.turn()
    assert abs(bench.at[0] - before[0]) <= ALIGN_SPEED * REACH[0] + SLACK
    assert bench.decision.actor is Actor.ALIGNING


def test_a_policy_that_has_died_can_be_taken_over_from() -> None:
    bench = Bench(master=np.array([0.5, 0.5]))
    bench.turns(10)
    bench.loop.fail("told to")
    assert bench.turn().holding  # type: ignore[union-attr]
    bench.loop.take_over()
    bench.turns(120)
    assert bench.decision.actor is Actor.HUMAN
    assert bench.at == pytest.approx([0.5, 0.0])
    assert bench.decision.policy is None


def test_a_silent_policy_holds_after_the_hand_back_by_its_watchdog() -> None:
    bench = Bench(master=np.array([0.5, 0.5]))
    bench.turns(10)
    bench.loop.take_over()
    bench.answers = False
    bench.turns(100)
    assert bench.decision.actor is Actor.HUMAN, "while a human leads, the policy may be silent"
    bench.loop.hand_back(bench.now)
    outcomes = [bench.turn() for _ in range(20)]
    assert "silent" in (outcomes[-1].reason("watchdog") or "")  # type: ignore[union-attr]


def test_an_arm_without_a_master_stays_where_it_is_while_the_human_leads() -> None:
    bench = Bench(layout=TWO, wanted=np.array([0.5, 0.5]))
    bench.turns(60)
    bench.loop.take_over()
    bench.master = np.array([-0.5, 0.4])
    bench.wanted = np.full(4, -0.9)
    bench.turns(120)
    assert bench.at == pytest.approx([-0.5, 0.5, 0.5, 0.5])
    bench.master = np.array([-0.5, 0.2])
    bench.turns(75)
    assert bench.at == pytest.approx([-0.5, 0.2, 0.5, 0.5])
    assert np.isnan(bench.decision.human[2:]).all()  # type: ignore[index]


def test_a_robot_without_a_master_cannot_be_taken_over() -> None:
    with pytest.raises(VgilError, match="no arm has a master; takeover needs one"):
        Takeover(layout_of(False, False))
    bench = Bench()
    loop = ControlLoop(bench.loop.sync, bench.loop.pipeline)
    assert not loop.take_over()
    assert not loop.hand_back(0)
