"""Real-time chunking on the simulated robot: inference of 200 ms at 50 Hz, and nothing jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.evaluation.sources import tiny_act
from support.evaluation.two_ways import (
    PLAIN,
    RTC,
    TICKS,
    FixedResults,
    Perfect,
    PerfectDiffusion,
    PerfectFlow,
    RolloutResult,
    play,
)

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate

SEEDS = range(2)


@pytest.fixture(scope="module", params=[PerfectFlow, PerfectDiffusion], ids=["flow", "diffusion"])
def results(request: pytest.FixtureRequest) -> dict[str, list[RolloutResult]]:
    policy: Perfect = request.param()
    return {mode: play(FixedResults(policy), mode, SEEDS) for mode in (PLAIN, RTC)}


def test_the_largest_jump_is_at_most_a_third_of_plain_switching(results: dict[str, list[RolloutResult]]) -> None:
    """Both as the executor gives the commands and as they are sent, which the velocity limits have smoothed already."""
    step = {mode: max(one.step for one in found) for mode, found in results.items()}
    second_difference = {mode: max(one.second_difference for one in found) for mode, found in results.items()}
    assert step[PLAIN] > 0.5, "plain switching goes from side to side"
    assert step[RTC] <= step[PLAIN] / 3
    assert second_difference[RTC] <= second_difference[PLAIN] / 3


def test_every_answer_comes_after_200_ms_and_none_is_late(results: dict[str, list[RolloutResult]]) -> None:
    for found in results.values():
        for one in found:
            assert len(one.rollout.ages_ms) > TICKS / 12
            assert set(one.rollout.ages_ms) == {200.0}
            assert one.rollout.late == 0
            assert one.asked.shape == (TICKS, 7)


def test_safety_has_nothing_to_smooth(results: dict[str, list[RolloutResult]]) -> None:
    limited = {
        mode: sum(one.rollout.safety_events.get("velocity", 0) for one in found) for mode, found in results.items()
    }
    assert limited[PLAIN] > 50
    assert limited[RTC] <= len(SEEDS), "at most the way to the first command"


def test_a_rollout_keeps_its_side(results: dict[str, list[RolloutResult]]) -> None:
    for one in results[RTC]:
        waist = one.asked[TICKS // 3 : -TICKS // 3, 0]
        assert (np.sign(waist) == np.sign(waist[0])).all()
        assert np.abs(waist).max() > 0.3


def test_a_policy_that_cannot_is_refused_before_anything_moves(tmp_path: Path) -> None:
    checkpoint = tiny_act(tmp_path / "act")
    with pytest.raises(VgilError, match="execution rtc: a policy of type act cannot keep"):
        evaluate(EvaluationPlan("pick_place", episodes=1, execution="rtc"), checkpoint)
