"""Flow matching as a policy: units in, units out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from vgil_ros.policies.action_prefix import PrefixTensors, prepare_prefix
from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.flow_matching.config import FlowConfig, FlowMatchingConfig
from vgil_ros.policies.flow_matching.flow import Velocity, draw_times, integrate, on_path, pad, path_velocity, unpad
from vgil_ros.policies.flow_matching.model import FlowModel, FlowNetwork, Prefix
from vgil_ros.policies.flow_matching.task import task_embedding
from vgil_ros.policies.guidance import guide_flow
from vgil_ros.policies.nn.noise import NoiseSource
from vgil_ros.policies.observation import Batch, NoisePart, Observation
from vgil_ros.policies.preparation import check_vector, prepare, prepare_noise, prepare_targets


class FlowPolicy(Policy):
    """A velocity field carries noise to an action chunk; teacher and student of a reflow are policies of one kind.

    A subclass makes `model`, with the parts `prefix`, called once with state, images and what else it takes, and
    `field`, called with x, t and a prefix; and it defines `encode`. Beside qpos and images an observation may hold
    "noise" (B, H, padded_dim) float32, where the chunk begins (drawn otherwise, the same again after each `reset`).
    """

    config_class: ClassVar[type[FlowConfig]] = FlowConfig
    config: FlowConfig
    model: FlowNetwork
    supports_prefix: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    def __init__(self, config: FlowConfig) -> None:
        super().__init__(config)
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
        guided = guide_flow(velocity, self.settled(action_prefix), noise, self.config.steps)
        return action_prefix.keep(self.to_robot_units(self.endpoint(guided, noise)))

    @abstractmethod
    def encode(self, observation: Observation) -> Any:
        """Check an observation in robot units and encode it, once for all steps: a prefix for `velocity`."""

    @property
    def draws(self) -> int:
        """Noises and times that training draws for each observation; more than one, if a prefix can be `repeated`."""
        return 1

    def frozen(self, observation: Observation, *, fixed: bool = False) -> dict[str, Tensor] | None:
        """What no training changes of an observation's encoding, (B, ...) each; None where all of it learns.

        A batch that holds it as "frozen" is not encoded as far again: by its student, or when the row comes back.

        Args:
            fixed: of one size for all batches, whatever their tasks.
        """
        return None

    def frozen_settings(self) -> dict[str, Any]:
        """What of the configuration `frozen` depends on beside weights, files and cameras; plain values."""
        return {}

    def velocity(self, prefix: Any) -> Velocity:
        """Give the field that belongs to an encoded observation."""
        return lambda x, t: self.model.field(x, t, prefix)

    def settled(self, action_prefix: PrefixTensors) -> PrefixTensors:
        """Prefix actions in robot units -> in the network's, padded."""
        scaled = action_prefix.normalised(self.normalizer.action)
        scaled = replace(scaled, action=self.config.action_units(scaled.action))
        return scaled.padded(self.config.chunk_size, self.config.padded_dim)

    def state_to_network(self, qpos: Tensor) -> Tensor:
        """(B, D) in robot units -> (B, padded_dim)."""
        return pad(self.config.state_units(self.normalizer.qpos(qpos)), self.config.padded_dim)

    def endpoint(self, velocity: Velocity, noise: Tensor) -> Tensor:
        """Carry noise along a field to t = 0, both (B, H, padded_dim) float32; a teacher's targets are made by this."""
        return integrate(velocity, noise, self.config.steps, self.config.solver)

    def to_robot_units(self, x: Tensor) -> Tensor:
        """(B, H, padded_dim) at t = 0 -> actions (B, H, A). The one place where padding is taken off."""
        return self.normalizer.action.inverse(self.config.action_from_units(unpad(x, self.config.action_dim)))

    def to_network_units(self, action: Tensor) -> Tensor:
        """Actions (B, H, A) in robot units -> (B, H, padded_dim)."""
        return pad(self.config.action_units(self.normalizer.action(action)), self.config.padded_dim)

    def noise_for(self, observation: NoisePart, batch: int) -> Tensor:
        """Give the observation's noise, or draw it: (B, H, padded_dim) float32."""
        shape = (self.config.chunk_size, self.config.padded_dim)
        given = prepare_noise(observation, (batch, *shape), self.device)
        return self.noise.draw(batch, shape).to(self.device) if given is None else given

    def compute_loss(self, batch: Batch) -> LossOutput:
        """Mean square of the velocity's error, over actions that are not padded in time.

        The padded width counts: on the way from noise the field sees those values too, so it must carry them to zero.

        Args:
            batch: as for every policy; a reflow gives "noise" and "endpoint", both (N, H, padded_dim) float32, which
                then stand in for noise drawn here and for the actions, and "time" (N,) float32. N is B, or a multiple
                of it, those of an observation one behind the other.
        """
        target, is_pad = self._target(batch)
        given = prepare_noise(batch, tuple(target.shape), self.device)
        if "endpoint" in batch:
            draws = len(target) // len(batch["qpos"])
        else:
            draws = 1 if given is not None or "time" in batch else self.draws
            target, is_pad = (each.repeat_interleave(draws, dim=0) for each in (target, is_pad))
        noise = torch.randn_like(target, dtype=torch.float32) if given is None else given
        t = batch["time"] if "time" in batch else draw_times(len(target), target.device)
        prefix = self.encode(batch)
        if draws > 1:
            prefix = prefix.repeated(draws)
        velocity = self.model.field(on_path(target, noise, t), t, prefix, is_pad).to(torch.float32)
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
            count = len(action) * max(1, len(batch["endpoint"]) // len(action))
            shape = (count, action.shape[1], self.config.padded_dim)
            check_vector("endpoint", tuple(batch["endpoint"].shape), shape)
            return batch["endpoint"], is_pad.new_zeros(shape[:2])
        return self.to_network_units(action), is_pad


class FlowMatchingPolicy(FlowPolicy):
    """A small transformer of its own over ResNet features.

    Beside what every flow takes an observation may hold, where the configuration has a `task_dim`, "task_embedding"
    (B, task_dim) float32 or "task", a list of texts.
    """

    config_class: ClassVar[type[FlowMatchingConfig]] = FlowMatchingConfig
    config: FlowMatchingConfig
    model: FlowModel

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__(config)
        self.model = FlowModel(config)

    def encode(self, observation: Observation) -> Prefix:
        """See `FlowPolicy.encode`."""
        self.require_normalizer()
        qpos, frames = prepare(self.config, observation, self.device)
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        task = task_embedding(self.config, observation, len(qpos), self.device)
        prefix: Prefix = self.model.prefix(self.state_to_network(qpos), images, task)
        return prefix

    @property
    def draws(self) -> int:
        """See `FlowPolicy.draws`."""
        return self.config.draws
