"""Doubt of a policy: what is usual scores below 1, what is not above; nothing is known before anything was seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.control.doubt import NEIGHBOUR, DoubtMeter, Familiar, inconsistency, spread

PERIOD = 0.02


def familiar(**changes: object) -> Familiar:
    """Data along a line: both joints together, from 0 to 1, at rest."""
    way = np.linspace(0.0, 1.0, 201)
    points = np.stack([way, way, 0 * way, 0 * way], axis=1).astype(np.float32)
    given = {"points": points, "scale": np.ones(4), "action_scale": np.array([0.5, 2.0]), "novelty": 0.05}
    return Familiar(**{**given, **changes})  # type: ignore[arg-type]


def test_novelty_is_the_distance_to_a_near_neighbour() -> None:
    meter = DoubtMeter(PERIOD, familiar())
    assert meter.novelty is None
    assert meter.score is None
    for tick in range(40):
        meter.observe(tick, np.array([0.5, 0.5]))
    assert meter.score is not None
    assert meter.score < 1.0
    for tick in range(40, 80):
        meter.observe(tick, np.array([0.5, 0.9]))
    assert meter.novelty == pytest.approx(0.2828, abs=0.02), "half of 0.4 off the line, both ways"
    assert meter.score > 5.0


def test_a_place_that_is_usual_and_a_motion_that_is_not_is_new() -> None:
    meter = DoubtMeter(PERIOD, familiar())
    for tick in range(40):
        meter.observe(tick, np.full(2, 0.5 if tick < 30 else 1.0))
    assert meter.novelty is not None
    assert meter.novelty > 0.4, "it stood elsewhere half a second ago"


@given(st.sets(st.integers(0, 59), max_size=20))
def test_lost_observations_do_not_look_like_standing_still(lost: set[int]) -> None:
    """Whatever ticks are lost, the robot's change is from the newest that is old enough; at the start from the first.

    The data are at rest, so that the distance is the change itself, of both joints.
    """
    lag, speed = 25, 0.01  # ticks of half a second, rad a tick
    looked: list[float] = []
    meter = DoubtMeter(PERIOD, familiar())
    seen = [tick for tick in range(60) if tick not in lost]
    for tick in seen:
        meter.observe(tick, np.full(2, 0.2 + tick * speed))
        looked.append(tick)
        older = max((one for one in looked if one <= tick - lag), default=looked[0])
        change = (tick - older) * speed
        assert meter._distances[-1] == pytest.approx(np.sqrt(2) * change, abs=0.02)


def test_a_lost_observation_is_no_proposal() -> None:
    moving = np.linspace(0.0, 1.0, 201)
    points = np.stack([moving, moving, np.full(201, 0.25), np.full(201, 0.25)], axis=1).astype(np.float32)
    for lost in ((), (20,), (20, 21)):
        meter = DoubtMeter(PERIOD, familiar(points=points))
        for tick in range(47):
            if tick not in lost:
                meter.observe(tick, np.full(2, tick * 0.01))
        assert meter.score is not None
        assert meter.score < 1.0, lost


def test_what_is_remembered_of_the_way_does_not_grow() -> None:
    meter = DoubtMeter(PERIOD, familiar())
    for tick in range(0, 3000, 3):
        meter.observe(tick, np.full(2, 0.5))
    assert len(meter._positions) <= 10


@given(st.integers(1, 12), st.integers(0, 15))
def test_chunks_that_continue_each_other_agree_and_others_do_not(horizon: int, apart: int) -> None:
    plan = np.cumsum(np.ones((horizon + apart + 1, 2)), axis=0)
    scale = np.array([0.5, 2.0])
    same = inconsistency(plan[:horizon], plan[apart : apart + horizon], apart, scale)
    if not horizon - apart > 0:
        assert same is None
    elif apart:
        assert same == pytest.approx(0.0)
        off = inconsistency(plan[:horizon], plan[apart : apart + horizon] + np.array([1.0, 0.0]), apart, scale)
        assert off == pytest.approx(np.sqrt(0.5 * (1.0 / 0.5) ** 2))


def test_draws_that_differ_spread_and_equal_ones_do_not() -> None:
    chunks = np.zeros((4, 5, 2))
    assert spread(chunks, np.ones(2)) == 0.0
    chunks[::2, :, 0] = 1.0
    assert spread(chunks, np.array([0.5, 1.0])) == pytest.approx(np.sqrt(0.5))


def test_the_score_is_the_larger_of_both_over_what_is_usual() -> None:
    meter = DoubtMeter(PERIOD, familiar(disagreement=0.1))
    meter.observe(0, np.array([0.5, 0.5]))
    meter.predicted(0, np.zeros((10, 2)))
    assert meter.disagreement is None, "one chunk agrees with itself"
    meter.predicted(5, np.full((10, 2), 0.1))
    assert meter.disagreement == pytest.approx(np.sqrt(((0.1 / 0.5) ** 2 + (0.1 / 2.0) ** 2) / 2))
    assert meter.disagreement is not None
    assert meter.score == pytest.approx(meter.disagreement / 0.1)
    meter.predicted(10, np.full((3, 10, 2), 0.1), drawn=True)
    assert meter.disagreement is not None
    meter.reset()
    assert meter.score is None


@pytest.mark.parametrize(
    ("draws", "gap_s", "asked", "apart", "held"),
    [
        (4, 0.1, 4, 0, True), (4, 0.1, 2, 0, False), (4, 0.1, 1, 5, False),
        (1, 0.1, 1, 5, True), (1, 0.1, 1, 6, True), (1, 0.1, 1, 10, False), (1, 0.1, 1, 1, False),
        (1, 0.1, 4, 0, False),
        (None, None, 4, 0, True), (None, None, 1, 10, True),
    ],
)  # fmt: skip
def test_disagreement_that_was_measured_otherwise_is_not_in_the_score(
    draws: int | None, gap_s: float | None, asked: int, apart: int, held: bool
) -> None:
    meter = DoubtMeter(PERIOD, familiar(disagreement=0.1, draws=draws, gap_s=gap_s))
    meter.observe(0, np.array([0.5, 0.5]))
    novelty = meter.score
    if asked > 1:
        chunks = np.zeros((asked, 20, 2))
        chunks[0] = 5.0
        meter.predicted(0, chunks, drawn=True)
    else:
        meter.predicted(0, np.zeros((20, 2)))
        meter.predicted(apart, np.full((20, 2), 5.0))
    assert meter.disagreement is not None, "it is told either way"
    assert meter.score == (pytest.approx(meter.disagreement / 0.1) if held else novelty)
    assert (meter.otherwise == "") == held
    if not held:
        assert "here it is of" in meter.otherwise
        assert ("4 chunks drawn at once" if draws == 4 else "chunks 0.10 s apart") in meter.otherwise
    meter.reset()
    assert meter.otherwise == ""


def test_without_data_there_is_disagreement_alone() -> None:
    meter = DoubtMeter(PERIOD)
    meter.observe(0, np.zeros(2))
    meter.predicted(0, np.zeros((4, 2)))
    meter.predicted(1, np.ones((4, 2)))
    assert meter.disagreement == pytest.approx(1.0)
    assert meter.novelty is None
    assert meter.score is None


def test_a_chunk_that_is_not_finite_says_nothing() -> None:
    meter = DoubtMeter(PERIOD)
    meter.predicted(0, np.zeros((4, 2)))
    meter.predicted(1, np.full((4, 2), np.nan))
    assert meter.disagreement is None


def test_the_neighbour_that_counts_is_not_the_nearest_alone() -> None:
    points = np.concatenate([np.zeros((NEIGHBOUR - 1, 4)), np.full((20, 4), 3.0)]).astype(np.float32)
    assert familiar(points=points).distance(np.zeros(4)) == pytest.approx(6.0)


def test_where_nothing_is_drawn_no_disagreement_of_another_moment_is_left() -> None:
    meter = DoubtMeter(PERIOD, familiar(disagreement=0.1))
    meter.predicted(0, np.random.default_rng(0).normal(size=(4, 5, 2)), drawn=True)
    assert meter.score is not None
    meter.not_drawn()
    assert meter.disagreement is None
    assert meter.score is None
