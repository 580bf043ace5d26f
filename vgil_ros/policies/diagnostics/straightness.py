"""Straightness of a policy's paths: a straight one can be walked in a single step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.observation import Observation

if TYPE_CHECKING:
    from vgil_ros.policies.flow_matching.policy import FlowPolicy

FINE_STEPS = 20


def path_straightness(velocities: Sequence[Tensor], start: Tensor, end: Tensor) -> float:
    """Mean over the path of |v - (x1 - x0)|^2, divided by the mean of |x1 - x0|^2 (Liu et al. 2022, section 2.2).

    Args:
        velocities: (B, ...) each, evenly spaced in time; start: x1 (B, ...) at t = 1; end: x0 at t = 0.
    """
    whole = start - end
    off = torch.stack([(velocity - whole).square().mean() for velocity in velocities]).mean()
    return float(off / whole.square().mean())


@torch.no_grad()
def straightness(policy: FlowPolicy, observations: Sequence[Observation], seed: int = 0) -> float | None:
    """Give `path_straightness` on a fine grid, whatever the policy's own steps; the mean over observations, None where
    it fails."""
    values: list[float] = []
    for number, observation in enumerate(observations):
        batch, config = len(observation["qpos"]), policy.config
        generator = torch.Generator().manual_seed(seed + number)
        noise = torch.randn(batch, config.chunk_size, config.padded_dim, generator=generator).to(policy.device)
        velocities: list[Tensor] = []
        try:
            field = policy.velocity(policy.encode(observation))

            def noted(x: Tensor, t: Tensor, field: Any = field, velocities: list[Tensor] = velocities) -> Tensor:
                velocities.append(field(x, t).to(torch.float32))
                return velocities[-1]

            end = integrate(noted, noise, FINE_STEPS)
        except Exception:  # a faulty policy: the comparison says what is wrong with it
            return None
        values.append(path_straightness(velocities, noise, end))
    return sum(values) / len(values)
