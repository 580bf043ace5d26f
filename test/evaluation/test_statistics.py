"""Figures of rollouts: laws of the interval, and sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import Percentiles, Rollout, StepsToSuccess, summarise, wilson
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.report import Machine, make_report, read_report


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_is_symmetric(case: tuple[int, int]) -> None:
    successes, trials = case
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1.0
    assert low < high
    mirrored = wilson(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@given(st.integers(0, 20), st.integers(2, 10))
def test_more_rollouts_narrow_it(successes: int, times: int) -> None:
    low, high = wilson(successes, 20)
    lower, higher = wilson(successes * times, 20 * times)
    assert higher - lower < high - low


def test_known_intervals() -> None:
    """Both ends satisfy the equation the interval is made from: |p - rate| = z sqrt(p (1 - p) / n)."""
    for successes, trials in ((90, 100), (18, 20), (1, 3)):
        for end in wilson(successes, trials):
            assert (end - successes / trials) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / trials, rel=1e-5)
    assert wilson(90, 100) == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0


def test_impossible_counts_are_refused() -> None:
    for successes, trials in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="allowed"):
            wilson(successes, trials)


def test_sums_by_hand() -> None:
    rollouts = [
        Rollout(0, True, 10.0, 4.0, 5, 3, {"p99": 0.1, "max": 0.2}, {"velocity": 2}, (20.0, 40.0)),
        Rollout(1, False, 4.0, 4.0, 5, 2, {"p99": 0.3, "max": 0.6}, {"velocity": 1, "stale": 4}, (60.0,), 2),
        Rollout(2, False, 1.0, 1.0, 5, None),
    ]
    found = summarise(rollouts, 4.0)
    assert (found.successes, found.episodes, found.average_return) == (1, 3, 5.0)
    assert found.highest_reward_at_least == {"0": 3, "1": 3, "2": 2, "3": 2, "4": 2}
    assert found.steps_to_success == StepsToSuccess(median=3.0, slowest=3), "one that came undone is no success"
    assert found.safety_events == {"stale": 4, "velocity": 3}
    assert found.observation_age_ms.p50 == 40.0
    assert (found.smoothness.p99, found.smoothness.max) == (pytest.approx(0.2), 0.6)
    assert found.missed_ticks == 2
    assert found.rollouts[0].ret == 10.0


def test_a_report_is_frozen_and_survives_its_json(tmp_path: Path) -> None:
    plan = EvaluationPlan("pick_place", episodes=2, seed=5, ensemble_coefficient=0.1, soft_start=0.5)
    metrics = summarise([Rollout(5, True, 10.0, 4.0, 5, 3), Rollout(6, False, 1.0, 1.0, 5, None)], 4.0)
    machine = Machine(inference_ms=Percentiles(p50=1.0), seconds=2.0)
    report = make_report(plan.settings, metrics, machine, checkpoint="here", policy="act")
    assert (report.task, report.seed, report.soft_start, report.successes) == ("pick_place", 5, 0.5, 1)
    with pytest.raises(ValueError, match="frozen"):
        report.successes = 2  # type: ignore[misc]
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report.as_dict(), allow_nan=False))
    assert json.loads(file.read_text())["rollouts"][0]["return"] == 10.0
    assert read_report(file) == report


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    for text, words in (
        ("[]", "is no report"),
        ('{"success_interval_95": [0, 1]}', "task: missing; it must be given"),
        ("{", "not readable as JSON"),
    ):
        file.write_text(text)
        with pytest.raises(VgilError, match=f"report.json: {words}"):
            read_report(file)
