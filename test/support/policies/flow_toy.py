"""A toy with two right answers: actions +1 or -1 on all joints, whatever is observed. Small enough for a unit test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies import Normalizer
from vgil_ros.policies.flow_matching import FlowMatchingConfig, FlowMatchingPolicy

DIM, PADDED, SPREAD = 2, 3, 0.05


def toy_policy(**changes: Any) -> FlowMatchingPolicy:
    """One action of two joints, padded to three; no camera; actions are normalised by the identity."""
    values: dict[str, Any] = {
        "state_dim": 1,
        "action_dim": DIM,
        "padded_dim": PADDED,
        "chunk_size": 1,
        "cameras": (),
        "hidden_dim": 64,
        "heads": 4,
        "feedforward_dim": 128,
        "encoder_layers": 0,
        "action_layers": 1,
        "dropout": 0.0,
        "normalization": {"qpos": {"mode": "identity"}, "action": {"mode": "identity"}},
    }
    config = FlowMatchingConfig.model_validate({**values, **changes})
    policy = FlowMatchingPolicy(config)
    policy.set_normalizer(Normalizer(1, DIM, 0, config.normalization))
    return policy


def toy_batch(count: int, random: np.random.Generator) -> dict[str, Any]:
    mode = random.choice([-1.0, 1.0], size=(count, 1, 1))
    action = mode + SPREAD * random.normal(size=(count, 1, DIM))
    return {
        "qpos": torch.zeros(count, 1),
        "images": {},
        "action": torch.from_numpy(action.astype(np.float32)),
        "is_pad": torch.zeros(count, 1, dtype=torch.bool),
    }


def train_toy(policy: FlowMatchingPolicy, steps: int, change: Any = lambda batch: batch, seed: int = 0) -> None:
    """`change` is what a teacher makes of a batch."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=4e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    policy.train()
    for _ in range(steps):
        optimiser.zero_grad()
        policy.compute_loss(change(toy_batch(128, random))).loss.backward()
        optimiser.step()
        schedule.step()
    policy.eval()


@torch.no_grad()
def toy_chunks(policy: FlowMatchingPolicy, noise: Tensor) -> np.ndarray:
    """(N, 2) actions from noise (N, 1, 3)."""
    observation = {"qpos": torch.zeros(len(noise), 1), "images": {}, "noise": noise}
    return policy.predict_chunk(observation)[:, 0].numpy()
