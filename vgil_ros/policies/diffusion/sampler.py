"""From noise to actions."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vgil_ros.policies.diffusion.schedule import Schedule

Network = Callable[[Tensor, int], Tensor]


def sample(
    network: Network, schedule: Schedule, noise: Tensor, fresh: Tensor | None = None, clip: float | None = None
) -> Tensor:
    """Take the noise away, step by step, in float32 whatever the network computes in.

    All shapes are fixed by the arguments and nothing is read back from the device, so the loop can be recorded.

    Args:
        network: (x (B, horizon, A), number of the step) -> its prediction (B, horizon, A).
        noise: (B, horizon, A), where the way begins.
        fresh: (S, B, horizon, A), what the S steps that add noise add; None where there are none.
        clip: hold the actions within +-clip.

    Returns:
        (B, horizon, A) float32.
    """
    x, used = noise, 0
    for number, step in enumerate(schedule.steps):
        output = network(x, number).to(noise.dtype)
        clean = step.a * x + step.b * output
        if clip is not None:
            clean = clean.clamp(-clip, clip)
        x = step.c * clean + step.d * x + step.e * output
        if step.s > 0 and fresh is not None:
            x = x + step.s * fresh[used]
            used += 1
    return x
