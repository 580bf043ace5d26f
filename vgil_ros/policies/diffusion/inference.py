"""Diffusion for inference on one observation: the same numbers as `predict_chunk`, with nothing scaled twice.

Shapes are static and nothing waits for the device, so that on CUDA encoders and all steps lie in one graph. What
changes from call to call besides state and images (noise, the past) comes in through buffers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.base import InferenceModule
from vgil_ros.policies.diffusion.model import crop
from vgil_ros.policies.diffusion.policy import DiffusionPolicy
from vgil_ros.policies.diffusion.trajectory import known_back
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.inference.backbone import FastBackbone
from vgil_ros.policies.observation import NoisePart
from vgil_ros.policies.preparation import batched, prepare_past


class DiffusionInferenceModule(InferenceModule):
    """Backbones with the scaling of pixels folded in, on the policy's device. Later changes to them are not seen.

    Where images are resized they are scaled first, and the plain backbones run.
    """

    def __init__(self, policy: DiffusionPolicy, dtype: torch.dtype) -> None:
        config, device = policy.config, policy.device
        self._policy, self._dtype = policy, dtype
        self._backbones: list[FastBackbone] | None = None
        if config.resize is None:
            with torch.inference_mode():
                self._backbones = [
                    FastBackbone(policy.model.encoder_of(index).backbone, *policy.normalizer.image_affine(index), dtype)
                    for index in range(len(config.cameras))
                ]
        shape = (config.horizon, config.action_dim)
        self._noise = torch.zeros(1, *shape, device=device)
        self._fresh = torch.zeros(policy.schedule.random_steps, 1, *shape, device=device)
        self._qpos = torch.zeros(config.first, config.state_dim, device=device)
        self._images: dict[int, Tensor] = {}  # (N, H, W, 3) of each camera
        self._place = torch.full((config.n_obs_steps,), config.first, device=device)  # of each step among what is there

    def load(self, observation: RobotObservation) -> None:
        """Noise and the past; see `InferenceModule.load`."""
        policy, config = self._policy, self._policy.config
        given: NoisePart = {"noise": np.asarray(observation["noise"])[None]} if "noise" in observation else {}
        noise, fresh = policy.noise_for(given, 1)
        self._noise.copy_(noise)
        if fresh is not None:
            self._fresh.copy_(fresh)
        oldest = config.first
        if config.first and "past" in observation:
            oldest = self._load_past(observation)
        self._place.copy_(torch.arange(config.n_obs_steps).clamp(min=oldest))

    def _load_past(self, observation: RobotObservation) -> int:
        """Fill the buffers; the place of the oldest step that is known."""
        policy, config = self._policy, self._policy.config
        past = prepare_past(config, batched(observation), policy.device)
        assert past is not None
        self._qpos.copy_(past.qpos[0])
        for index, (name, images) in enumerate(zip(config.camera_names, past.images, strict=True)):
            now = np.shape(observation["images"][name])
            if tuple(images.shape[2:]) != now:
                raise PolicyError(f"past image of {name}: found shape {tuple(images.shape[2:])}, allowed is {now}")
            self._before(index, now).copy_(images[0])
        return int((~known_back(torch.as_tensor(np.asarray(observation["past"]["known"]))[None])).sum())

    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """See `InferenceModule`."""
        policy = self._policy
        with torch.autocast(qpos.device.type, self._dtype, enabled=self._dtype != torch.float32):
            parts = [policy.normalizer.qpos(self._with_past(self._qpos, qpos))]
            for index, image in enumerate(images):
                parts.append(self._feature(self._frames(index, image), index))
            network = policy.network(torch.cat(parts, dim=-1).flatten()[None])
            actions = policy.sample(network, self._noise, self._fresh)
        return policy.to_robot_units(actions)[0]

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        if self._backbones is not None and qpos.device.type == "cpu":
            for index, image in enumerate(images):
                self._backbones[index].tune(self._cropped(self._frames(index, image)))

    def _feature(self, frames: Tensor, camera: int) -> Tensor:
        """(T, H, W, 3) uint8 -> (T, dim)."""
        encoder = self._policy.model.encoder_of(camera)
        if self._backbones is None:
            out: Tensor = encoder(self._policy.model.scaled(frames[None], self._policy.normalizer, camera)[0])
            return out
        return encoder.pooled(self._backbones[camera](self._cropped(frames)).float())

    def _cropped(self, frames: Tensor) -> list[Tensor]:
        size = self._policy.config.crop
        if size is not None:
            frames = crop(frames.movedim(-1, 1), size, None).movedim(1, -1)
        return list(frames)

    def _frames(self, camera: int, image: Tensor) -> Tensor:
        return self._with_past(self._before(camera, tuple(image.shape)), image)

    def _with_past(self, before: Tensor, now: Tensor) -> Tensor:
        """(N, ...) and (...) -> (N + 1, ...), the oldest known in the place of older ones."""
        return torch.cat([before, now[None]]).index_select(0, self._place)

    def _before(self, camera: int, shape: tuple[int, ...]) -> Tensor:
        """The buffer of a camera's past images, for images of that shape."""
        buffer = self._images.get(camera)
        if buffer is None or tuple(buffer.shape[1:]) != shape:
            lead = self._policy.config.first
            buffer = torch.zeros(lead, *shape, dtype=torch.uint8, device=self._policy.device)
            self._images[camera] = buffer
        return buffer
