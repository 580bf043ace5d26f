"""ACT's network with flow beside every image, all in normalised units."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vgil_ros.policies.act.model import ActModel, ActOutput
from vgil_ros.policies.flow_act.config import FlowActConfig, Fusion


class FlowBackbone(nn.Sequential):
    """(B, 2, h, w) scaled flow -> (B, hidden, h / 8, w / 8), rounded up.

    No layer normalises: how far something has moved is what the flow is there to say. So the weights begin such that
    small flows do not fade from layer to layer, and that no flow says nothing.
    """

    def __init__(self, config: FlowActConfig) -> None:
        dim = config.hidden_dim
        widths = (2, *config.flow_channels, dim)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if number < len(config.flow_channels) else 1
            layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(dim, dim, kernel_size=1))
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # each has one


class Concat(nn.Module):
    """Both side by side, then a 1x1 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * dim, dim, kernel_size=1)

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        """(B, dim, h, w) twice -> (B, dim, h, w)."""
        out: Tensor = self.merge(torch.cat([image, flow], dim=1))
        return out


class ChannelAttention(nn.Module):
    """Both side by side, each channel weighted by what all of them say at that place, then a 1x1 convolution."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(2 * dim, dim, kernel_size=1), nn.ReLU(), nn.Conv2d(dim, 2 * dim, kernel_size=1), nn.Sigmoid()
        )
        self.merge = nn.Conv2d(2 * dim, dim, kernel_size=1)

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        """(B, dim, h, w) twice -> (B, dim, h, w)."""
        both = torch.cat([image, flow], dim=1)
        out: Tensor = self.merge(both * self.weigh(both))
        return out


class Gate(nn.Module):
    """alpha x image + (1 - alpha) x flow, alpha from both at each place and channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = nn.Sequential(nn.Conv2d(2 * dim, dim, kernel_size=1), nn.Sigmoid())

    def forward(self, image: Tensor, flow: Tensor) -> Tensor:
        """(B, dim, h, w) twice -> (B, dim, h, w)."""
        alpha: Tensor = self.alpha(torch.cat([image, flow], dim=1))
        return alpha * image + (1 - alpha) * flow


FUSIONS: dict[Fusion, type[nn.Module]] = {"concat": Concat, "attention": ChannelAttention, "gate": Gate}


def resized(feature: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, *grid)."""
    if feature.shape[2:] == grid:
        return feature
    whole = feature.float()  # torch has no antialiased resampling in bf16
    return interpolate(whole, size=grid, mode="bilinear", align_corners=False, antialias=True).to(feature.dtype)


class FlowActModel(ActModel):
    """ACT, where each camera's feature map is fused with that of its flow before it becomes tokens.

    The fused map takes the image's positions: flow has none of its own, so none can be missing. One flow backbone
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
