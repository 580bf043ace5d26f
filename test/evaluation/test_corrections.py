"""A simulated round of corrections: the operator takes over where the policy fails, and what is recorded is right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from vgil_ros.assets import load_contract
from vgil_ros.core.control.takeover import Actor
from vgil_ros.core.layout import Layout
from vgil_ros.episodes import EpisodeReader
from vgil_ros.episodes import writer as episode_writer
from vgil_ros.episodes.writing.worker import RowJob, Worker
from vgil_ros.evaluation.corrections import Patience, WatchedRunner, auroc
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.plan import EvaluationPlan


class Idle:
    """A policy that stays at home."""

    horizon, cameras, obs_offsets, supports_prefix = 50, (), (), False

    def __init__(self, layout: Layout) -> None:
        self.action_dim, self._home = layout.dim, layout.home
        self.inference_s: list[float] = []
        self.asked_s: list[float] = []  # stamps of the observations

    def reset(self, seed: int) -> None:
        """Nothing is remembered."""

    def chunk(self, observation: object, seconds: float) -> np.ndarray:
        self.asked_s.append(seconds)
        return np.tile(self._home, (self.horizon, 1))


def test_the_operator_puts_right_what_the_policy_does_not_do_and_every_row_says_whose_it_is(tmp_path: Path) -> None:
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", execution="async", inference_period=20)
    source = Idle(Layout(contract))
    runner = WatchedRunner(plan, source, None, Patience(half_ticks=20, all_ticks=40), tmp_path)  # type: ignore[arg-type]
    try:
        found = runner.attempt(7)
    finally:
        runner.close()
    assert found.taken_at == 20
    assert found.rollout.success
    assert found.largest_step <= 1.0 + 1e-9, "no step above the velocity limits"
    assert found.file is not None
    with EpisodeReader(found.file) as episode:
        assert episode.success
        assert episode.attrs["rollout"]
        assert episode.actor is not None
        assert episode.human_action is not None
        actors, action, human = episode.actor, episode.action, episode.human_action
    changes = actors[np.flatnonzero(np.diff(actors.astype(int), prepend=-1))].tolist()
    led_by = [actor for actor in changes if actor != Actor.ALIGNING]  # none where the masters are met in one tick
    assert led_by[:3] == [Actor.POLICY, Actor.HUMAN, Actor.RETURNING]
    assert len(actors) > 0.9 * found.rollout.steps, "a row for each tick, but for the last ones"
    led = actors == Actor.HUMAN
    assert led.sum() > 200
    assert np.abs(action[led] - human[led]).mean() < 0.02


class SlowWorker(Worker):
    """Writes to a disk that is slow, and lets few rows wait."""

    def __init__(self, *given: object) -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.limit = 8

    def _append(self, job: RowJob) -> None:
        time.sleep(0.1)
        super()._append(job)


class KeepingRunner(WatchedRunner):
    """Keeps the recording of every attempt."""

    def _close(self, rollout: Rollout) -> Path | None:
        assert self._sink is not None
        end = self._sink.close(rollout.success).result()
        return None if end is None else end.path


def test_no_row_is_left_out_where_the_disk_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_writer, "Worker", SlowWorker)
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", execution="async", inference_period=20, episode_len=40)
    runner = KeepingRunner(plan, Idle(Layout(contract)), None, None, tmp_path)  # type: ignore[arg-type]
    try:
        found = runner.attempt(7)
    finally:
        runner.close()
    assert found.file is not None
    with EpisodeReader(found.file) as episode:
        assert episode.attrs["rows_dropped"] == 0
        assert episode.rows > 0.8 * found.rollout.steps, "a row for each tick, but for the last ones"


def test_a_hand_back_waits_for_the_inference_under_way() -> None:
    contract, _ = load_contract("sim_single")
    plan = EvaluationPlan("pick_place", execution="async", inference_period=2, latency_ms=400.0)
    source = Idle(Layout(contract))
    runner = WatchedRunner(plan, source, None, Patience(half_ticks=20, all_ticks=40))  # type: ignore[arg-type]
    try:
        found = runner.attempt(7)
    finally:
        runner.close()
    assert found.taken_at == 20
    assert found.rollout.success, "it was handed back"
    apart = np.diff(source.asked_s)
    assert len(apart) > 20
    assert apart.min() > 0.39, "none is asked for while another one is under way"


def test_auroc_counts_pairs() -> None:
    assert auroc([True, True, False, False], [3.0, 2.0, 1.0, 0.0]) == 1.0
    assert auroc([True, False], [1.0, 1.0]) == 0.5
    assert auroc([True, False, False], [1.0, 2.0, 0.0]) == 0.5
    assert np.isnan(auroc([True], [1.0]))
