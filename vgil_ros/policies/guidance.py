"""Generate a chunk that agrees with committed actions: guidance of flow matching and of diffusion while they integrate.

At each step the network's estimate of the finished chunk, x0(x), is held against the committed actions Y, weights W:
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

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from vgil_ros.policies.committed import Committed
from vgil_ros.policies.errors import PolicyError

Prediction = Literal["epsilon", "sample"]
Network = Callable[[Tensor, Tensor], Tensor]
BETA = 5.0


def guide_flow(velocity: Network, committed: Committed, noise: Tensor, steps: int, beta: float = BETA) -> Network:
    """Wrap the velocity of x_t = t noise + (1 - t) action, so that integrating it gives a chunk that agrees.

    Args:
        velocity: (x (B, H, A), t (B,)) -> noise - action as estimated, (B, H, A).
        committed: in the network's units and sizes.
        noise: (B, H, A) x at t = 1, from which the integration begins.
        steps: of the integration; a pull stronger than one step can hold would overshoot.
        beta: limit of the pull's strength.

    Returns:
        A velocity. With nothing committed it is `velocity` itself.

    Raises:
        PolicyError: in inference mode.
    """
    if not committed:
        return velocity
    _need_gradients()
    settled, weight, limit = noise - committed.action, committed.weight, min(beta, float(steps))

    def guided(x: Tensor, t: Tensor) -> Tensor:
        times = t.view(-1, 1, 1)
        with torch.enable_grad():
            here = x.detach().requires_grad_()
            slope = velocity(here, t).to(x.dtype)
            pull = _pull(here - times * slope, here, committed)
        strength = (((1 - times) ** 2 + times**2) / (times * (1 - times))).clamp(max=limit)  # poles at both ends
        return weight * settled + (1 - weight) * (slope.detach() - strength * pull)

    return guided


def guide_diffusion(
    network: Network,
    committed: Committed,
    alphas_cumprod: Tensor,
    prediction: Prediction,
    beta: float = BETA,
    clip: float | None = None,
) -> Network:
    """Wrap the network of x_t = sqrt(a_t) x0 + sqrt(1 - a_t) epsilon, so that any scheduler's steps give agreement.

    Args:
        network: (x (B, H, A), timestep () or (B,) integer) -> epsilon or x0 as estimated, (B, H, A).
        committed: in the network's units and sizes.
        alphas_cumprod: (T,) a_t by timestep.
        prediction: what the network gives.
        beta: limit of the pull's strength.
        clip: estimates of x0 are clipped to +-clip, as by the scheduler; None where it does not.

    Returns:
        A stand-in for the network that gives the same kind of prediction. With nothing committed it is `network`.

    Raises:
        PolicyError: for another kind of prediction; in inference mode.
    """
    if prediction not in ("epsilon", "sample"):
        raise PolicyError(f"prediction {prediction!r} is unknown, allowed are ['epsilon', 'sample']")
    if not committed:
        return network
    _need_gradients()
    weight = committed.weight

    def guided(x: Tensor, timestep: Tensor) -> Tensor:
        kept = alphas_cumprod[timestep.to(alphas_cumprod.device)].to(x).view(-1, 1, 1)
        with torch.enable_grad():
            here = x.detach().requires_grad_()
            out = network(here, timestep).to(x.dtype)
            estimate = out if prediction == "sample" else (here - (1 - kept).sqrt() * out) / kept.sqrt()
            if clip is not None:
                estimate = estimate.clamp(-clip, clip)
            pull = _pull(estimate, here, committed)
        agreed = estimate.detach() + kept.rsqrt().clamp(max=beta) * pull
        agreed = weight * committed.action + (1 - weight) * agreed
        return agreed if prediction == "sample" else (x - kept.sqrt() * agreed) / (1 - kept).sqrt()

    return guided


def _pull(estimate: Tensor, x: Tensor, committed: Committed) -> Tensor:
    """J^T W (Y - x0) for an estimate x0 computed from x, (B, H, A), nowhere above the largest W (Y - x0)."""
    short = committed.weight * (committed.action - estimate.detach())
    largest = short.abs().amax((1, 2), keepdim=True)
    return torch.autograd.grad(estimate, x, short)[0].clamp(-largest, largest)


def _need_gradients() -> None:
    if torch.is_inference_mode_enabled():
        raise PolicyError("committed actions need gradients: found torch.inference_mode, allowed is torch.no_grad")
