"""Laws of the whole list of limits, over whatever is asked of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.safety import (
    Command,
    Entry,
    JointLimits,
    Outcome,
    SafetyContext,
    SafetyPipeline,
    standard_limits,
)
from vgil_ros.core.safety.position import TOLERATED

LOWER, UPPER = np.array([-1.5, 0.0, -0.2]), np.array([1.5, 1.0, 3.0])
VELOCITY, ACCELERATION = np.array([2.0, 1.0, 0.5]), np.array([20.0, 4.0, 30.0])
BASE = (0.5, 1.0)
MARGIN = 0.6  # beyond the limits, from where a robot may begin
PERIOD = 0.02
EPS = 1e-9
MS = 1_000_000
HOLDS = {"estop", "stale", "watchdog", "finite", "no_action"}

ODD = st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0])


@dataclass
class Tick:
    command: Command | None
    age_ms: int | None = 5
    silent_ms: int = 5
    estop: bool = False


def pipeline(accelerated: bool) -> SafetyPipeline:
    joints = JointLimits.of(LOWER, UPPER, VELOCITY, ACCELERATION if accelerated else None)
    limits = standard_limits(joints, {"cam": 100 * MS}, 200 * MS, base=BASE)
    return SafetyPipeline(joints, limits, has_base=True, entry=Entry(joints, np.full(3, MARGIN)))


@st.composite
def sequences(draw: st.DrawFn) -> list[Tick]:
    """Stretches of motion (still, steps, walks, far beyond the limits) with every kind of trouble in between."""
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    at, ticks = values.uniform(LOWER - 1, UPPER + 1), []
    fastest = VELOCITY * PERIOD
    kinds = st.sampled_from(
        ["still", "walk", "ramp", "wild", "odd", "odd_base", "none", "stale", "silent", "estop", "unheard"]
    )
    for kind, length in draw(st.lists(st.tuples(kinds, st.integers(1, 25)), min_size=1, max_size=8)):
        drift = values.choice([-1.0, 0.5, 1.0], size=3)
        for _ in range(length):
            if kind == "ramp":  # through the limits at full speed: what has to be braked in time
                at = at + fastest * drift
            else:
                at = at + values.normal(size=3) * {"still": 0.0, "wild": 2.0}.get(kind, 0.01)
            positions, base = at.copy(), values.normal(size=2)
            if kind == "odd":
                positions[values.integers(3)] = draw(ODD)
            if kind == "odd_base":
                base[values.integers(2)] = draw(ODD)
            tick = Tick(Command(positions, base) if kind != "none" else None)
            tick.age_ms = {"stale": 101, "unheard": None}.get(kind, 5)
            tick.silent_ms = 201 if kind == "silent" else 5
            tick.estop = kind == "estop"
            ticks.append(tick)
    return ticks


def play(safety: SafetyPipeline, ticks: list[Tick], measured: np.ndarray, period: float = PERIOD) -> list[Outcome]:
    outcomes = []
    for number, tick in enumerate(ticks):
        now = 10**9 + int(number * period * 1e9)
        context = SafetyContext(
            tick=number,
            now_ns=now,
            period_s=period,
            measured=measured,
            stream_ages_ns={"cam": None if tick.age_ms is None else tick.age_ms * MS},
            last_policy_ns=now - tick.silent_ms * MS,
            estop=tick.estop,
        )
        outcomes.append(safety.step(tick.command, context))
    return outcomes


def sent(outcome: Outcome) -> Command:
    """What was sent, where something must have been."""
    assert outcome.command is not None
    return outcome.command


def base_of(command: Command | None) -> np.ndarray:
    """The base's velocity in a command, where there must be one."""
    assert command is not None
    assert command.base is not None
    return command.base


def path(outcomes: list[Outcome], measured: np.ndarray) -> np.ndarray:
    """The positions (T + 1, D): where it was measured, be it outside its limits, then what was sent."""
    return np.stack([measured, *(sent(outcome).positions for outcome in outcomes)])


@settings(max_examples=300, deadline=None)
@given(ticks=sequences(), accelerated=st.booleans(), start=st.tuples(*[st.floats(0, 1)] * 3))
def test_nothing_outside_a_limit_is_ever_sent(ticks: list[Tick], accelerated: bool, start: tuple[float, ...]) -> None:
    """From anywhere, also outside: never a step, never farther out, and what has come in stays in."""
    reach = 0.999 * MARGIN
    measured = LOWER - reach + (UPPER - LOWER + 2 * reach) * np.array(start)
    safety = pipeline(accelerated)
    outcomes = play(safety, ticks, measured)
    positions = path(outcomes, measured)
    out = np.maximum(np.maximum(LOWER - positions, positions - UPPER), 0.0)
    assert np.all(np.diff(out, axis=0) <= 0.0)
    velocity = np.diff(positions, axis=0) / PERIOD
    assert np.all(np.abs(velocity) <= VELOCITY + EPS)
    if accelerated:
        change = np.diff(velocity, axis=0, prepend=np.zeros((1, 3))) / PERIOD
        assert np.all(np.abs(change) <= ACCELERATION + 1e-7)
    base = np.stack([base_of(outcome.command) for outcome in outcomes])
    assert np.all(np.abs(base) <= BASE)


@settings(max_examples=200, deadline=None)
@given(ticks=sequences(), accelerated=st.booleans())
def test_it_holds_exactly_when_there_is_a_reason_and_says_it(ticks: list[Tick], accelerated: bool) -> None:
    measured = np.array([0.0, 0.5, 1.0])
    safety = pipeline(accelerated)
    outcomes = play(safety, ticks, measured)
    total = 0
    for tick, outcome in zip(ticks, outcomes, strict=True):
        names = {event.name for event in outcome.safety_events}
        expected = set()
        if tick.command is None:
            expected.add("no_action")
        elif not np.isfinite(tick.command.positions).all() and not names & {"estop", "stale", "watchdog"}:
            expected.add("finite")
        expected |= {"estop"} if tick.estop else set()
        expected |= {"stale"} if tick.age_ms in (None, 101) else set()
        expected |= {"watchdog"} if tick.silent_ms == 201 else set()
        assert names & HOLDS == expected
        assert outcome.holding == bool(expected)
        assert all(event.reason for event in outcome.safety_events)
        if outcome.holding:
            assert not base_of(outcome.command).any()
        if not outcome.safety_events:  # nothing said: nothing changed, but for a hair beyond a position limit
            assert tick.command is not None
            inside = np.clip(tick.command.positions, LOWER, UPPER)
            assert np.all(np.abs(inside - tick.command.positions) <= TOLERATED)
            np.testing.assert_allclose(sent(outcome).positions, inside, rtol=0, atol=EPS)
            np.testing.assert_allclose(base_of(outcome.command), base_of(tick.command), rtol=0, atol=EPS)
        total += len(outcome.safety_events)
    assert safety.counts.total() == total


@settings(max_examples=100, deadline=None)
@given(ticks=sequences(), periods=st.lists(st.sampled_from([0.001, 0.02, 0.1]), min_size=1, max_size=5))
def test_position_and_velocity_hold_even_when_the_period_changes(ticks: list[Tick], periods: list[float]) -> None:
    safety, last = pipeline(True), np.array([0.0, 0.5, 1.0])
    for number, tick in enumerate(ticks):
        period = periods[number % len(periods)]
        (outcome,) = play(safety, [tick], last, period)
        positions = sent(outcome).positions
        assert np.all((positions >= LOWER) & (positions <= UPPER))
        assert np.all(np.abs(positions - last) <= VELOCITY * period + EPS)
        last = positions


@settings(max_examples=100, deadline=None)
@given(before=st.integers(1, 60), held=st.integers(30, 60), seed=st.integers(0, 2**32 - 1))
def test_a_hold_slows_down_within_the_limits_and_stops(before: int, held: int, seed: int) -> None:
    target = np.random.default_rng(seed).uniform(LOWER, UPPER)
    measured = np.array([0.0, 0.5, 1.0])
    ticks = [Tick(Command(target, np.ones(2)))] * before + [Tick(None)] * held
    positions = path(play(pipeline(True), ticks, measured), measured)
    velocity = np.diff(positions, axis=0) / PERIOD
    slowing = velocity[before - 1 :]
    assert np.all(np.abs(np.diff(np.abs(slowing), axis=0)) <= ACCELERATION * PERIOD + EPS)
    assert np.all(np.diff(np.abs(slowing), axis=0) <= EPS)  # never faster again
    assert np.all(slowing[1:] * slowing[0] >= -EPS)  # never backwards
    needed = int(np.ceil((VELOCITY / (ACCELERATION * PERIOD)).max())) + 1
    np.testing.assert_allclose(slowing[needed:], 0.0, atol=EPS)


def test_a_ramp_at_full_speed_through_a_limit_is_braked_before_it() -> None:
    measured = np.array([0.0, 0.5, 1.0])
    ramp = measured + np.minimum(np.arange(1, 400) / 50, 1.0)[:, None] * np.arange(399)[:, None] * VELOCITY * PERIOD
    for held_from in (399, 38, 30):
        ticks = [Tick(Command(row) if number < held_from else None) for number, row in enumerate(ramp)]
        positions = path(play(pipeline(True), ticks, measured), measured)
        velocity = np.diff(positions, axis=0, prepend=positions[:1]) / PERIOD
        assert np.abs(np.diff(velocity, axis=0)).max() > 0
        assert np.all(np.abs(np.diff(velocity, axis=0)) <= ACCELERATION * PERIOD + EPS)
        assert np.all((positions >= LOWER) & (positions <= UPPER))
        if held_from == 399:
            np.testing.assert_allclose(positions[-1], UPPER, atol=1e-6)


def test_without_acceleration_limits_a_hold_stays_at_the_last_safe_positions() -> None:
    measured = np.array([0.0, 0.5, 1.0])
    outcomes = play(pipeline(False), [Tick(Command(measured + 0.01, np.ones(2)))] * 3 + [Tick(None)] * 3, measured)
    for outcome in outcomes[3:]:
        np.testing.assert_array_equal(sent(outcome).positions, sent(outcomes[2]).positions)


@settings(max_examples=50, deadline=None)
@given(accelerated=st.booleans(), phase=st.floats(0, 6.3))
def test_a_motion_within_every_limit_passes_untouched(accelerated: bool, phase: float) -> None:
    seconds = np.arange(200) * PERIOD
    swing = np.sin(2 * seconds + phase) - np.sin(phase)
    ease = np.minimum(seconds, 1.0) ** 2 * (3 - 2 * np.minimum(seconds, 1.0))
    commands = np.array([0.0, 0.5, 1.0]) + np.outer(swing * ease, [0.2, 0.1, 0.05])
    outcomes = play(pipeline(accelerated), [Tick(Command(row, np.zeros(2))) for row in commands], commands[0])
    assert not any(outcome.safety_events for outcome in outcomes)
    np.testing.assert_allclose(path(outcomes, commands[0])[1:], commands, rtol=0, atol=EPS)


@settings(max_examples=20, deadline=None)
@given(accelerated=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_a_far_action_is_reached_slowly_and_not_overshot(accelerated: bool, seed: int) -> None:
    values = np.random.default_rng(seed)
    measured, target = values.uniform(LOWER, UPPER), values.uniform(LOWER, UPPER)
    outcomes = play(pipeline(accelerated), [Tick(Command(target, np.full(2, 0.1)))] * 1700, measured)
    positions = path(outcomes, measured)
    np.testing.assert_allclose(positions[-1], target, atol=1e-6)
    low, high = np.minimum(measured, target), np.maximum(measured, target)
    past = ACCELERATION * PERIOD**2 if accelerated else 1e-6  # the target stands still from one tick to the next
    assert np.all((positions >= low - past) & (positions <= high + past))
    speed = np.abs(np.diff(positions, axis=0)) / PERIOD
    for outcome, moved in zip(outcomes, speed, strict=True):
        if "soft_start" in {event.name for event in outcome.safety_events}:
            assert np.all(moved <= 0.2 * VELOCITY + EPS)
            assert not base_of(outcome.command).any()
    assert not outcomes[-1].safety_events
    np.testing.assert_array_equal(base_of(outcomes[-1].command), [0.1, 0.1])


@settings(max_examples=20, deadline=None)
@given(accelerated=st.booleans(), seed=st.integers(0, 2**32 - 1), held=st.integers(0, 5))
def test_from_outside_it_moves_inward_slowly_wherever_it_is_sent(accelerated: bool, seed: int, held: int) -> None:
    values = np.random.default_rng(seed)
    side = values.choice([LOWER - values.uniform(0, MARGIN, 3), UPPER + values.uniform(0, MARGIN, 3)])
    measured = np.where(values.random(3) < 0.5, side, values.uniform(LOWER, UPPER))
    target = measured + values.uniform(-0.7, 0.7, 3)
    ticks = [Tick(None)] * held + [Tick(Command(target))] * 800
    positions = path(play(pipeline(accelerated), ticks, measured), measured)
    np.testing.assert_array_equal(positions[: held + 1], np.tile(measured, (held + 1, 1)))
    out = np.maximum(np.maximum(LOWER - positions, positions - UPPER), 0.0)
    speed = np.abs(np.diff(positions, axis=0)) / PERIOD
    assert np.all(speed[(out[:-1] > TOLERATED).any(axis=1)] <= 0.2 * VELOCITY + EPS), "slowly while outside"
    assert np.all(speed <= VELOCITY + EPS)
    np.testing.assert_allclose(positions[-1], np.clip(target, LOWER, UPPER), atol=1e-6)
