"""Integrate a velocity field from t = 1 (noise) to t = 0 (actions).

Knows nothing of networks: the field is a plain function, so that closed forms can be put in, and guidance around it.
Static shapes and no look at a value on the host: a CUDA graph can hold the whole loop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vgil_ros.policies.errors import PolicyError

SolverName = Literal["euler", "heun"]
Velocity = Callable[[Tensor, Tensor], Tensor]
EVALUATIONS: dict[str, int] = {"euler": 1, "heun": 2}  # of the field, in one step; also the order


def time_grid(steps: int) -> tuple[float, ...]:
    """The steps + 1 times from 1 down to 0, evenly apart.

    Raises:
        PolicyError: fewer than one step.
    """
    if steps < 1:
        raise PolicyError(f"steps: found {steps}, allowed is 1 or more")
    return tuple((steps - i) / steps for i in range(steps + 1))


def integrate(velocity: Velocity, x: Tensor, steps: int, solver: SolverName = "euler") -> Tensor:
    """Give x at t = 0, from x at t = 1, both (B, ...) float32.

    Args:
        velocity: (x (B, ...), t (B,)) -> dx/dt (B, ...), in any float dtype.
        steps: how many; `euler` asks the field once in each, `heun` (the trapezoid after an Euler step) twice.

    Raises:
        PolicyError: the solver is unknown, or there is no step.
    """
    if solver not in EVALUATIONS:
        raise PolicyError(f"solver {solver!r} is unknown, allowed are {sorted(EVALUATIONS)}")
    grid = time_grid(steps)
    for now, then in itertools.pairwise(grid):
        step = then - now  # below zero
        slope = velocity(x, x.new_full((len(x),), now)).to(x.dtype)
        if solver == "heun":
            ahead = velocity(x + step * slope, x.new_full((len(x),), then)).to(x.dtype)
            slope = (slope + ahead) / 2
        x = x + step * slope
    return x


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


def pad(x: Tensor, width: int) -> Tensor:
    """(..., D) -> (..., width), zeros behind."""
    return F.pad(x, (0, width - x.shape[-1]))


def unpad(x: Tensor, dim: int) -> Tensor:
    """(..., width) -> (..., dim), the first of them."""
    return x[..., :dim]
