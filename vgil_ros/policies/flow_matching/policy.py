"""Flow matching as a policy: units in, units out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from vgil_ros.policies.action_prefix import prepare_prefix
from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.flow_matching.config import FlowMatchingConfig
from vgil_ros.policies.flow_matching.flow import Velocity, draw_times, integrate, on_path, pad, path_velocity, unpad
from vgil_ros.policies.flow_matching.model import FlowModel, Prefix
from vgil_ros.policies.flow_matching.task import task_embedding
from vgil_ros.policies.guidance import guide_flow
from vgil_ros.policies.nn.noise import NoiseSource
from vgil_ros.policies.observation import Batch, NoisePart, Observation
from vgil_ros.policies.preparation import check_vector, prepare, prepare_noise, prepare_targets


class FlowMatchingPolicy(Policy):
    """A velocity field carries noise to an action chunk; teacher and student of a reflow are both this class.

    Beside qpos and images an observation may hold "noise" (B, H, padded_dim) float32, where the chunk begins (drawn
    otherwise, the same again after each `reset`), and where the configuration has a `task_dim`, "task_embedding"
    (B, task_dim) float32 or "task", a list of texts.
    """

    config_class: ClassVar[type[FlowMatchingConfig]] = FlowMatchingConfig
    config: FlowMatchingConfig
    supports_prefix: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__(config)
        self.model = FlowModel(config)
        self.noise = NoiseSource(config.seed)

    def reset(self, seed: int | None = None) -> None:
        """Begin the noise anew, from `seed` or else from the configuration's."""
        self.noise.reset(seed)

    def _predict_chunk(self, observation: Observation) -> Tensor:
        """See `Policy.predict_chunk`."""
        velocity = self.velocity(self.encode(observation))
        noise = self.noise_for(observation, len(observation["qpos"]))
        action_prefix = prepare_prefix(self.config, observation, self.device)
        if action_prefix is None:
            return self.to_robot_units(self.endpoint(velocity, noise))
        settled = action_prefix.normalised(self.normalizer.action).padded(
            self.config.chunk_size, self.config.padded_dim
        )
        guided = guide_flow(velocity, settled, noise, self.config.steps)
        return action_prefix.keep(self.to_robot_units(self.endpoint(guided, noise)))

    def encode(self, observation: Observation) -> Prefix:
        """Check an observation in robot units and encode it, once for all steps."""
        self.require_normalizer()
        qpos, frames = prepare(self.config, observation, self.device)
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        task = task_embedding(self.config, observation, len(qpos), self.device)
        prefix: Prefix = self.model.prefix(pad(self.normalizer.qpos(qpos), self.config.padded_dim), images, task)
        return prefix

    def velocity(self, prefix: Prefix) -> Velocity:
        """Give the field that belongs to an encoded observation."""
        return lambda x, t: self.model.field(x, t, prefix)

    def endpoint(self, velocity: Velocity, noise: Tensor) -> Tensor:
        """Carry noise along a field to t = 0, both (B, H, padded_dim) float32; a teacher's targets are made by this."""
        return integrate(velocity, noise, self.config.steps, self.config.solver)

    def to_robot_units(self, x: Tensor) -> Tensor:
        """(B, H, padded_dim) at t = 0 -> actions (B, H, A). The one place where padding is taken off."""
        return self.normalizer.action.inverse(unpad(x, self.config.action_dim))

    def to_network_units(self, action: Tensor) -> Tensor:
        """Actions (B, H, A) in robot units -> (B, H, padded_dim)."""
        return pad(self.normalizer.action(action), self.config.padded_dim)

    def noise_for(self, observation: NoisePart, batch: int) -> Tensor:
        """Give the observation's noise, or draw it: (B, H, padded_dim) float32."""
        shape = (self.config.chunk_size, self.config.padded_dim)
        given = prepare_noise(observation, (batch, *shape), self.device)
        return self.noise.draw(batch, shape).to(self.device) if given is None else given

    def compute_loss(self, batch: Batch) -> LossOutput:
        """Mean square of the velocity's error, over actions that are not padded in time.

        The padded width counts: on the way from noise the field sees those values too, so it must carry them to zero.

        Args:
            batch: as for every policy; a reflow gives "noise" and "endpoint", both (B, H, padded_dim) float32, which
                then stand in for noise drawn here and for the actions, and "time" (B,) float32.
        """
        target, is_pad = self._target(batch)
        given = prepare_noise(batch, tuple(target.shape), self.device)
        noise = torch.randn_like(target, dtype=torch.float32) if given is None else given
        t = batch["time"] if "time" in batch else draw_times(len(target), target.device)
        velocity = self.model.field(on_path(target, noise, t), t, self.encode(batch), is_pad).to(torch.float32)
        error = (velocity - path_velocity(target, noise)).square().masked_fill(is_pad[..., None], 0.0)
        kept = (~is_pad).sum().clamp(min=1)
        loss = error.sum() / (kept * error.shape[-1])
        actions = error[..., : self.config.action_dim].sum() / (kept * self.config.action_dim)
        return LossOutput(loss, {"flow": loss.detach(), "flow_of_actions": actions.detach()})

    def _target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Where the path ends, (B, H, padded_dim), and which actions are padded, (B, H) bool."""
        self.require_normalizer()
        action, is_pad = prepare_targets(self.config, batch, self.device)
        if "endpoint" in batch:  # a teacher's chunk goes on beyond the episode's end
            check_vector("endpoint", tuple(batch["endpoint"].shape), (*action.shape[:2], self.config.padded_dim))
            return batch["endpoint"], torch.zeros_like(is_pad)
        return self.to_network_units(action), is_pad
