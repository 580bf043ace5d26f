"""A wrench from its topic through recorder, check and training into a policy that runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from support import contracts
from support.checkpoints import ACT
from support.nodes.bench import Bench
from support.nodes.client import until
from support.nodes.policy_rig import PolicyBench, PolicyRig, robot
from support.nodes.rig import Rig

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import load_policy
from vgil_ros.policies.compatibility import compare_with_robot
from vgil_ros.training.config import parse_config
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.trainer import Trainer

WRENCH = {"name": "wrench", "topic": "/left/wrench", "type": "wrench", "tolerance_ms": 60}


def record(folder: Path) -> tuple[Path, Path]:
    """Contract and episode of a robot that feels."""
    with Bench(folder) as bench:
        sync = contracts.sync(max_hold=50)
        contract = contracts.write(robot(base=False, vectors=[WRENCH], sync=sync), folder / "felt.yaml")
        rig = Rig(bench, contract, keys=False)
        since = rig.record(40)
        rig.command("stop")
        return contract, rig.saved(since)


def train(episode: Path, out: Path, vectors: list[str]) -> Path:
    data = {"folders": [str(episode.parent)], "workers": 0, "vectors": vectors, "validation": 0.0, "accept_odd": True}
    small = {"type": "act", **ACT, "chunk_size": 8, "cvae_layers": 1, "dropout": 0.1}
    tree = {"policy": small, "data": data, "out": str(out), "steps": 2, "batch_size": 2, "precision": "fp32"}
    tree |= {"checkpoint": {"every": 2}, "log": {"every": 1, "tensorboard": False}}
    Trainer(parse_config(tree, "test"), progress=False, log=lambda _: None).run()
    return out / "last"


def test_from_topic_to_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    contract, path = record(tmp_path)
    with EpisodeReader(path) as episode:
        wrench = episode.vector("wrench")
        assert episode.streams[-1] == "wrench"
        steps = episode.timesteps()
        assert steps[-1].observation["vectors"]["wrench"].shape == (6,)
        stamps = episode.stamp_ns
    assert stamps is not None
    saw = (stamps % 10**10) / 1e10
    assert np.allclose(wrench, saw[:, None] + np.arange(6), atol=2e-3) or np.ptp(saw) > 0.5  # once in 10 s it falls
    assert not [f for f in check_episode(path).findings if f.severity == "error" and f.stream == "wrench"]
    with pytest.raises(TrainingError, match=r"lacks vector tcp, or it holds NaN or infinity; found \['wrench'\]"):
        train(path, tmp_path / "no", ["tcp"])
    checkpoint = train(path, tmp_path / "run", ["wrench"])
    policy = load_policy(checkpoint)
    assert policy.config.vector_names == ("wrench",)
    assert policy.normalizer.qpos.mean[3:].numpy() == pytest.approx(wrench.mean(axis=0), abs=1e-4)
    numb = contracts.write(robot(base=False), tmp_path / "numb.yaml")
    assert "vector wrench: not on robot small" in " ".join(
        compare_with_robot(policy, Layout(load_contract(str(numb))[0]))
    )
    run(tmp_path, contract, checkpoint)


def run(folder: Path, contract: Path, checkpoint: Path) -> None:
    """The policy moves the robot; without the wrench it holds, and says so."""
    with PolicyBench(folder) as bench:
        rig = PolicyRig(bench, contract, checkpoint, odd=False)
        rig.policy.expect("warmed up")
        until(lambda: rig.call("start").success, "start")
        until(lambda: len(rig.commands.all) > 20, "commands")
        rig.robot.tell("wrench stop")
        until(lambda: "wrench" in rig.summary(), "the wrench is named", 20)
        until(lambda: rig.value("state") == "holding", "held", 20)
