"""Open loop, asynchronous hand-over, the factory and the jump metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import (
    EXECUTORS,
    RENAMED_MODES,
    Asynchronous,
    OpenLoop,
    executor_class,
    make_executor,
    measure_smoothness,
    resolve_mode,
)

DIM = 3


def ramp(made_for: int, horizon: int) -> np.ndarray:
    """A chunk that says which tick each row is for and which tick it was made for."""
    ticks = made_for + np.arange(horizon, dtype=np.float64)
    return np.stack([ticks, np.full(horizon, made_for), np.zeros(horizon)], axis=1)


@settings(deadline=None)
@given(horizon=st.integers(1, 20), every=st.integers(1, 20), late=st.integers(0, 5))
def test_open_loop_plays_the_row_of_the_tick_and_asks_every_n(horizon: int, every: int, late: int) -> None:
    every = min(every, horizon)
    executor = OpenLoop(horizon, DIM, every)
    asked: list[int] = []
    for tick in range(60):
        if executor.wants_inference(tick) and (not asked or tick > asked[-1] + late):
            asked.append(tick)
        if asked and tick == asked[-1] + late:
            executor.add_chunk(asked[-1], ramp(asked[-1], horizon))
        action = executor.action(tick)
        newest = max((made for made in asked if made + late <= tick), default=None)
        if newest is None or tick >= newest + horizon:
            assert action is None
        else:
            np.testing.assert_array_equal(action, [tick, newest, 0])
    if late < every:
        assert set(np.diff(asked)) <= {every}


def test_open_loop_keeps_the_newest() -> None:
    executor = OpenLoop(4, DIM)
    assert executor.add_chunk(2, ramp(2, 4))
    assert not executor.add_chunk(1, ramp(1, 4))
    assert not executor.add_chunk(2, ramp(2, 4) + 1)
    np.testing.assert_array_equal(executor.coming(4), ramp(2, 4)[2:])
    assert executor.action(1) is None


@settings(max_examples=200, deadline=None)
@given(
    horizon=st.integers(2, 15),
    blend=st.integers(0, 8),
    made=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), min_size=1, max_size=15),
    seed=st.integers(0, 2**32 - 1),
)
def test_async_stays_among_the_predictions_and_bounds_the_hand_over(
    horizon: int, blend: int, made: list[tuple[int, int]], seed: int
) -> None:
    """Constant chunks: all motion is hand-over, so its laws can be read off."""
    blend = min(blend, horizon)
    executor = Asynchronous(horizon, 1, blend=blend)
    values = np.random.default_rng(seed)
    seen: list[float] = []
    accepted: list[int] = []
    previous: float | None = None
    quiet, newest, target = 0, -1, 0.0
    for tick in range(50):
        for start, _ in [item for item in made if sum(item) == tick]:
            value = float(values.normal())
            if executor.add_chunk(start, np.full((horizon, 1), value)):
                assert start > newest
                seen.append(value)
                accepted.append(tick)
                quiet, newest, target = 0, start, value
            else:
                assert start <= newest or start + horizon <= tick
        action = executor.action(tick)
        assert (action is None) == (newest < 0 or tick >= newest + horizon)
        if action is None:
            previous = None
            continue
        quiet += 1
        assert min(seen) - 1e-12 <= action[0] <= max(seen) + 1e-12
        if quiet > blend:
            assert action[0] == target  # the hand-over is over: the newest chunk as it is
        if previous is not None:
            spread = max(seen) - min(seen)
            fading = sum(tick - blend - 1 < when <= tick for when in accepted)  # each adds its own fade
            assert abs(action[0] - previous) <= fading * spread / (blend + 1) + 1e-12
        previous = float(action[0])


def test_async_fades_linearly_from_the_plan_to_the_new_chunk() -> None:
    executor = Asynchronous(8, 1, blend=3)
    executor.add_chunk(0, np.zeros((8, 1)))
    assert [executor.action(tick)[0] for tick in range(3)] == [0, 0, 0]
    executor.add_chunk(1, np.full((8, 1), 4.0))
    assert [executor.action(tick)[0] for tick in range(2, 9)] == [0, 1, 2, 3, 4, 4, 4]
    assert executor.action(9) is None


def test_async_a_plan_that_ends_within_the_fade_goes_on_at_its_last_row() -> None:
    executor = Asynchronous(4, 1, blend=3)
    executor.add_chunk(0, np.full((4, 1), 8.0))
    executor.action(2)
    executor.add_chunk(3, np.zeros((4, 1)))
    assert [executor.action(tick)[0] for tick in range(3, 7)] == [6, 4, 2, 0]


def test_async_asks_by_the_age_of_the_newest_prediction() -> None:
    executor = Asynchronous(10, 1, inference_period=4)
    assert executor.wants_inference(0)
    executor.add_chunk(0, np.zeros((10, 1)))
    assert [tick for tick in range(10) if executor.wants_inference(tick)] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("mode", sorted(EXECUTORS))
def test_every_executor_keeps_the_interface(mode: str) -> None:
    executor = make_executor(mode, horizon=5, dim=DIM)
    assert executor.action(0) is None
    assert executor.coming(0).shape == (0, DIM)
    assert executor.wants_inference(0)
    assert executor.add_chunk(0, ramp(0, 5).tolist())
    assert not executor.add_chunk(0, ramp(0, 5))
    assert not executor.wants_inference(0)
    for tick in range(5):
        coming = executor.coming(tick)
        action = executor.action(tick)
        np.testing.assert_array_equal(action, coming[0])
        np.testing.assert_allclose(coming, ramp(0, 5)[tick:], atol=1e-15)
        action[:] = 99.0  # the caller's own
    assert executor.action(5) is None
    executor.reset()
    assert executor.action(1) is None


@pytest.mark.parametrize(("old", "new"), RENAMED_MODES.items())
def test_a_mode_is_known_by_its_old_name_which_is_said(old: str, new: str) -> None:
    found, message = resolve_mode(old)
    assert found == new
    assert message is not None
    assert f"'{old}' is called '{new}' now" in message
    assert executor_class(old) is executor_class(new)
    assert type(make_executor(old, 5, DIM, inference_period=2)) is EXECUTORS[new]
    assert resolve_mode(new) == (new, None)


def test_an_unknown_mode_or_option_names_what_is_allowed() -> None:
    with pytest.raises(VgilError, match="'fast', allowed are temporal_ensemble, open_loop, async"):
        make_executor("fast", 5, DIM)
    with pytest.raises(VgilError, match="open_loop: unknown option blend; allowed are inference_period"):
        make_executor("open_loop", 5, DIM, blend=3)
    with pytest.raises(VgilError, match="inference_period: found 6, allowed are 1 to 5"):
        make_executor("open_loop", 5, DIM, inference_period=6)
    with pytest.raises(VgilError, match="horizon 0"):
        make_executor("async", 0, DIM)


def test_differences_of_a_ramp_with_one_step_in_it() -> None:
    ticks = np.arange(300, dtype=np.float64)
    commands = np.stack([0.01 * ticks, np.where(ticks < 150, 0.0, 1.0)], axis=1)
    smoothness = measure_smoothness(commands)
    np.testing.assert_allclose(smoothness.first_difference_max, [0.01, 1.0])
    np.testing.assert_allclose(smoothness.first_difference_p99, [0.01, 0.0], atol=1e-12)
    np.testing.assert_allclose(smoothness.second_difference_max, [0.0, 1.0], atol=1e-12)
    assert smoothness.as_dict()["first_difference_max"] == pytest.approx([0.01, 1.0])


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_differences_of_too_few_commands_are_zero(rows: int) -> None:
    smoothness = measure_smoothness(np.zeros((rows, DIM)))
    assert all(len(values) == DIM and not any(values) for values in smoothness.as_dict().values())
