"""A small ACT."""

from __future__ import annotations

from typing import Any

from vgil_ros.policies.act import ActConfig


def small(**changes: Any) -> ActConfig:
    values: dict[str, Any] = {
        "state_dim": 5,
        "action_dim": 5,
        "chunk_size": 6,
        "cameras": [{"name": "top", "height": 64, "width": 96}, {"name": "wrist", "height": 64, "width": 96}],
        "hidden_dim": 32,
        "heads": 4,
        "feedforward_dim": 48,
        "encoder_layers": 2,
        "cvae_layers": 1,
        "latent_dim": 8,
        "kl_weight": 0.1,
    }
    return ActConfig.model_validate({**values, **changes})
