"""The straight path between noise (t = 1) and actions (t = 0), and where on it training looks."""

from __future__ import annotations

import torch
from torch import Tensor

TIME_FLOOR = 0.001
TIME_ALPHA = 1.5  # Beta(1.5, 1), as pi0: later times, where there is more noise, more often


def on_path(action: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t = t noise + (1 - t) action; (B, H, A) for t (B,)."""
    share = t.view(-1, 1, 1)
    return share * noise + (1.0 - share) * action


def path_velocity(action: Tensor, noise: Tensor) -> Tensor:
    """u = dx_t / dt = noise - action, the same at every t; (B, H, A)."""
    return noise - action


def draw_times(count: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """(count,) float32: 0.001 + 0.999 Beta(1.5, 1).

    The distribution function of Beta(a, 1) is t^a, so a uniform number to the power 1 / a follows it.
    """
    uniform = torch.rand(count, device=device, dtype=torch.float32, generator=generator)
    return TIME_FLOOR + (1.0 - TIME_FLOOR) * uniform.pow(1.0 / TIME_ALPHA)
