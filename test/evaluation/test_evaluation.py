"""Evaluation: it can see success, it sees failure, and a seed gives one result."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sources import RecordedSource, tiny_act

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate, evaluate_source
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig
from vgil_ros.robots.sim.generate import generate

SEEDS = (0, 1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two whole demonstrations, by seed."""
    folder = tmp_path_factory.mktemp("recorded")
    wanted = DemonstrationConfig("sim_single", "pick_place")
    return {f.seed: f.path for f in generate(wanted, folder, episodes=len(SEEDS), seed=SEEDS[0]) if f.path}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_act(tmp_path_factory.mktemp("policy") / "tiny")


@pytest.mark.parametrize("mode", ["temporal_ensemble", "open_loop", "async"])
def test_the_operators_own_actions_succeed(mode: str, recorded: dict[int, Path]) -> None:
    contract, _ = load_contract("sim_single")
    report = evaluate_source(
        EvaluationPlan("pick_place", episodes=2, execution=mode), contract, RecordedSource(recorded)
    )
    assert report.successes == 2
    assert report.success_rate == 1.0
    assert report.highest_reward_at_least["4"] == 2
    assert 200 < (report.steps_to_success.median or 0) < 400
    limited = report.safety_events
    assert set(limited) <= {"velocity"}, "a person's actions are within the limits"
    assert limited.get("velocity", 0) < 20, "but for the way home, where a hand may be faster than the arm for a moment"


def test_actions_of_another_scene_fail(recorded: dict[int, Path]) -> None:
    """What makes the replay succeed is the scene, not a lenient task."""
    contract, _ = load_contract("sim_single")
    report = evaluate_source(EvaluationPlan("pick_place", episodes=1), contract, RecordedSource({0: recorded[1]}))
    assert report.successes == 0


def test_latency_is_simulated(recorded: dict[int, Path]) -> None:
    contract, _ = load_contract("sim_single")
    ages = []
    for latency in (0.0, 20.0, 100.0):
        plan = EvaluationPlan("pick_place", episodes=1, latency_ms=latency, episode_len=40)
        source = RecordedSource(recorded)
        ages.append(evaluate_source(plan, contract, source).observation_age_ms.p50)
    assert ages == [20.0, 20.0, 100.0], "never before the next tick, and then as late as asked"


def test_a_policy_that_answers_too_late_holds(recorded: dict[int, Path]) -> None:
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", episodes=1, latency_ms=400.0, episode_len=40)
    report = evaluate_source(plan, contract, RecordedSource(recorded))
    assert report.safety_events["watchdog"] > 0


def test_a_seed_gives_one_report(checkpoint: Path, tmp_path: Path) -> None:
    plan = EvaluationPlan("pick_place", episodes=2, seed=3, episode_len=40)
    texts = []
    for videos in (None, tmp_path / "videos"):
        report = evaluate(plan, checkpoint, videos=videos).as_dict()
        assert report.pop("machine")["inference_ms"]["p50"] > 0
        texts.append(json.dumps(report, indent=2))
    assert texts[0] == texts[1], "and videos change nothing"
    other = evaluate(EvaluationPlan("pick_place", episodes=2, seed=5, episode_len=40), checkpoint)
    assert other.rollouts[0].smoothness != json.loads(texts[0])["rollouts"][0]["smoothness"]


def test_random_weights_do_not_succeed(checkpoint: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    seen = []
    plan = EvaluationPlan("pick_place", episodes=2, episode_len=150, execution="open_loop")
    report = evaluate(plan, checkpoint, videos=videos, progress=seen.append)
    assert report.successes == 0
    assert report.success_interval_95[1] < 0.7
    assert [r.seed for r in seen] == [0, 1]
    assert all(row.steps == 150 for row in report.rollouts)
    sheet = cv2.imread(str(videos / "thumbnail_sheet.png"))
    assert sheet.shape == (2 * 140, 8 * 160, 3)
    video = cv2.VideoCapture(str(videos / "seed_0.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 75
    good, image = video.read()
    assert good
    assert image.shape == (240, 640, 3)
    assert np.std(image) > 20


def test_what_does_not_fit_is_named(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(VgilError, match="does not fit robot 'sim_aloha'"):
        evaluate(EvaluationPlan("transfer_cube", episodes=1), checkpoint)
    with pytest.raises(VgilError, match="execution: found 'guess'"):
        evaluate(EvaluationPlan("pick_place", episodes=1, execution="guess"), checkpoint)
    with pytest.raises(VgilError, match="task 'juggle' is unknown"):
        evaluate(EvaluationPlan("juggle", robot="sim_single", episodes=1), checkpoint)
    with pytest.raises(VgilError, match="not a checkpoint folder"):
        evaluate(EvaluationPlan("pick_place", episodes=1), tmp_path)
    with pytest.raises(VgilError, match="episodes is 0; allowed: a finite number from 1"):
        EvaluationPlan("pick_place", episodes=0)
