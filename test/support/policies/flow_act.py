"""A tiny ACT with flow."""

from __future__ import annotations

from typing import Any

from vgil_ros.policies.flow_act import FlowActConfig

TINY: dict[str, Any] = {
    "state_dim": 3,
    "action_dim": 3,
    "chunk_size": 5,
    "cameras": [{"name": "top", "height": 64, "width": 96}, {"name": "wrist", "height": 48, "width": 64}],
    "rate_hz": 50.0,
    "hidden_dim": 32,
    "heads": 4,
    "feedforward_dim": 48,
    "encoder_layers": 1,
    "cvae_layers": 1,
    "latent_dim": 4,
    "kl_weight": 0.1,
    "backbone": "mobilenet_v3_small",
    "backbone_norm": "group",
    "flow_channels": (8, 8, 16),
}

SAME_SIZE = [{"name": name, "height": 48, "width": 64} for name in ("top", "wrist")]


def tiny(**changes: Any) -> FlowActConfig:
    return FlowActConfig.model_validate({**TINY, **changes})
