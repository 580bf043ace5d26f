"""Generate a chunk that agrees with prefix actions: guidance of flow matching and of diffusion while they integrate.

At each step the network's estimate of the finished chunk, x0(x), is held against the prefix actions Y, weights W:
- every row is pulled by J^T W (Y - x0), J = dx0/dx: rows that nobody settled move as they must, by the network's own
  account, for the settled ones to come out right. That keeps the mode of the plan being played;
- then row i goes to Y by its weight w and with the network by 1 - w. Rows of weight 1 are thus inpainted: they move on
  the straight way from their noise to Y, as the network saw such rows in training. Where the pull was not enough, rows
  of lower weight lead over from one to the other, so that even a network of one step makes no jump.

Sources: Song et al., "Pseudoinverse-Guided Diffusion Models" (ICLR 2023); Pokle et al. (arXiv:2310.04432) for flows;
Black, Galliker and Levine (arXiv:2506.07339, equations 2 to 4) for chunks, whose time runs from 0 to 1: here t = 1 is
noise. Theirs is the pull alone. Where the network is about to choose between modes J is large, and a few steps then
throw the chunk far off; so the pull is also limited to the largest error that causes it.

The gradient is that of the network with respect to its input, so it costs about two more passes a step, and nothing of
it can run in inference mode; `torch.no_grad` is fine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vgil_ros.policies.action_prefix import PrefixTensors
from vgil_ros.policies.errors import PolicyError

Prediction = Literal["epsilon", "sample"]
Network = Callable[[Tensor, Tensor], Tensor]
BETA = 5.0


def guide_flow(
    velocity: Network, action_prefix: PrefixTensors, noise: Tensor, steps: int, beta: float = BETA
) -> Network:
    """Wrap the velocity of x_t = t noise + (1 - t) action, so that integrating it gives a chunk that agrees.

    Args:
        velocity: (x (B, H, A), t (B,)) -> noise - action as estimated, (B, H, A).
        action_prefix: in the network's units and sizes.
        noise: (B, H, A) x at t = 1, from which the integration begins.
        steps: of the integration; a pull stronger than one step can hold would overshoot.
        beta: limit of the pull's strength.

    Returns:
        A velocity. Without a prefix it is `velocity` itself.

    Raises:
        PolicyError: in inference mode.
    """
    if not action_prefix:
        return velocity
    _need_gradients()
    settled, weight, limit = noise - action_prefix.action, action_prefix.weight, min(beta, float(steps))

    def guided(x: Tensor, t: Tensor) -> Tensor:
        times = t.view(-1, 1, 1)
        with torch.enable_grad():
            here = x.detach().requires_grad_()
            slope = velocity(here, t).to(x.dtype)
            pull = _pull(here - times * slope, here, action_prefix)
        strength = (((1 - times) ** 2 + times**2) / (times * (1 - times))).clamp(max=limit)  # poles at both ends
        return weight * settled + (1 - weight) * (slope.detach() - strength * pull)

    return guided


def guided_output(
    network: Callable[[Tensor], Tensor],
    x: Tensor,
    level: float,
    action_prefix: PrefixTensors,
    prediction: Prediction,
    *,
    beta: float = BETA,
    clip: float | None = None,
) -> Tensor:
    """What a diffusion network says of x = sqrt(level) x0 + sqrt(1 - level) epsilon, altered so that x0 agrees.

    Any scheduler's step may be taken with it; both x0 and the noise that it implies have changed.

    Args:
        network: x (B, H, A) -> epsilon or x0 as estimated, (B, H, A).
        x: (B, H, A) float32.
        level: share of signal at this step (alpha bar), above 0 and below 1.
        action_prefix: in the network's units and sizes. Without a prefix the network's own output is given.
        prediction: what the network gives, and what is returned.
        beta: limit of the pull's strength.
        clip: estimates of x0 are held within +-clip, as by the scheduler; None where it does not.

    Raises:
        PolicyError: for another kind of prediction; in inference mode.
    """
    if prediction not in ("epsilon", "sample"):
        raise PolicyError(f"prediction {prediction!r} is unknown, allowed are ['epsilon', 'sample']")
    if not action_prefix:
        return network(x)
    _need_gradients()
    signal, noise = math.sqrt(level), math.sqrt(1 - level)
    with torch.enable_grad():
        here = x.detach().requires_grad_()
        out = network(here).to(x.dtype)
        estimate = out if prediction == "sample" else (here - noise * out) / signal
        if clip is not None:
            estimate = estimate.clamp(-clip, clip)
        pull = _pull(estimate, here, action_prefix)
    agreed = estimate.detach() + min(beta, 1 / signal) * pull
    agreed = torch.lerp(agreed, action_prefix.action, action_prefix.weight)
    return agreed if prediction == "sample" else (x - signal * agreed) / noise


def _pull(estimate: Tensor, x: Tensor, action_prefix: PrefixTensors) -> Tensor:
    """J^T W (Y - x0) for an estimate x0 computed from x, (B, H, A), nowhere above the largest W (Y - x0)."""
    short = action_prefix.weight * (action_prefix.action - estimate.detach())
    largest = short.abs().amax((1, 2), keepdim=True)
    return torch.autograd.grad(estimate, x, short)[0].clamp(-largest, largest)


def _need_gradients() -> None:
    if torch.is_inference_mode_enabled():
        raise PolicyError("prefix actions need gradients: found torch.inference_mode, allowed is torch.no_grad")
