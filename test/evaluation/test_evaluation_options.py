"""Evaluation in several processes, and with another scene's images."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.evaluation.sources import tiny_act, tiny_flow

from vgil_ros.assets import load_contract
from vgil_ros.cli.main import main
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate, evaluate_source
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.policies import load_policy
from vgil_ros.policies.compatibility import camera_sizes
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator
from vgil_ros.robots.sim.simulation import START_NS


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_act(tmp_path_factory.mktemp("policy") / "tiny")


def test_the_report_does_not_depend_on_the_processes(checkpoint: Path, tmp_path: Path) -> None:
    plan = EvaluationPlan("pick_place", episodes=2, seed=7, episode_len=30)
    seen: list[int] = []
    reports = []
    for workers in (1, 2):
        report = evaluate(
            plan,
            checkpoint,
            videos=tmp_path / str(workers),
            workers=workers,
            progress=lambda rollout: seen.append(rollout.seed),
        )
        assert (report.machine.inference_ms.p50 or 0) > 0
        reports.append(json.dumps(report.model_copy(update={"machine": None}).as_dict()))
    assert reports[0] == reports[1]
    assert seen == [7, 8] * 2
    sheets = [cv2.imread(str(tmp_path / str(n) / "thumbnail_sheet.png")) for n in (1, 2)]
    assert sheets[0] is not None
    assert sheets[1] is not None
    assert np.array_equal(sheets[0], sheets[1])
    assert sorted(path.name for path in (tmp_path / "2").glob("*.mp4")) == ["seed_7.mp4", "seed_8.mp4"]


def test_a_checkpoint_is_played_as_it_says_unless_one_is_told_otherwise(checkpoint: Path, tmp_path: Path) -> None:
    kept = shutil.copytree(checkpoint, tmp_path / "kept")
    config = json.loads((kept / "policy.json").read_text())
    config["execution"] = {"mode": "open_loop", "inference_period": 2}
    (kept / "policy.json").write_text(json.dumps(config))
    plan = EvaluationPlan("pick_place", episodes=1, seed=7, episode_len=8)
    own = evaluate(plan, kept)
    assert (own.execution, own.inference_period, own.ensemble_coefficient) == ("open_loop", 2, None)
    told = evaluate(replace(plan, execution="async"), kept)
    assert (told.execution, told.inference_period) == ("async", None)
    assert evaluate(plan, checkpoint).execution == "temporal_ensemble"


def test_what_does_not_fit_is_said_before_a_process_starts(checkpoint: Path) -> None:
    with pytest.raises(VgilError, match="task 'juggle' is unknown"):
        evaluate(EvaluationPlan("juggle", robot="sim_single", episodes=2), checkpoint, workers=2)
    with pytest.raises(VgilError, match="workers is 0; allowed: from 1"):
        evaluate(EvaluationPlan("pick_place", episodes=2), checkpoint, workers=0)


class Looking:
    """Remembers what it is shown, and answers that the arm should stay where it is."""

    horizon, action_dim, supports_prefix = 10, 7, False
    cameras: tuple[str, ...] = ("cam_high",)
    obs_offsets: tuple[int, ...] = (1,)

    def __init__(self) -> None:
        self.inference_s: list[float] = []
        self.shown: list[tuple[float, np.ndarray, np.ndarray | None]] = []

    def reset(self, seed: int) -> None:
        self.shown.clear()

    def chunk(self, observation: Mapping[str, Any], seconds: float) -> np.ndarray:
        past = observation["past"]["images"]["cam_high"][0] if "past" in observation else None
        self.shown.append((seconds, observation["images"]["cam_high"], past))
        return np.tile(observation["qpos"], (self.horizon, 1))


def test_another_scenes_images_are_those_of_its_demonstration(tmp_path: Path) -> None:
    contract, _ = load_contract("sim_single")
    own, other = Looking(), Looking()
    plan = EvaluationPlan("pick_place", episodes=1, seed=0, episode_len=20)
    evaluate_source(plan, contract, own)
    evaluate_source(replace(plan, swap_images_from_seed=5), contract, other)
    generator = Generator(DemonstrationConfig("sim_single", "pick_place", episode_len=20))
    path = generator.make(5, tmp_path).path
    generator.close()
    assert path is not None
    with EpisodeReader(path) as episode:
        at = (np.asarray(episode.stamp_ns) - START_NS) / 1e9
        for seconds, image, past in other.shown:
            row = int(np.abs(at - seconds).argmin())
            assert np.array_equal(image, episode.image("cam_high", row))
            before = int(np.abs(at - (seconds - 0.02)).argmin())
            assert past is None or np.array_equal(past, episode.image("cam_high", before))
    assert [s for s, _, _ in own.shown] == [s for s, _, _ in other.shown], "only the images differ"
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(own.shown, other.shown, strict=True))


def test_the_scenes_own_images_are_no_others() -> None:
    with pytest.raises(VgilError, match=r"swap_images_from_seed is 4, one of the scenes that are evaluated \(3 to 5\)"):
        EvaluationPlan("pick_place", episodes=3, seed=3, swap_images_from_seed=4)


def refused(
    checkpoint: Path, more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What `vgil eval` says of arguments that it refuses."""
    monkeypatch.setattr("sys.argv", ["vgil", "eval", "--checkpoint", str(checkpoint), *more])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--workers", "2"], "--over-ros runs one robot at the wall clock's pace: allowed is 1"),
        (["--swap-images-from-seed", "99"], "--swap-images-from-seed cannot be handed on to the nodes"),
    ],
)
def test_what_the_nodes_cannot_do_is_refused(
    more: list[str], words: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(checkpoint, ["--over-ros", *more], monkeypatch, capsys)


def test_every_setting_reaches_the_nodes_through_the_launch_file(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    from vgil_ros.nodes.evaluation_client import launch_arguments

    plan = EvaluationPlan("pick_place", execution="open_loop", inference_period=7, watchdog_ms=300, soft_start=0.1)
    given = launch_arguments(plan, tmp_path / "checkpoint", tmp_path)
    wanted = {"execution": "open_loop", "inference_period": "7", "watchdog_ms": "300", "soft_start": "0.1"}
    assert wanted.items() <= given.items()
    assert "ensemble_coefficient" not in given
    plan = EvaluationPlan("pick_place", ensemble_coefficient=0.0)
    assert launch_arguments(plan, tmp_path / "checkpoint", tmp_path)["ensemble_coefficient"] == "0.0"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"watchdog_ms": math.nan}, r"watchdog_ms is nan; allowed: a finite number from 0"),
        ({"max_age_ms": math.inf}, r"max_age_ms is inf; allowed: a finite number from 0"),
        ({"latency_ms": 6000.0}, r"latency_ms is 6000; allowed: below 5000, when a rollout in which no action"),
    ],
)
def test_numbers_that_cannot_be_are_named(given: dict[str, float], words: str) -> None:
    with pytest.raises(VgilError, match=words):
        EvaluationPlan("pick_place", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--videos", "policy.json"], "--videos policy.json: its folder cannot be made (File exists)"),
        (["--alpha", "0.01"], "--alpha 0.01 is of a comparison; allowed: with --against CHECKPOINT"),
    ],
)
def test_options_that_cannot_be_are_named_before_anything_is_played(
    more: list[str], words: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkpoint)
    assert words in refused(checkpoint, more, monkeypatch, capsys)


def test_an_unknown_task_is_named_before_its_robot() -> None:
    with pytest.raises(
        VgilError, match=r"task 'pick_plaze' is unknown; allowed: \['pick_place', 'pick_place_any', 'tra"
    ):
        EvaluationPlan("pick_plaze")


def test_the_ensembles_coefficient_is_played_and_stands_in_the_report(checkpoint: Path) -> None:
    found = [
        evaluate(
            EvaluationPlan("pick_place", episodes=1, seed=3, episode_len=40, ensemble_coefficient=given), checkpoint
        )
        for given in (None, 0.01, -1.0)
    ]
    assert [report.ensemble_coefficient for report in found] == [None, 0.01, -1.0]
    assert found[0].smoothness == found[1].smoothness != found[2].smoothness


def test_the_command_says_and_writes_what_it_found(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    given = ["--checkpoint", checkpoint, "--episodes", 2, "--seed", 3, "--episode-len", 20, "--json", file]
    monkeypatch.setattr("sys.argv", ["vgil", "eval", *map(str, given)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    report, said = json.loads(file.read_text()), capsys.readouterr().out
    own = evaluate(EvaluationPlan("pick_place", episodes=2, seed=3, episode_len=20), checkpoint)
    plain = own.as_dict()
    assert {**report, "machine": None} == {**plain, "machine": None}
    assert "success           0 of 2 (0%, 95 % interval 0% to 66%)" in said
    assert f"average return    {own.average_return:.1f}" in said
    reached = own.highest_reward_at_least
    assert "reward reached    " + ", ".join(f">= {r}: {n}" for r, n in reached.items()) in said
    for words in (
        "steps to success  median none",
        "latency [ms]      p50 ",
        "smoothness        p99 ",
        "safety events  ",
    ):
        assert words in said


def test_a_rollout_of_a_policy_that_draws_follows_from_its_scene_alone(tmp_path: Path) -> None:
    """Noise begins anew with each rollout: the one before it does not matter, nor which process plays it."""
    drawing = tiny_flow(tmp_path / "flow")
    both = evaluate(EvaluationPlan("pick_place", episodes=2, seed=3, episode_len=20), drawing)
    alone = evaluate(EvaluationPlan("pick_place", episodes=1, seed=4, episode_len=20), drawing)
    assert both.rollouts[1] == alone.rollouts[0]
    assert alone.rollouts[0].safety_events["velocity"] > 0, "it moved, and not as a policy at rest would"


def test_each_scene_gets_noise_of_its_own(tmp_path: Path) -> None:
    layout = Layout(load_contract("sim_single")[0])
    source = PolicySource(tiny_flow(tmp_path / "flow"), layout)
    observation = load_policy(tmp_path / "flow").example_observation(camera_sizes(layout))
    chunks = []
    for seed in (3, 4, 3):
        source.reset(seed)
        chunks.append(source.chunk(observation, 0.0))
    assert np.array_equal(chunks[0], chunks[2])
    assert np.abs(chunks[0] - chunks[1]).max() > 0.01


def test_a_policy_that_takes_a_task_is_told_it(tmp_path: Path) -> None:
    layout = Layout(load_contract("sim_single")[0])
    folder = tiny_flow(tmp_path / "flow", task_dim=16)
    example = load_policy(folder).example_observation(camera_sizes(layout))
    example.pop("task")
    chunks = []
    for task in ("pick_place", "transfer_cube"):
        source = PolicySource(folder, layout, task=task)
        source.reset(0)
        chunks.append(source.chunk(example, 0.0))
    assert np.abs(chunks[0] - chunks[1]).max() > 1e-4
