"""The noise schedule, and the step that takes noise away: as `diffusers` says, laid out as plain numbers.

One step of DDIM (Song et al. 2021, arXiv 2010.02502, equation 12 with eta 0) and of DDPM (Ho et al. 2020, arXiv
2006.11239, equation 7) is linear in the noisy actions x, the network's output m and fresh noise z:

    x0 = clip(a x + b m),    next = c x0 + d x + e m + s z

The schedulers of `diffusers` give the noise levels and the steps' places. Their own `step` looks numbers up in tensors
as it goes; with numbers fixed beforehand the loop waits for nothing and can be recorded as a CUDA graph. A test holds
both against each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vgil_ros.policies.errors import PolicyError

if TYPE_CHECKING:
    from vgil_ros.policies.diffusion.config import DiffusionConfig


@dataclass(frozen=True)
class Step:
    """One step; see the module. `level` is the share of signal (alpha bar) before it."""

    time: int
    level: float
    a: float
    b: float
    c: float
    d: float
    e: float
    s: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """The levels (train_steps,) float32 of training, and the steps of inference from the noisiest on."""

    levels: Tensor
    steps: tuple[Step, ...]

    @property
    def random_steps(self) -> int:
        """Steps that add fresh noise: none of DDIM's."""
        return sum(step.s > 0 for step in self.steps)


def make_schedule(config: DiffusionConfig) -> Schedule:
    """Lay out the steps of a configuration.

    Raises:
        PolicyError: `diffusers` is not installed.
    """
    scheduler = make_scheduler(config)
    scheduler.set_timesteps(config.steps)
    levels: Tensor = scheduler.alphas_cumprod.to(torch.float32)
    stride = config.train_steps // config.steps
    last = float(scheduler.final_alpha_cumprod) if config.scheduler == "DDIM" else 1.0
    steps = []
    for time in scheduler.timesteps.tolist():
        if time >= config.train_steps:
            raise PolicyError(
                f"steps_offset {config.steps_offset} puts a step at {time}, allowed are 0 to {config.train_steps - 1}"
            )
        after = float(levels[time - stride]) if time >= stride else last
        steps.append(_step(config, time, float(levels[time]), after))
    return Schedule(levels, tuple(steps))


def make_scheduler(config: DiffusionConfig) -> Any:
    """Make the scheduler of `diffusers` that a configuration describes. Imported here alone, as it takes seconds."""
    try:
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    except ImportError as error:
        raise PolicyError(
            f"policy type 'diffusion' needs diffusers, which cannot be imported ({error}); "
            "pip install 'vgil_ros[diffusion]'"
        ) from error
    shared: dict[str, Any] = {
        "num_train_timesteps": config.train_steps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": config.beta_schedule,
        "clip_sample": config.clip_sample,
        "clip_sample_range": config.clip_sample_range,
        "prediction_type": config.prediction_type,
        "steps_offset": config.steps_offset,
    }
    if config.scheduler == "DDPM":
        return DDPMScheduler(**shared)
    return DDIMScheduler(**shared, set_alpha_to_one=config.set_alpha_to_one)


def _step(config: DiffusionConfig, time: int, level: float, after: float) -> Step:
    signal, noise = math.sqrt(level), math.sqrt(1 - level)
    a, b = (1 / signal, -noise / signal) if config.prediction_type == "epsilon" else (0.0, 1.0)
    if config.scheduler == "DDIM":
        # the noise that the network means, from its output before anything is clipped
        of_x, of_m = (0.0, 1.0) if config.prediction_type == "epsilon" else (1 / noise, -signal / noise)
        back = math.sqrt(1 - after)
        return Step(time, level, a, b, c=math.sqrt(after), d=back * of_x, e=back * of_m, s=0.0)
    kept = level / after
    c = math.sqrt(after) * (1 - kept) / (1 - level)
    d = math.sqrt(kept) * (1 - after) / (1 - level)
    s = math.sqrt(max((1 - after) / (1 - level) * (1 - kept), 1e-20)) if time > 0 else 0.0
    return Step(time, level, a, b, c, d, e=0.0, s=s)


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
