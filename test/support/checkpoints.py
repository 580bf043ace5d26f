"""Tiny checkpoints that fit a contract: random weights, actions that lie around home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.policies import Normalizer
from vgil_ros.policies.registry import policy_class

CHUNK = 20
ACT = {
    "chunk_size": CHUNK,
    "hidden_dim": 32,
    "heads": 4,
    "feedforward_dim": 64,
    "encoder_layers": 1,
    "cvae_layers": 0,
    "latent_dim": 8,
    "backbone": "mobilenet_v3_small",
    "pad_head": False,
}
TINY: dict[str, dict[str, Any]] = {
    "act": ACT,
    "flow_act": {**ACT, "flow_channels": [4, 4, 4]},
    "flow_matching": {
        "chunk_size": CHUNK,
        "padded_dim": 8,
        "hidden_dim": 32,
        "heads": 4,
        "feedforward_dim": 64,
        "encoder_layers": 1,
        "action_layers": 1,
        "backbone": "mobilenet_v3_small",
        "backbone_norm": "group",
        "steps": 4,
    },
    "diffusion": {
        "n_obs_steps": 3,
        "horizon": CHUNK,
        "backbone": "small",
        "keypoints": 4,
        "down_dims": [16, 32],
        "step_embed_dim": 16,
        "train_steps": 20,
        "inference_steps": 4,
    },
}


def make(
    contract: Path | str, folder: Path, *, kind: str = "act", base: bool = False, spread: float = 0.1, **changes: Any
) -> Path:
    """Write a checkpoint for a robot and return its folder.

    Args:
        contract: the robot; kind: of policy; base: give the base's velocity too; spread: of the actions around home.
        changes: of the configuration; `qpos_mean` shifts the normaliser's qpos.
    """
    layout = Layout(load_contract(str(contract))[0])
    cameras = [{"name": c.name, "height": c.height, "width": c.width} for c in layout.contract.cameras]
    shift = changes.pop("qpos_mean", 0.0)
    given: dict[str, Any] = {
        "state_dim": layout.dim + sum(vector["size"] for vector in changes.get("vectors", ())),
        "action_dim": layout.dim + 2 * base,
        "cameras": cameras,
        "joint_names": layout.joint_names,
        "rate_hz": layout.contract.rate_hz,
        **TINY[kind],
        **changes,
    }
    torch.manual_seed(0)
    made = policy_class(kind)
    config = made.config_class.model_validate(given)
    policy = made(config)
    middle = np.zeros(max(config.state_dim, config.action_dim))
    middle[: layout.joints] = 0.5 * layout.home + 0.25 * (layout.lower + layout.upper)

    def statistics(dim: int, offset: float) -> dict[str, np.ndarray]:
        mean, reach = middle[:dim] + offset, np.full(dim, spread)
        return {"mean": mean, "std": reach, "min": mean - reach, "max": mean + reach}

    qpos, action = statistics(config.state_dim, shift), statistics(config.action_dim, 0.0)
    policy.set_normalizer(Normalizer.from_statistics(config.normalization, qpos, action, len(config.cameras)))
    return policy.eval().save(folder)
