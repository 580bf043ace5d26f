"""ACT as a policy: units in, units out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.act.model import ActModel, ActOutput, kl_divergence
from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.observation import check_vector, prepare, to_tensor


class ActPolicy(Policy):
    """Action Chunking with Transformers (Zhao et al. 2023)."""

    config_class: ClassVar[type[ActConfig]] = ActConfig
    config: ActConfig

    def __init__(self, config: ActConfig) -> None:
        super().__init__(config)
        self.model: ActModel = self.make_model()

    def make_model(self) -> ActModel:
        """The network."""
        return ActModel(self.config)

    def _predict_chunk(self, observation: Mapping[str, Any]) -> Tensor:
        """See `Policy.predict_chunk`. The latent is zero."""
        return self.normalizer.action.inverse(self.forward_normalized(observation).action)

    def forward_normalized(
        self, observation: Mapping[str, Any], action: Tensor | None = None, is_pad: Tensor | None = None
    ) -> ActOutput:
        """Run the network on an observation in robot units; `action` (B, H, A), if given, is normalised already."""
        self.require_normalizer()
        qpos, frames = prepare(self.config, observation, self.device)
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        out: ActOutput = self.model(self.normalizer.qpos(qpos), images, action, is_pad)
        return out

    def compute_loss(self, batch: Mapping[str, Any]) -> LossOutput:
        """L1 on unpadded actions plus kl_weight times KL.

        As published, the L1 is divided by the count of all entries, padded ones included, so that kl_weight means the
        same here as there.

        Raises:
            PolicyError: a shape does not fit, or an action is not finite.
        """
        config = self.config
        action, is_pad = to_tensor(batch["action"], self.device), to_tensor(batch["is_pad"], self.device)
        check_vector("action", tuple(action.shape), (None, config.chunk_size, config.action_dim))
        check_vector("is_pad", tuple(is_pad.shape), (len(action), config.chunk_size))
        if is_pad.dtype != torch.bool:
            raise PolicyError(f"is_pad: found dtype {is_pad.dtype}, allowed is bool")
        target = self.normalizer.action(action.to(torch.float32))
        out = self.forward_normalized(batch, target, is_pad)
        l1 = (out.action - target).abs().masked_fill(is_pad[..., None], 0.0).mean()
        if out.mu is None or out.logvar is None:
            return LossOutput(l1, {"l1": l1.detach()})
        kl = kl_divergence(out.mu, out.logvar)
        return LossOutput(l1 + config.kl_weight * kl, {"l1": l1.detach(), "kl": kl.detach()})
