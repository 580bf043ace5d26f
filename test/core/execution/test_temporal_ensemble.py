"""Temporal ensembling against its plain definition, for whatever way predictions arrive in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.chunks import played

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import TemporalEnsemble

DIM = 2


def plain(arrived: dict[int, np.ndarray], tick: int, coefficient: float) -> np.ndarray | None:
    """The definition: all predictions that cover `tick`, oldest first, weights exp(-m i), normalised."""
    rows = [chunk[tick - made] for made, chunk in sorted(arrived.items()) if 0 <= tick - made < len(chunk)]
    if not rows:
        return None
    weights = np.exp(-coefficient * np.arange(len(rows)))
    return (weights[:, None] * np.stack(rows)).sum(axis=0) / weights.sum()


def original(chunks: np.ndarray, coefficient: float) -> list[np.ndarray]:
    """The way of tonyzhaozh/act, one prediction a tick, (T, H, D) without zeros: its table and its filter."""
    total, horizon, dim = chunks.shape
    table = np.zeros((total, total + horizon, dim))
    actions = []
    for tick in range(total):
        table[tick, tick : tick + horizon] = chunks[tick]
        column = table[:, tick]
        filled = column[np.all(column != 0, axis=1)]
        weights = np.exp(-coefficient * np.arange(len(filled)))
        actions.append((filled * (weights / weights.sum())[:, None]).sum(axis=0))
    return actions


@dataclass
class Story:
    """Predictions in the order of their arrival: (tick at which it comes, tick it was made for, chunk)."""

    horizon: int
    ticks: int
    arrivals: list[tuple[int, int, np.ndarray]]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    horizon, ticks = draw(st.integers(1, 12)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed)
    made = draw(st.lists(st.tuples(st.integers(0, ticks - 1), st.integers(0, 15)), max_size=50))
    arrivals = []
    for tick, late in made:
        chunk = values.normal(size=(horizon, DIM))
        chunk[values.random(chunk.shape) < 0.2] = 0.0
        arrivals.append((tick + late, tick, chunk))
    arrivals.sort(key=lambda arrival: arrival[0])  # stable: within a tick, any order
    return Story(horizon, ticks, arrivals)


def assert_same(found: np.ndarray | None, expected: np.ndarray | None) -> None:
    if expected is None:
        assert found is None
    else:
        assert found is not None
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@settings(max_examples=300, deadline=None)
@given(story=stories(), coefficient=st.sampled_from([0.01, 0.0, 0.1, 1.0, -0.2]))
def test_equals_the_plain_definition_however_predictions_arrive(story: Story, coefficient: float) -> None:
    ensemble = TemporalEnsemble(story.horizon, DIM, coefficient, reorder=story.horizon)
    arrived: dict[int, np.ndarray] = {}
    waiting = list(story.arrivals)
    for tick in range(story.ticks + story.horizon + 16):
        while waiting and waiting[0][0] == tick:
            _, made, chunk = waiting.pop(0)
            ensemble.add_chunk(made, chunk)
            arrived.setdefault(made, chunk)  # a duplicate: the first one stands
        assert_same(ensemble.action(tick), plain(arrived, tick, coefficient))
        coming = ensemble.coming(tick)
        for ahead in range(story.horizon):
            assert_same(coming[ahead] if ahead < len(coming) else None, plain(arrived, tick + ahead, coefficient))


@settings(max_examples=200, deadline=None)
@given(story=stories(), reorder=st.integers(0, 4))
def test_what_it_drops_is_as_if_it_had_been_missing(story: Story, reorder: int) -> None:
    ensemble = TemporalEnsemble(story.horizon, DIM, reorder=reorder)
    used: dict[int, np.ndarray] = {}
    made_so_far: list[int] = []
    for tick, made, chunk in story.arrivals:
        overtaken = sum(other > made for other in set(made_so_far))
        fresh = made not in used and made > max(made_so_far, default=made) - story.horizon
        accepted = ensemble.add_chunk(made, chunk)
        assert fresh if accepted else not fresh or overtaken > reorder
        made_so_far.append(made)
        if accepted:
            used[made] = chunk
        assert_same(ensemble.action(tick), plain(used, tick, 0.01))


def test_one_prediction_a_tick_is_acts_own_result() -> None:
    chunks = np.random.default_rng(0).normal(size=(120, 20, 14))
    ensemble = TemporalEnsemble(20, 14)
    for tick, expected in enumerate(original(chunks, 0.01)):
        assert ensemble.wants_inference(tick)
        assert ensemble.add_chunk(tick, chunks[tick])
        assert not ensemble.wants_inference(tick)
        np.testing.assert_allclose(played(ensemble, tick), expected, rtol=0, atol=1e-13)


def test_no_drift_over_thousands_of_ticks() -> None:
    horizon, values = 20, np.random.default_rng(1)
    ensemble = TemporalEnsemble(horizon, DIM)
    alive: dict[int, np.ndarray] = {}
    for tick in range(20_000):
        made = tick - int(values.integers(0, 6))  # out of order, doubled, skipped
        chunk = values.normal(size=(horizon, DIM)) * 10.0 ** values.integers(-3, 4)
        if ensemble.add_chunk(made, chunk):
            alive[made] = chunk
        alive = {made: chunk for made, chunk in alive.items() if made > tick - horizon}
        if tick % 97 == 0 or tick > 19_900:
            wanted = plain(alive, tick, 0.01)
            assert wanted is not None
            np.testing.assert_allclose(played(ensemble, tick), wanted, rtol=0, atol=1e-10)


def test_memory_does_not_grow_with_time() -> None:
    ensemble = TemporalEnsemble(10, DIM, reorder=4)
    for tick in range(1000):
        ensemble.add_chunk(tick, np.ones((10, DIM)))
    held = [value for value in vars(ensemble).values() if isinstance(value, list)]
    assert held
    assert all(len(value) <= 4 for value in held)


def test_the_callers_array_is_not_kept() -> None:
    chunk = np.zeros((3, DIM), dtype=np.float32)
    ensemble = TemporalEnsemble(3, DIM)
    ensemble.add_chunk(0, chunk)
    ensemble.add_chunk(2, chunk)
    chunk[:] = 7.0
    ensemble.add_chunk(1, np.zeros((3, DIM)))  # takes the copy of 2 out and puts it back
    np.testing.assert_array_equal(ensemble.coming(2), np.zeros((3, DIM)))


def test_reset_forgets() -> None:
    ensemble = TemporalEnsemble(3, DIM)
    ensemble.add_chunk(5, np.full((3, DIM), 9.0))
    ensemble.reset()
    assert ensemble.action(5) is None
    assert ensemble.wants_inference(0)
    ensemble.add_chunk(0, np.ones((3, DIM)))
    np.testing.assert_allclose(ensemble.coming(0), np.ones((3, DIM)), rtol=1e-15)


@pytest.mark.parametrize("shape", [(3,), (2, DIM), (3, DIM + 1), (1, 3, DIM)])
def test_a_chunk_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(VgilError, match=r"chunk: found shape .*expected .*\(3, 2\)"):
        TemporalEnsemble(3, DIM).add_chunk(0, np.zeros(shape))


@pytest.mark.parametrize("coefficient", [float("nan"), float("-inf"), -100.0])
def test_a_coefficient_without_finite_weights_is_refused(coefficient: float) -> None:
    with pytest.raises(VgilError, match="coefficient"):
        TemporalEnsemble(100, DIM, coefficient)
