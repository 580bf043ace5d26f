"""ACT's network with flow beside every picture, all in normalised units."""

from __future__ import annotations

import torch
from torch import Tensor

from vgil_ros.policies.act.model import ActModel, ActOutput
from vgil_ros.policies.flow_act.config import FlowActConfig
from vgil_ros.policies.flow_act.fusion import FUSIONS, FlowBackbone, resized


class FlowActModel(ActModel):
    """ACT, where each camera's feature map is fused with that of its flow before it becomes tokens.

    The fused map takes the picture's positions: flow has none of its own, so none can be missing. One flow backbone
    serves all cameras: motion looks alike to all of them.
    """

    def __init__(self, config: FlowActConfig) -> None:
        super().__init__(config)
        self.flow_backbone = FlowBackbone(config)
        self.fusion = FUSIONS[config.fusion](config.hidden_dim)

    def forward_flow(
        self,
        qpos: Tensor,
        images: list[Tensor],
        flows: list[Tensor],
        action: Tensor | None = None,
        is_pad: Tensor | None = None,
    ) -> ActOutput:
        """As ACT's forward.

        Args:
            flows: one (B, 2, h, w) for each camera, in [-1, 1], of whatever size.
        """
        tokens, positions = [], []
        for index, (image, flow) in enumerate(zip(images, flows, strict=True)):
            feature, position = self.encode_image(index, image)
            moved = resized(self.flow_backbone(flow), (feature.shape[2], feature.shape[3]))
            tokens.append(self.fusion(feature, moved).flatten(2).transpose(1, 2))
            positions.append(position)
        return self.decode(qpos, torch.cat(tokens, dim=1), torch.cat(positions), action, is_pad)
