"""`vgil checkpoint compare` on golden episodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from vgil_ros.cli.checkpoint.commands import app
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import Normalizer
from vgil_ros.policies.flow_matching import FlowMatchingConfig, FlowMatchingPolicy

EPISODE = Path(__file__).parents[1] / "episodes" / "golden" / "act_sim.hdf5"


@pytest.fixture(scope="module")
def teacher() -> FlowMatchingPolicy:
    torch.manual_seed(0)
    with EpisodeReader(EPISODE) as episode:
        height, width = episode.image("top", 0).shape[:2]
        qpos, action = episode.qpos[:], episode.aligned_action()
    config = FlowMatchingConfig(
        state_dim=qpos.shape[1], action_dim=action.shape[1], chunk_size=4, padded_dim=16, hidden_dim=32, heads=4,
        cameras=[{"name": "top", "height": height, "width": width}], feedforward_dim=32, encoder_layers=0,
        action_layers=1, backbone="small", backbone_norm="group", steps=2,
    )  # fmt: skip
    policy = FlowMatchingPolicy(config)
    policy.set_normalizer(Normalizer.fit(config.normalization, qpos, action, 1))
    return policy


def _call(tmp_path: Path, teacher: FlowMatchingPolicy, student: FlowMatchingPolicy):
    teacher.save(tmp_path / "teacher")
    student.save(tmp_path / "student")
    report = tmp_path / "report.json"
    done = CliRunner().invoke(
        app,
        ["compare", str(tmp_path / "teacher"), str(tmp_path / "student"), "--episodes", str(EPISODE.parent),
         "--rows", "4", "--json", str(report)],
    )  # fmt: skip
    return done, json.loads(report.read_text()) if report.exists() else {}


@pytest.fixture(autouse=True)
def _one_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vgil_ros.episodes.naming.episodes_in", lambda folder: [EPISODE])  # the goldens differ


def _student(teacher: FlowMatchingPolicy, **changes) -> FlowMatchingPolicy:
    student = FlowMatchingPolicy(teacher.config.model_copy(update=changes))
    student.load_state_dict(teacher.state_dict())
    return student


def test_a_healthy_student(tmp_path: Path, teacher: FlowMatchingPolicy) -> None:
    done, report = _call(tmp_path, teacher, _student(teacher, steps=1))
    assert done.exit_code == 0, done.output
    assert "nothing is wrong on the way" in done.output
    assert "steps: teacher 2, student 1" in done.output
    assert report["first"] is None
    assert set(report["straightness"]) == {"teacher", "student"}
    assert len(report["l1_per_joint"]) == teacher.config.action_dim


def test_other_statistics_are_a_fault(tmp_path: Path, teacher: FlowMatchingPolicy) -> None:
    student = _student(teacher)
    student.normalizer.qpos.std[3] *= 2.0
    done, report = _call(tmp_path, teacher, student)
    assert done.exit_code == 1, done.output
    assert "first fault: normaliser, both: qpos is scaled by other statistics" in done.output
    assert report["first"]["stage"] == "normalizer"
