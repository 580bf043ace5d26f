"""ACT as a policy: units in, units out."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.act.model import ActModel, ActOutput, kl_divergence
from vgil_ros.policies.base import LossOutput, Policy
from vgil_ros.policies.observation import Batch, Observation
from vgil_ros.policies.preparation import prepare, prepare_targets


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

    def _predict_chunk(self, observation: Observation) -> Tensor:
        """See `Policy.predict_chunk`. The latent is zero."""
        return self.normalizer.action.inverse(self.forward_normalized(observation).action)

    def forward_normalized(
        self, observation: Observation, action: Tensor | None = None, is_pad: Tensor | None = None
    ) -> ActOutput:
        """Run the network on an observation in robot units; `action` (B, H, A), if given, is normalised already."""
        self.require_normalizer()
        qpos, frames = prepare(self.config, observation, self.device)
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        out: ActOutput = self.model(self.normalizer.qpos(qpos), images, action, is_pad)
        return out

    def compute_loss(self, batch: Batch) -> LossOutput:
        """L1 on unpadded actions plus kl_weight times KL.

        As published, the L1 is divided by the count of all entries, padded ones included, so that kl_weight means the
        same here as there.

        Raises:
            PolicyError: a shape does not fit, or an action is not finite.
        """
        action, is_pad = prepare_targets(self.config, batch, self.device)
        target = self.normalizer.action(action)
        out = self.forward_normalized(batch, target, is_pad)
        l1 = (out.action - target).abs().masked_fill(is_pad[..., None], 0.0).mean()
        if out.mu is None or out.logvar is None:
            return LossOutput(l1, {"l1": l1.detach()})
        kl = kl_divergence(out.mu, out.logvar)
        return LossOutput(l1 + self.config.kl_weight * kl, {"l1": l1.detach(), "kl": kl.detach()})
