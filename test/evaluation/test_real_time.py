"""Real-time chunking on the simulated robot: inference of 200 ms at 50 Hz, and nothing jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sources import tiny_act
from two_ways import PLAIN, REAL_TIME, TICKS, Answers, Perfect, PerfectDiffusion, PerfectFlow, Played, play

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.evaluate import Plan, evaluate

SEEDS = range(2)


@pytest.fixture(scope="module", params=[PerfectFlow, PerfectDiffusion], ids=["flow", "diffusion"])
def played(request: pytest.FixtureRequest) -> dict[str, list[Played]]:
    policy: Perfect = request.param()
    return {mode: play(Answers(policy), mode, SEEDS) for mode in (PLAIN, REAL_TIME)}


def test_the_largest_jump_is_at_most_a_third_of_plain_switching(played: dict[str, list[Played]]) -> None:
    """Both as the executor gives the commands and as they are sent, which the velocity limits have smoothed already."""
    step = {mode: max(one.step for one in found) for mode, found in played.items()}
    bend = {mode: max(one.bend for one in found) for mode, found in played.items()}
    assert step[PLAIN] > 0.5, "plain switching goes from side to side"
    assert step[REAL_TIME] <= step[PLAIN] / 3
    assert bend[REAL_TIME] <= bend[PLAIN] / 3


def test_every_answer_comes_after_200_ms_and_none_is_late(played: dict[str, list[Played]]) -> None:
    for found in played.values():
        for one in found:
            assert len(one.rollout.ages_ms) > TICKS / 12
            assert set(one.rollout.ages_ms) == {200.0}
            assert one.rollout.late == 0
            assert one.asked.shape == (TICKS, 7)


def test_safety_has_nothing_to_smooth(played: dict[str, list[Played]]) -> None:
    limited = {
        mode: sum(one.rollout.interventions.get("velocity", 0) for one in found) for mode, found in played.items()
    }
    assert limited[PLAIN] > 50
    assert limited[REAL_TIME] <= len(SEEDS), "at most the way to the first command"


def test_a_rollout_keeps_its_side(played: dict[str, list[Played]]) -> None:
    for one in played[REAL_TIME]:
        waist = one.asked[TICKS // 3 : -TICKS // 3, 0]
        assert (np.sign(waist) == np.sign(waist[0])).all()
        assert np.abs(waist).max() > 0.3


def test_a_policy_that_cannot_is_refused_before_anything_moves(tmp_path: Path) -> None:
    checkpoint = tiny_act(tmp_path / "act")
    with pytest.raises(VgilError, match="execution real_time: a policy of type act cannot keep"):
        evaluate(Plan("pick_place", episodes=1, execution="real_time"), checkpoint)
