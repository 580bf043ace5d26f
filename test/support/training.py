"""Configurations of tiny trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tree = Callable[..., dict[str, Any]]  # the fixture `tree`: (folder or folders, **changes with dotted keys as a__b)
TINY: dict[str, Any] = {
    "type": "act", "chunk_size": 4, "hidden_dim": 32, "heads": 4, "feedforward_dim": 64, "encoder_layers": 1,
    "cvae_layers": 1, "latent_dim": 4, "backbone": "mobilenet_v3_small", "backbone_norm": "group", "dropout": 0.1,
}  # fmt: skip
