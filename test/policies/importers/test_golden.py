"""What the original code computed comes out again, through files in the originals' own formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.policies import peers

from vgil_ros.policies import load_policy
from vgil_ros.policies.act import ActConfig, ActPolicy
from vgil_ros.policies.diffusion import DiffusionPolicy
from vgil_ros.policies.importers import import_checkpoint

CAMERAS = ("cam_high", "cam_left_wrist")
TOLERANCE = 1e-4


def off(found: torch.Tensor, expected: np.ndarray) -> float:
    assert tuple(found.shape) == expected.shape
    return float(np.abs(found.detach().numpy() - expected).max())


@pytest.mark.parametrize(("numpy_major", "protocol"), [(1, 2), (1, 4), (2, 2), (2, 4), (1, 5), (2, 5)])
def test_original_act(tmp_path: Path, numpy_major: int, protocol: int) -> None:
    ckpt = peers.write_original(tmp_path / "peer", numpy_major, protocol)
    report = import_checkpoint(ckpt, tmp_path / "ours", cameras=CAMERAS)
    policy = load_policy(report.directory)
    assert isinstance(policy, ActPolicy)
    case, observation = peers.arrays("act_original"), peers.observation("act_original")
    with torch.no_grad():
        assert off(policy.predict_chunk(observation), case["action"]) < TOLERANCE
        out = policy.forward_normalized(observation)
        assert off(out.action, case["a_hat"]) < TOLERANCE
        assert out.pad_logits is not None
        assert off(out.pad_logits, case["is_pad_hat"]) < TOLERANCE
        assert policy.model.cvae is not None
        qpos = policy.normalizer.qpos(torch.from_numpy(case["qpos"]))
        mu, logvar = policy.model.cvae(
            qpos, torch.from_numpy(case["actions_normalised"]), torch.from_numpy(case["is_pad"])
        )
        assert off(mu, case["mu"]) < TOLERANCE
        assert off(logvar, case["logvar"]) < TOLERANCE
    assert isinstance(report.config, ActConfig)
    assert report.config.decoder_layers == 1
    assert any("decoder.layers.2" in key for key in report.dropped)
    assert not any("decoder.layers.0" in key for key in report.dropped)


@pytest.mark.parametrize("write", [peers.write_lerobot, peers.write_old_lerobot])
def test_lerobot_act(tmp_path: Path, write: object) -> None:
    folder = write(tmp_path / "peer")  # type: ignore[operator]
    report = import_checkpoint(folder, tmp_path / "ours")
    policy = load_policy(report.directory)
    assert isinstance(policy, ActPolicy)
    case, observation = peers.arrays("act_lerobot"), peers.observation("act_lerobot")
    with torch.no_grad():
        assert off(policy.predict_chunk(observation), case["action"]) < TOLERANCE
        assert off(policy.forward_normalized(observation).action, case["action_normalised"]) < TOLERANCE
    assert report.config.camera_names == CAMERAS
    assert (report.config.cameras[0].height, report.config.cameras[0].width) == (96, 128)


@pytest.mark.parametrize("write", [peers.write_lerobot, peers.write_old_lerobot])
def test_lerobot_diffusion(tmp_path: Path, write: Any) -> None:
    """Condition, trajectory and de-normalised action; the original hands out n_action_steps of the horizon."""
    case = peers.arrays("diffusion_lerobot")
    report = import_checkpoint(write(tmp_path / "peer", "diffusion_lerobot"), tmp_path / "ours")
    policy = load_policy(report.directory)
    assert isinstance(policy, DiffusionPolicy)
    config, observation = policy.config, peers.observation_with_past("diffusion_lerobot")
    assert (config.horizon, config.n_obs_steps, config.n_action_steps, config.chunk_size) == (16, 2, 8, 15)
    with torch.no_grad():
        condition = policy.condition(observation)
        assert off(condition, case["global_cond"]) < TOLERANCE
        trajectory = policy.sample(policy.network(condition), torch.from_numpy(case["noise"]))
        assert off(trajectory, case["trajectory_normalised"]) < TOLERANCE
        assert off(policy.predict_chunk(observation)[:, : config.n_action_steps], case["action"]) < TOLERANCE
