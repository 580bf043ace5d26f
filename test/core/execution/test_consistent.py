"""`consistent`: of several chunks the one that goes on with what is being played."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import Asynchronous, Consistent, make_executor

HORIZON, DIM = 12, 2


def way(made_for: int, side: float) -> np.ndarray:
    """A chunk that goes around something on one side: by tick, so that two chunks of one side agree."""
    ticks = made_for + np.arange(HORIZON, dtype=np.float64)
    return np.stack([ticks / 10, side * np.sin(ticks / 8)], axis=1)


def play(executor: Asynchronous, sides: np.random.Generator, draws: int, ticks: int = 80) -> np.ndarray:
    """Commands of a policy that goes left or right as it likes, each answer two ticks late."""
    executor.reset()
    commands: list[np.ndarray] = []
    due: dict[int, tuple[int, np.ndarray]] = {}
    for tick in range(ticks):
        if tick in due:
            executor.add_chunk(*due.pop(tick))
        if not due and executor.wants_inference(tick):
            drawn = np.stack([way(tick, sides.choice([-1.0, 1.0])) for _ in range(draws)])
            due[tick + 2] = (tick, drawn if draws > 1 else drawn[0])
        action = executor.action(tick)
        if action is not None:
            commands.append(action)
    return np.array(commands)


def test_it_stays_on_its_side_where_async_changes_over() -> None:
    largest = {}
    for name, executor, draws in (
        ("async", Asynchronous(HORIZON, DIM, 4), 1),
        ("consistent", Consistent(HORIZON, DIM, 4, draws=8), 8),
    ):
        steps = [np.abs(np.diff(play(executor, np.random.default_rng(s), draws)[:, 1])).max() for s in range(3)]
        largest[name] = max(steps)
    assert largest["consistent"] < 0.15, "its own motion is 1/8 a tick"
    assert largest["async"] > 2 * largest["consistent"]


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(0, 5))
def test_the_draw_nearest_to_the_plan_is_played(seed: int, draws: int, gap: int) -> None:
    random = np.random.default_rng(seed)
    executor = Consistent(HORIZON, DIM, blend=0, draws=draws)
    executor.add_chunk(0, way(0, 1.0))
    executor.action(gap)
    drawn = way(gap + 1, 1.0) + random.normal(0.0, 1.0, (draws, 1, 1))
    best = int(np.argmin(np.abs(drawn - way(gap + 1, 1.0)).max(axis=(1, 2))))
    assert executor.choose(gap + 1, drawn) == best
    assert executor.add_chunk(gap + 1, drawn)
    np.testing.assert_allclose(executor.action(gap + 1), drawn[best, 0])


def test_the_first_is_no_stray_one_and_what_is_not_finite_is_left_out() -> None:
    executor = Consistent(HORIZON, DIM, draws=4)
    drawn = np.stack([way(0, side) for side in (5.0, 1.0, 1.1, 0.9)])
    assert executor.choose(0, drawn) != 0
    spoilt = drawn.copy()
    spoilt[1, 3, 0] = np.nan
    spoilt[0, -1, 1] = np.inf
    assert executor.choose(0, spoilt) in (2, 3)
    assert executor.add_chunk(0, np.full((2, HORIZON, DIM), np.nan)), "then safety holds"


def test_with_one_draw_it_is_async() -> None:
    one, other = Consistent(HORIZON, DIM, 3, draws=1), Asynchronous(HORIZON, DIM, 3)
    first = play(one, np.random.default_rng(4), 1)
    np.testing.assert_array_equal(first, play(other, np.random.default_rng(4), 1))


def test_its_options() -> None:
    assert make_executor("consistent", HORIZON, DIM, draws=2).draws == 2
    assert Consistent.default_inference_period(50, 50, 10) == 25
    assert Consistent.default_inference_period(2, 2, 10) == 1
    with pytest.raises(VgilError, match="draws: found 0, allowed are 1 to 256"):
        Consistent(HORIZON, DIM, draws=0)
    with pytest.raises(VgilError, match="chunk: found shape"):
        Consistent(HORIZON, DIM).add_chunk(0, np.zeros((2, HORIZON, DIM + 1)))
