"""Diffusion through the one trainer: what is saved is the running mean, and it plays."""

from __future__ import annotations

from pathlib import Path

import torch
from support.training import Tree

from vgil_ros.policies import load_policy
from vgil_ros.policies.diffusion import DiffusionPolicy
from vgil_ros.training.config import parse_config
from vgil_ros.training.trainer import Trainer

SMALL = {
    "type": "diffusion", "n_obs_steps": 3, "horizon": 8, "backbone": "small", "keypoints": 4, "down_dims": [16, 32],
    "step_embed_dim": 16, "train_steps": 10, "inference_steps": 2,
}  # fmt: skip


def test_the_running_mean_is_saved_and_plays(tree: Tree, episodes: Path) -> None:
    values = tree(episodes, policy=dict(SMALL), ema__enabled=True, precision="bf16")
    trainer = Trainer(parse_config(values, "test"), progress=False, log=lambda _: None)
    result = trainer.run()
    saved = load_policy(Path(values["out"]) / "last")
    assert isinstance(saved, DiffusionPolicy)
    assert result.loss is not None
    assert trainer.train_step.ema is not None
    mean, trained = trainer.train_step.ema.policy.state_dict(), trainer.policy.state_dict()
    for key, value in saved.state_dict().items():
        assert torch.equal(value, mean[key]), key
    assert any(not torch.equal(mean[key], trained[key]) for key in mean)
    assert (saved.config.chunk_size, saved.config.obs_offsets) == (6, (2, 1))
    batch = trainer.data.train.batch([0, 5])
    assert batch["past"]["action"].shape == (2, 2, saved.config.action_dim)
    with torch.no_grad():
        chunk = saved.predict_chunk({key: batch[key] for key in ("qpos", "images", "past")})
    scale = saved.normalizer.action
    assert chunk.shape == (2, 6, saved.config.action_dim)
    assert ((chunk >= scale.min - 1e-3) & (chunk <= scale.max + 1e-3)).all()
