"""A running mean of a policy's weights."""

from __future__ import annotations

import copy

import torch

from vgil_ros.policies.base import Policy
from vgil_ros.training.config import EmaConfig


class Ema:
    """Keeps a copy of a policy whose weights follow slowly.

    The decay at update n is min(decay, (1 + n) / (10 + n)), so that the first, random weights are soon forgotten.
    """

    def __init__(self, policy: Policy, config: EmaConfig) -> None:
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self._decay = config.decay

    @torch.no_grad()
    def update(self, policy: Policy, step: int) -> None:
        """Follow `policy` after step number `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        theirs = policy.state_dict()
        for key, ours in self.policy.state_dict().items():
            if ours.is_floating_point():
                ours.lerp_(theirs[key], 1 - decay)
            else:
                ours.copy_(theirs[key])
