"""Tiny ACT checkpoints that fit a contract: random weights, actions that lie around home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.policies import Normalizer
from vgil_ros.policies.act import ActConfig, ActPolicy

CHUNK = 20
TINY = {
    "hidden_dim": 32,
    "heads": 4,
    "feedforward_dim": 64,
    "encoder_layers": 1,
    "cvae_layers": 0,
    "latent_dim": 8,
    "backbone": "mobilenet_v3_small",
    "pad_head": False,
}


def make(contract: Path | str, folder: Path, *, base: bool = False, spread: float = 0.1, **changes: Any) -> Path:
    """Write a checkpoint for a robot and return its folder.

    Args:
        contract: the robot; base: give the base's velocity too; spread: of the actions around home.
        changes: of the configuration; `qpos_mean` shifts the normaliser's qpos.
    """
    layout = Layout(load_contract(str(contract))[0])
    cameras = [{"name": c.name, "height": c.height, "width": c.width} for c in layout.contract.cameras]
    shift = changes.pop("qpos_mean", 0.0)
    given: dict[str, Any] = {
        "state_dim": layout.dim,
        "action_dim": layout.dim + 2 * base,
        "chunk_size": CHUNK,
        "cameras": cameras,
        "joint_names": layout.joint_names,
        "rate_hz": layout.contract.rate_hz,
        **TINY,
        **changes,
    }
    torch.manual_seed(0)
    config = ActConfig.model_validate(given)
    policy = ActPolicy(config)
    middle = np.zeros(max(config.state_dim, config.action_dim))
    middle[: layout.joints] = 0.5 * layout.home + 0.25 * (layout.lower + layout.upper)

    def statistics(dim: int, offset: float) -> dict[str, np.ndarray]:
        return {"mean": middle[:dim] + offset, "std": np.full(dim, spread)}

    qpos, action = statistics(config.state_dim, shift), statistics(config.action_dim, 0.0)
    policy.set_normalizer(Normalizer.from_statistics(config.normalization, qpos, action, len(config.cameras)))
    return policy.eval().save(folder)
