"""One tick of acting, and what a session does when told to stand down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.contract import parse_contract
from vgil_ros.core.control.pipeline import (
    SMOOTHNESS_OVER,
    ActionPipeline,
    ChunkSize,
    ExecutionOptions,
    joint_limits,
    make_action_pipeline,
    safety_for,
)
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import make_executor
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Outcome, SafetyContext
from vgil_ros.core.session import Session, SessionCommand, SessionState
from vgil_ros.core.streams import policy_streams

PERIOD, HORIZON = 0.02, 8
TEXT = """
name: small
rate_hz: 50
arms:
  - name: left
    puppet: {topic: /p}
    command: {topic: /c, type: joint_state}
    joints: [waist, grip]
    limits: {lower: [-1.0, 0.0], upper: [1.0, 0.1], velocity: [2.0, 0.2]}
    home: [0.0, 0.1]
    gripper: {joint: grip, puppet_range: [0.0, 0.1], master_range: [0.0, 1.0]}
"""
BASE = "base: {odom: {topic: /odom}, command: {topic: /cmd_vel}, limits: {linear: 0.5, angular: 1.0}}\n"
MARKER = "end_marker: {rows: 3}\n"


def pipeline(extra: str = "", dim: int | None = None, mode: str = "open_loop") -> ActionPipeline:
    layout = Layout(parse_contract(TEXT + extra, "test"))
    width = dim or layout.dim
    return ActionPipeline(
        layout,
        make_executor(mode, HORIZON, width),
        safety_for(layout, {"cam": 10**8}, max_silence_ns=10**8, soft_start=1.0),
        width,
    )


def at(tick: int, **changes: Any) -> SafetyContext:
    now = tick * 20_000_000
    given = {"measured": np.array([0.0, 0.5]), "stream_ages_ns": {"cam": 0}, "last_policy_ns": now, **changes}
    return SafetyContext(tick=tick, now_ns=now, period_s=PERIOD, **given)


def act(one: ActionPipeline, context: SafetyContext) -> Outcome:
    """As the loop does it."""
    return one.send(one.proposal(context.tick), context)


def made(horizon: int, n_action_steps: int, options: ExecutionOptions) -> ActionPipeline:
    layout = Layout(parse_contract(TEXT, "test"))
    streams = policy_streams(layout.contract, cameras=())
    return make_action_pipeline(options, layout, streams, ChunkSize(horizon, layout.dim, n_action_steps))


@pytest.mark.parametrize(("coefficient", "expected"), [(None, 0.4975), (0.0, 0.5), (2.0, 0.1192), (-2.0, 0.8808)])
def test_the_ensemble_weighs_by_its_coefficient(coefficient: float | None, expected: float) -> None:
    executor = made(HORIZON, HORIZON, ExecutionOptions(ensemble_coefficient=coefficient)).executor
    executor.add_chunk(0, np.zeros((HORIZON, 2)))
    executor.add_chunk(1, np.ones((HORIZON, 2)))
    action = executor.action(1)
    assert action is not None
    np.testing.assert_allclose(action, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("horizon", "n_action_steps", "options", "expected"),
    [
        (30, 30, ExecutionOptions("open_loop"), 20),  # 200 ms are 10 ticks
        (30, 8, ExecutionOptions("open_loop"), 8),
        (30, 30, ExecutionOptions("open_loop", silence_ns=400_000_000), 10),
        (8, 8, ExecutionOptions("open_loop"), 1),
        (30, 30, ExecutionOptions("open_loop", inference_period=25), 25),
    ],
)
def test_an_open_loop_asks_while_its_chunk_lasts(
    horizon: int, n_action_steps: int, options: ExecutionOptions, expected: int
) -> None:
    executor = made(horizon, n_action_steps, options).executor
    executor.add_chunk(0, np.zeros((horizon, 2)))
    assert [executor.wants_inference(tick) for tick in (expected - 1, expected)] == [False, True]


def test_an_option_of_another_mode_is_refused() -> None:
    with pytest.raises(VgilError, match=r"execution async: unknown option coefficient; allowed are"):
        made(30, 30, ExecutionOptions("async", ensemble_coefficient=0.1))


def test_limits_of_a_gripper_are_in_its_normalised_units() -> None:
    limits = joint_limits(Layout(parse_contract(TEXT, "test")))
    np.testing.assert_allclose(limits.lower, [-1.0, 0.0])
    np.testing.assert_allclose(limits.upper, [1.0, 1.0])
    np.testing.assert_allclose(limits.velocity, [2.0, 2.0])
    assert limits.names == ("left/waist", "left/grip")


@given(st.lists(st.floats(-3, 3, width=32), min_size=HORIZON, max_size=HORIZON), st.integers(0, 5))
def test_whatever_a_chunk_says_commands_keep_the_limits(values: list[float], late: int) -> None:
    one = pipeline()
    one.executor.add_chunk(0, np.stack([values, values], axis=1))
    before = np.array([0.0, 0.5])
    for tick in range(late, HORIZON + 3):
        outcome = act(one, at(tick))
        assert outcome.command is not None
        sent = outcome.command.positions
        assert (np.abs(sent - before) <= np.array([0.04, 0.04]) + 1e-9).all()
        assert (sent >= [-1.0, 0.0]).all()
        assert (sent <= [1.0, 1.0]).all()
        assert outcome.holding == (tick >= HORIZON), "the chunk has ended: no action is a hold"
        if outcome.holding:
            np.testing.assert_array_equal(sent, before)
        before = sent


def test_a_new_episode_begins_where_the_robot_is_measured() -> None:
    one = pipeline()
    one.executor.add_chunk(0, np.full((HORIZON, 2), 0.5))
    for tick in range(HORIZON):
        act(one, at(tick))
    one.reset()
    outcome = act(one, at(0, measured=np.array([-0.7, 0.2])))
    assert outcome.command is not None
    np.testing.assert_allclose(outcome.command.positions, [-0.7, 0.2])
    assert outcome.holding, "chunks of the last episode are forgotten"
    assert len(one.sent) == 1


def test_the_base_is_driven_where_the_policy_gives_it_and_rests_otherwise_and_in_holds() -> None:
    with_base = pipeline(BASE, dim=4)
    chunk = np.zeros((HORIZON, 4))
    chunk[:, :2], chunk[:, 2:] = [0.0, 0.5], [0.2, -5.0]
    with_base.executor.add_chunk(0, chunk)
    moving = act(with_base, at(0)).command
    assert moving is not None
    assert moving.base is not None
    np.testing.assert_allclose(moving.base, [0.2, -1.0])
    held = act(with_base, at(1, stream_ages_ns={"cam": 2 * 10**8}))
    assert held.holding
    assert held.command is not None
    assert held.command.base is not None
    assert not held.command.base.any()
    without = pipeline(BASE, dim=2)
    without.executor.add_chunk(0, chunk[:, :2])
    rest = act(without, at(0)).command
    assert rest is not None
    assert rest.base is not None
    assert not rest.base.any()


def test_the_end_marker_ends_after_as_many_rows_in_a_row_and_moves_no_joint() -> None:
    one = pipeline(MARKER)
    marks = [1, 1, 0, 0.4, 0.6, 0.7, 0.8, 1]
    chunk = np.tile([0.0, 0.5, 0.0], (HORIZON, 1))
    chunk[:, 2] = marks
    one.executor.add_chunk(0, chunk)
    ended = []
    for tick in range(HORIZON):
        proposal = one.proposal(tick)
        assert proposal is not None
        assert proposal.marker == marks[tick], "for who records it"
        outcome = one.send(proposal, at(tick))
        assert outcome.command is not None
        assert outcome.command.positions.shape == (2,)
        ended.append(one.ended)
    assert ended == [False] * 6 + [True] * 2
    one.reset()
    assert not one.ended


@pytest.mark.parametrize(("extra", "dim", "allowed"), [("", 4, "[2]"), (BASE, 3, "[2, 4]"), (MARKER, 2, "[3]")])
def test_actions_of_another_size_are_refused(extra: str, dim: int, allowed: str) -> None:
    with pytest.raises(VgilError, match=f"have {dim} values; allowed for this robot: ".replace("[", r"\[")) as error:
        pipeline(extra, dim=dim)
    assert allowed in str(error.value)


def test_differences_are_measured_over_the_last_commands_and_memory_stays_flat() -> None:
    one = pipeline()
    assert one.smoothness() == {}
    for tick in range(4):
        one.send(None, at(tick))
    assert one.smoothness() == {"max": 0.0, "p99": 0.0}
    assert one.sent.maxlen == SMOOTHNESS_OVER


@pytest.mark.parametrize("state", [SessionState.PREPARING, SessionState.WAITING, SessionState.PAUSE])
def test_a_session_that_stands_down_begins_nothing_by_itself(state: SessionState) -> None:
    session = Session(autostart=True)
    session.advance(0, ("cam",))
    if state is not SessionState.PREPARING:
        session.prepared()
    if state is SessionState.PAUSE:
        session.advance(0, ())
        session.sampled()
        session.sampled()
        session.command(SessionCommand.STOP)
        session.closed(0, saved=True)
    assert session.state is state
    assert session.beginning
    session.stand_down()
    for now in range(5):
        assert session.advance(now * 10**9, ()) == ()
    assert session.state is SessionState.IDLE
    assert session.command(SessionCommand.START).ok


def test_a_session_that_stands_down_while_it_records_is_idle_once_that_is_closed() -> None:
    session = Session(autostart=True)
    session.advance(0, ())
    session.prepared()
    session.advance(0, ())
    assert session.state is SessionState.RUNNING
    session.stand_down()
    assert session.state is SessionState.RUNNING
    session.command(SessionCommand.STOP)
    session.closed(0, saved=False)
    assert session.state is SessionState.IDLE
    assert session.advance(10**9, ()) == ()
