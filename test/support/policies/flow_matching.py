"""A small flow matching policy, and an observation for it."""

from __future__ import annotations

from typing import Any

from support.policies.contract import PolicyContract
from vgil_ros.policies import Policy
from vgil_ros.policies.flow_matching import FlowMatchingConfig


def small(**changes: Any) -> FlowMatchingConfig:
    values: dict[str, Any] = {
        "state_dim": 5,
        "action_dim": 5,
        "chunk_size": 6,
        "cameras": [{"name": "top", "height": 40, "width": 64}, {"name": "wrist", "height": 40, "width": 64}],
        "padded_dim": 8,
        "hidden_dim": 32,
        "heads": 4,
        "feedforward_dim": 48,
        "encoder_layers": 1,
        "action_layers": 2,
        "backbone": "mobilenet_v3_small",
        "backbone_norm": "group",
        "steps": 3,
    }
    return FlowMatchingConfig.model_validate({**values, **changes})


def look(policy: Policy, batch: int = 2) -> dict[str, Any]:
    return PolicyContract().observation(policy, batch)
