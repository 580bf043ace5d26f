"""Real-time chunking: what is settled comes out as it is, and whatever the latency, nothing jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunks import played

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import (
    Prefix,
    RealTimeChunking,
    check_mode,
    make_executor,
    measure_smoothness,
    prefix_weights,
)

STEP = 0.01  # the largest motion of a chunk from row to row


@dataclass
class Asked:
    made_for: int
    arrives: int
    prefix: Prefix | None
    chunk: np.ndarray


def obedient(horizon: int, prefix: Prefix | None, random: np.random.Generator) -> np.ndarray:
    """A chunk (H, 1) that keeps what is settled and walks on from there; anywhere if nothing is settled."""
    walk = np.cumsum(random.uniform(-STEP, STEP, (horizon, 1)), axis=0) + random.normal()
    if prefix is None:
        return walk
    count = int(np.sum(prefix.weight == 1.0))
    walk += prefix.action[count - 1] - walk[count - 1]
    walk[:count] = prefix.action[:count]
    return walk


@dataclass
class Run:
    commands: list[float]
    late: int
    asked: list[Asked]


def play(executor: RealTimeChunking, horizon: int, latencies: list[int], seed: int, lag: int = 0) -> Run:
    """The control loop: answers, a question when none is open, a command. Latency in ticks, one for each question."""
    random = np.random.default_rng(seed)
    waiting: Asked | None = None
    run = Run([], 0, [])
    tick = lag
    while len(run.asked) < len(latencies):
        if waiting and tick >= waiting.arrives:
            executor.add_chunk(waiting.made_for, waiting.chunk)
            waiting = None
        if waiting is None and executor.wants_inference(tick):
            made_for = tick - lag
            prefix = executor.prefix(made_for)
            chunk = obedient(horizon, prefix, random)
            waiting = Asked(made_for, tick + latencies[len(run.asked)], prefix, chunk)
            run.asked.append(waiting)
        action = executor.action(tick)
        if run.commands or action is not None:
            assert action is not None, "a plan of 40 rows outlasts every latency here"
            run.commands.append(float(action[0]))
        tick += 1
    run.late = executor.late
    return run


@settings(deadline=None)
@given(
    latencies=st.lists(st.integers(1, 8), min_size=2, max_size=25),
    lag=st.integers(0, 2),
    every=st.integers(1, 10),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_latency_makes_a_jump(latencies: list[int], lag: int, every: int, seed: int) -> None:
    """In time: no step beyond the chunks' own. Late: only as much as a fade spreads."""
    run = play(RealTimeChunking(40, 1, every, blend=5), 40, latencies, seed, lag)
    jump = np.abs(np.diff(run.commands)).max(initial=0.0)
    if not run.late:
        assert jump <= STEP + 1e-12
    apart = max(np.ptp([*run.commands, *np.ravel([asked.chunk for asked in run.asked])]), 1e-9)
    assert jump <= STEP + apart / 6 + 1e-12


@settings(deadline=None)
@given(latency=st.integers(1, 12), jitter=st.integers(0, 1), seed=st.integers(0, 2**32 - 1))
def test_a_latency_that_stays_is_never_late(latency: int, jitter: int, seed: int) -> None:
    """One tick to spare is in the estimate."""
    latencies = [latency + jitter * (index % 2) for index in range(20)]
    run = play(RealTimeChunking(40, 1), 40, latencies, seed)
    assert run.late == 0
    assert measure_smoothness(np.reshape(run.commands, (-1, 1))).first_difference_max[0] <= STEP + 1e-12


@settings(deadline=None)
@given(latencies=st.lists(st.integers(1, 8), min_size=3, max_size=20), seed=st.integers(0, 2**32 - 1))
def test_what_is_settled_is_what_is_played(latencies: list[int], seed: int) -> None:
    executor = RealTimeChunking(40, 1)
    run = play(executor, 40, latencies, seed)
    first = run.asked[0].arrives  # the tick of the first command
    for asked in run.asked[:-1]:
        if asked.prefix is None:
            continue
        for row in np.flatnonzero(asked.prefix.weight == 1.0):
            place = asked.made_for + int(row) - first
            if place < len(run.commands) and asked.made_for + row < asked.arrives:
                assert run.commands[place] == asked.prefix.action[row, 0]


@given(horizon=st.integers(1, 60), delay=st.integers(0, 60), overlap=st.integers(0, 60))
def test_weights_fall_from_one_to_zero(horizon: int, delay: int, overlap: int) -> None:
    weight = prefix_weights(horizon, delay, min(overlap, horizon))
    assert weight.shape == (horizon,)
    assert (np.diff(weight) <= 0).all()
    settled, end = min(delay, overlap, horizon), min(overlap, horizon)
    assert (weight[:settled] == 1.0).all()
    assert (weight[settled:end] > 0.0).all()
    assert (weight[settled:end] < 1.0).all()
    assert (weight[end:] == 0.0).all()


def test_weights_are_the_papers() -> None:
    weight = prefix_weights(horizon=8, delay=2, overlap=6)
    rest = np.array([4, 3, 2, 1]) / 5
    np.testing.assert_allclose(weight, [1, 1, *(rest * (np.exp(rest) - 1) / (np.e - 1)), 0, 0])


def test_the_delay_is_the_longest_of_the_last_ten_and_one_more() -> None:
    executor = RealTimeChunking(30, 1)
    seen: list[int] = []
    for number, latency in enumerate([9] + [3] * 12):
        tick = number * 10
        executor.add_chunk(tick, np.zeros((30, 1)))
        executor.wants_inference(tick + latency)
        seen.append(executor.delay)
    assert seen == [10] * 10 + [4] * 3
    executor.reset()
    assert executor.delay == 1


def test_a_late_chunk_is_faded_in_and_counted() -> None:
    executor = RealTimeChunking(20, 1, blend=3)
    executor.add_chunk(0, np.zeros((20, 1)))
    for tick in range(4):
        executor.wants_inference(tick)
        executor.action(tick)
    prefix = executor.prefix(4)
    assert prefix is not None
    settled = int(np.sum(prefix.weight == 1.0))
    assert settled == 1
    chunk = np.full((20, 1), 4.0)
    chunk[:settled] = 0.0
    for tick in range(4, 8):
        assert executor.action(tick) == 0.0
    assert executor.add_chunk(4, chunk)
    assert executor.late == 1
    assert [float(played(executor, tick)[0]) for tick in range(8, 13)] == [1, 2, 3, 4, 4]
    assert executor.delay == 5, "and the next question knows"


def test_a_request_reaches_back_to_what_was_played() -> None:
    """The newest observation may be some ticks old; what was played since is settled whatever the delay."""
    executor = RealTimeChunking(10, 1)
    executor.add_chunk(0, np.arange(10.0)[:, None])
    for tick in range(5):
        executor.wants_inference(tick)
        executor.action(tick)
    executor.wants_inference(5)
    prefix = executor.prefix(3)
    assert prefix is not None
    np.testing.assert_array_equal(prefix.action[:7, 0], np.arange(3.0, 10.0))
    np.testing.assert_array_equal(prefix.weight == 1.0, [True] * 3 + [False] * 7)
    np.testing.assert_array_equal(prefix.weight[7:], 0.0)
    sent = prefix.as_observation()
    assert sent["action"].shape == (10, 1)
    assert sent["weight"].shape == (10,)
    assert sent["action"].dtype == sent["weight"].dtype == np.float32


def test_nothing_is_settled_without_a_plan() -> None:
    executor = RealTimeChunking(6, 2)
    assert executor.prefix(0) is None
    executor.add_chunk(0, np.zeros((6, 2)))
    assert executor.prefix(6) is None
    executor.add_chunk(1, np.full((6, 2), np.nan))
    assert executor.prefix(2) is None, "what is no number cannot be agreed with; safety stops it"


def test_an_answer_that_has_ended_is_refused_and_its_delay_remembered() -> None:
    executor = RealTimeChunking(4, 1, blend=2)
    executor.add_chunk(0, np.zeros((4, 1)))
    for tick in range(10):
        executor.wants_inference(tick)
        executor.action(tick)
    assert not executor.add_chunk(5, np.ones((4, 1)))
    executor.wants_inference(10)
    assert executor.delay == 4, "never more than a chunk"
    assert executor.add_chunk(8, np.ones((4, 1)))
    assert executor.late == 0, "nothing was being played"
    assert executor.action(10) == 1.0
    assert not executor.add_chunk(7, np.zeros((4, 1)))


def test_a_policy_that_cannot_keep_to_it_is_refused() -> None:
    check_mode("rtc", "flow_matching", True)
    check_mode("async", "act", False)
    with pytest.raises(VgilError, match=r"rtc: a policy of type act cannot keep .* temporal_ensemble, open_loop"):
        check_mode("rtc", "act", False)
    with pytest.raises(VgilError, match="rtc: unknown option fast; allowed are inference_period, blend"):
        make_executor("rtc", 4, 1, fast=True)


def test_a_caller_that_asks_nothing_while_it_waits_is_understood() -> None:
    """The clock stands still for the executor until the first chunk has come."""
    executor = RealTimeChunking(30, 1)
    executor.wants_inference(0)
    executor.add_chunk(0, np.zeros((30, 1)))
    executor.wants_inference(10)
    assert executor.delay == 11
    prefix = executor.prefix(10)
    assert prefix is not None
    assert int(np.sum(prefix.weight == 1.0)) == 11
