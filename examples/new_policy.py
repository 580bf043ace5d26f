"""A policy type of your own, trained for a few steps, saved, and run: two layers over the joints and blurred images."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vgil_ros import PolicyRunner, load_policy, train
from vgil_ros.policies import Batch, LossOutput, Observation, Policy, PolicyConfig
from vgil_ros.policies.preparation import prepare, to_tensor
from vgil_ros.policies.registry import POLICY_TYPES
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig
from vgil_ros.robots.sim.generate import generate


class BlurConfig(PolicyConfig):
    type: Literal["blur"] = "blur"


class BlurPolicy(Policy):
    config_class = BlurConfig

    def __init__(self, config: BlurConfig) -> None:
        super().__init__(config)
        self.hidden = nn.Linear(config.state_dim + 3 * 6 * 8 * len(config.cameras), 128)
        self.head = nn.Linear(128, config.chunk_size * config.action_dim)

    def forward(self, observation: Observation) -> Tensor:  # normalised chunk (B, H, A)
        qpos, images = prepare(self.config, observation, self.device)  # checked; images (B, H, W, 3) uint8
        scaled = [self.normalizer.normalize_images(image, i) for i, image in enumerate(images)]
        blurred = [nn.functional.adaptive_avg_pool2d(image, (6, 8)).flatten(1) for image in scaled]
        features = torch.cat([self.normalizer.qpos(qpos), *blurred], dim=1)
        chunk: Tensor = self.head(self.hidden(features).relu())
        return chunk.reshape(-1, self.config.chunk_size, self.config.action_dim)

    def _predict_chunk(self, observation: Observation) -> Tensor:
        return self.normalizer.action.inverse(self(observation))

    def compute_loss(self, batch: Batch) -> LossOutput:
        target = self.normalizer.action(to_tensor(batch["action"], self.device))
        l1 = (self(batch) - target).abs()[~to_tensor(batch["is_pad"], self.device)].mean()
        return LossOutput(l1, {"l1": l1.detach()})


if __name__ == "__main__":
    POLICY_TYPES["blur"] = "__main__:BlurPolicy"  # in the package: one line in policies/registry.py
    settings = {"policy": {"type": "blur", "chunk_size": 20}, "steps": 30, "batch_size": 8, "log.every": 10}
    settings |= {"data.workers": 0, "augmentation.enabled": False, "optimizer.lr": 1e-3, "schedule.warmup_steps": 0}
    with tempfile.TemporaryDirectory() as scratch:
        wanted = DemonstrationConfig("sim_single", "pick_place", episode_len=60)
        list(generate(wanted, Path(scratch, "data"), episodes=3, seed=0))
        result = train(Path(scratch, "data"), Path(scratch, "run"), "act_small", settings=settings)
        policy = load_policy(result.out / "best")  # as `vgil eval` and the policy node do
        print(f"loss {result.loss:.3f} after {result.steps} steps, {result.best:.3f} on an episode kept apart")
        print(f"{policy.config.type}: chunk {PolicyRunner(policy)(policy.example_observation()).shape}")
