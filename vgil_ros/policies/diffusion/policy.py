"""Diffusion as a policy: units in, units out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vgil_ros.policies.action_prefix import PrefixTensors, prepare_prefix
from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.model import DiffusionModel
from vgil_ros.policies.diffusion.schedule import Network, make_schedule, sample
from vgil_ros.policies.diffusion.trajectory import known_back, oldest_repeated, trajectory
from vgil_ros.policies.guidance import guided_output
from vgil_ros.policies.nn.noise import NoiseSource
from vgil_ros.policies.observation import Batch, NoisePart, Observation
from vgil_ros.policies.preparation import prepare, prepare_noise, prepare_past


class DiffusionPolicy(Policy):
    """Noise over a horizon of actions is taken away step by step, on the condition of the last observations.

    Beside what every policy takes, an observation may hold "noise" (B, horizon, A) float32, where the way begins (drawn
    otherwise, the same again after each `reset`).
    """

    config_class: ClassVar[type[DiffusionConfig]] = DiffusionConfig
    config: DiffusionConfig
    supports_prefix: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    levels: Tensor  # (train_steps,)
    times: Tensor  # (steps,)

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config)
        self.model = DiffusionModel(config)
        with torch.device("cpu"):  # numbers to compute with, even where the weights are none yet
            self.schedule = make_schedule(config)
        self.register_buffer("levels", self.schedule.levels, persistent=False)
        self.register_buffer("times", torch.tensor([step.time for step in self.schedule.steps]), persistent=False)
        self.noise = NoiseSource(config.seed)

    def reset(self, seed: int | None = None) -> None:
        """Begin the noise anew, from `seed` or else from the configuration's."""
        self.noise.reset(seed)

    def _predict_chunk(self, observation: Observation) -> Tensor:
        """See `Policy.predict_chunk`. What lies before the present within the horizon is left away."""
        condition = self.condition(observation)
        action_prefix = prepare_prefix(self.config, observation, self.device)
        noise, fresh = self.noise_for(observation, len(condition))
        network = self.network(condition)
        if action_prefix is not None:
            network = self._agreeing(network, action_prefix)
        chunk = self.to_robot_units(self.sample(network, noise, fresh))
        return chunk if action_prefix is None else action_prefix.keep(chunk)

    def sample(self, network: Network, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        """Take the noise away, (B, horizon, A) normalised; see `sampler.sample`."""
        return sample(network, self.schedule, noise, fresh, self._clip)

    def network(self, condition: Tensor) -> Network:
        """Give the U-Net under the condition (B, C); its modulation at each step is computed here, once."""
        modulation = self.model.unet.modulation(self.times[:, None], condition)
        return lambda x, number: self.model.unet(x, [one[number] for one in modulation])

    def to_robot_units(self, actions: Tensor) -> Tensor:
        """(B, horizon, A) normalised -> the chunk (B, H, A), which begins with the present action."""
        return self.normalizer.action.inverse(actions[:, self.config.first :])

    def _agreeing(self, network: Network, action_prefix: PrefixTensors) -> Network:
        """A network whose predictions lead to the prefix actions; see `guidance`."""
        config = self.config
        painted = action_prefix.normalised(self.normalizer.action).padded(
            config.horizon, config.action_dim, config.first
        )

        def agreeing(x: Tensor, number: int) -> Tensor:
            level = self.schedule.steps[number].level
            return guided_output(
                lambda here: network(here, number), x, level, painted, config.prediction_type, clip=self._clip
            )

        return agreeing

    @property
    def _clip(self) -> float | None:
        return self.config.clip_sample_range if self.config.clip_sample else None

    def condition(self, observation: Observation) -> Tensor:
        """Check and encode an observation in robot units with its past, (B, C).

        As published, the oldest known observation stands in for older ones that are not known.
        """
        self.require_normalizer()
        qpos, images = prepare(self.config, observation, self.device)
        past = prepare_past(self.config, observation, self.device) if self.config.obs_offsets else None
        frames = [qpos[:, None].expand(-1, self.config.n_obs_steps, -1)]
        frames += [image[:, None].expand(-1, self.config.n_obs_steps, -1, -1, -1) for image in images]
        if past is not None:
            known = known_back(past.known)
            before = [past.qpos, *past.images]
            frames = [
                oldest_repeated(torch.cat([b, s[:, :1]], dim=1), known) for b, s in zip(before, frames, strict=True)
            ]
        condition: Tensor = self.model.condition(self.normalizer.qpos(frames[0]), frames[1:], self.normalizer)
        return condition

    def noise_for(self, observation: NoisePart, batch: int) -> tuple[Tensor, Tensor | None]:
        """Give where the way begins, (B, horizon, A), and what random steps add, (S, B, horizon, A) or None."""
        shape = (self.config.horizon, self.config.action_dim)
        random_steps = self.schedule.random_steps
        drawn = self.noise.draw(batch, (1 + random_steps, *shape)).to(self.device).transpose(0, 1)
        fresh = drawn[1:] if random_steps else None
        given = prepare_noise(observation, (batch, *shape), self.device)
        return drawn[0] if given is None else given, fresh

    def compute_loss(self, batch: Batch) -> LossOutput:
        """Mean square of what the network gets wrong, at `draws` random steps for each member of the batch.

        Args:
            batch: as for every policy; the actions before the present are in its "past": "action" (B, N, A).

        Raises:
            PolicyError: a shape or dtype does not fit, or there is a past without actions.
        """
        self.require_normalizer()
        config = self.config
        action, is_pad = trajectory(config, batch, self.device)
        action, is_pad = (each.repeat_interleave(config.draws, dim=0) for each in (action, is_pad))
        target = self.normalizer.action(action)
        noise = torch.randn_like(target)
        time = torch.randint(0, config.train_steps, (len(target),), device=self.device)
        level = self.levels[time][:, None, None]
        noisy = level.sqrt() * target + (1 - level).sqrt() * noise
        condition = self.condition(batch).repeat_interleave(config.draws, dim=0)
        modulation = self.model.unet.modulation(time, condition)
        predicted = self.model.unet(noisy, modulation).to(torch.float32)
        wanted = noise if config.prediction_type == "epsilon" else target
        error = (predicted - wanted).square()
        if config.mask_padding:
            kept = (~is_pad).sum().clamp(min=1) * config.action_dim
            loss = error.masked_fill(is_pad[..., None], 0.0).sum() / kept
        else:
            loss = error.mean()
        return LossOutput(loss, {config.prediction_type: loss.detach()})
