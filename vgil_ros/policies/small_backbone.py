"""A small image backbone of our own, for policies that are trained from nothing on a CPU: (B, 3, H, W) -> (B, C, h, w).

Stride 32 as the larger ones have it, 0.5 million weights. The first convolution takes a quarter of the picture's size
in one step, which is where larger networks spend most of their time. Every stage is told where in the picture it looks
(two more channels, x and y; Liu et al. 2018, "CoordConv"): a feature then says where a thing is, which deep networks
learn from the zeros beyond the border, and only slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 96, 128)
Norm = Callable[[int], nn.Module]


class SmallBackbone(nn.Module):
    """Convolutions of stride 4, 2, 2, 2; each of the last three stages ends with a residual convolution.

    Args:
        norm: from a number of channels to a normalisation layer.
    """

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], kernel_size=7, stride=4, padding=3, bias=False)
        self.norm1 = norm(WIDTHS[0])
        self.act = nn.ReLU()
        self.stages = nn.ModuleList(_Stage(a, b, norm) for a, b in pairwise(WIDTHS))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 128, ceil(H / 32), ceil(W / 32))."""
        x = self.act(self.norm1(self.conv1(x)))
        for stage in self.stages:
            x = stage(x)
        return x


class _Stage(nn.Module):
    """Half the size, more channels, then a residual convolution."""

    def __init__(self, before: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.down, self.norm1 = nn.Conv2d(before + 2, width, 3, stride=2, padding=1, bias=False), norm(width)
        self.conv, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm1(self.down(torch.cat([x, coordinates(x)], dim=1))))
        out: Tensor = self.act(x + self.norm2(self.conv(x)))
        return out


def coordinates(x: Tensor) -> Tensor:
    """Give the place of each cell, (B, 2, h, w) for x (B, C, h, w): rightwards and downwards, -1 to 1."""
    height, width = x.shape[2:]
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(height, width)
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    return torch.stack([across, down]).expand(len(x), 2, height, width)
