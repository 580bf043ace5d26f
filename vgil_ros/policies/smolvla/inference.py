"""SmolVLA for inference on one observation: static shapes and no look at a value, so that one CUDA graph holds all."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.base import InferenceModule
from vgil_ros.policies.flow_matching.flow import integrate
from vgil_ros.policies.observation import NoisePart
from vgil_ros.policies.smolvla.model import SmolVlaModel
from vgil_ros.policies.smolvla.policy import SmolVlaPolicy


class SmolVlaInferenceModule(InferenceModule):
    """The policy's own network, in `dtype`; in float32 its weights are shared, not copied."""

    def __init__(self, policy: SmolVlaPolicy, dtype: torch.dtype) -> None:
        self._policy, self._dtype = policy, dtype
        model: SmolVlaModel = policy.model
        self._model = model if dtype == torch.float32 else copy.deepcopy(model).to(dtype)
        config, device = policy.config, policy.device
        # a graph is recorded for one width; without one, words that are not there cost time for nothing
        self._width = config.max_words if device.type == "cuda" else None
        self._noise = torch.zeros(1, config.chunk_size, config.padded_dim, device=device)
        self._words = policy.words_of({"task": [""]}, 1, self._width)
        self._waves = self._times(device)

    def _times(self, device: torch.device) -> list[Tensor]:
        """Waves (1, D) of the times at which the solver asks, in order."""
        asked: list[Tensor] = []

        def note(x: Tensor, t: Tensor) -> Tensor:
            asked.append(self._model.field.waves(t))
            return x

        integrate(note, torch.zeros(1, 1, device=device), self._policy.config.steps, self._policy.config.solver)
        return asked

    def load(self, observation: RobotObservation) -> None:
        """Noise and task; see `InferenceModule.load`."""
        given: NoisePart = {"noise": np.asarray(observation["noise"])[None]} if "noise" in observation else {}
        self._noise.copy_(self._policy.noise_for(given, 1))
        words = self._policy.words_of({"task": [observation["task"]]} if "task" in observation else {}, 1, self._width)
        if self._width is None:
            self._words = words
        else:
            for ours, new in zip(self._words, words, strict=True):
                ours.copy_(new)

    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """See `InferenceModule`."""
        policy, model = self._policy, self._model
        pixels = [policy.normalizer.normalize_images(image[None], index) for index, image in enumerate(images)]
        prefix = model.field.given(model.prefix(policy.state_to_network(qpos[None]), pixels, self._words))
        coming = iter(self._waves)
        end = integrate(
            lambda x, _: model.field.at(x, next(coming), prefix), self._noise, policy.config.steps, policy.config.solver
        )
        return policy.to_robot_units(end)[0]
