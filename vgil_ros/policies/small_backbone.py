"""A small image backbone of our own, for policies that are trained from nothing on a CPU: (B, 3, H, W) -> (B, C, h, w).

Stride 32 as the larger ones have it, 0.4 million weights. The first convolution takes a quarter of the picture's size
in one step, which is where larger networks spend most of their time.

A policy without pretrained weights learns *where* things are last of all: attention that is still even hands on the
mean of a picture, in which a small thing is lost. Two additions make that quick: hundreds of steps, not thousands.
Every stage is told where in the picture it looks (two more channels, x and y; Liu et al. 2018, "CoordConv"), and the
places of `KEYPOINTS` learnt features (spatial softmax; Finn et al. 2016) are added to every cell of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 96, 128)
KEYPOINTS = 32
SHARPNESS = 3.0  # of the softmax over places at the start: an even one would say "in the middle" of everything
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
        self.features = SmallFeatures(norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 128, ceil(H / 32), ceil(W / 32))."""
        out: Tensor = self.features(torch.relu(self.norm1(self.conv1(x))))
        return out


class SmallFeatures(nn.Module):
    """All that follows the first convolution: (B, 32, h, w) -> (B, 128, h / 8, w / 8)."""

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_Stage(a, b, norm) for a, b in pairwise(WIDTHS))
        self.keypoints = Keypoints(WIDTHS[1], KEYPOINTS)
        self.places = nn.Linear(2 * KEYPOINTS, WIDTHS[-1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](x)
        places = self.places(self.keypoints(x))
        for stage in self.stages[1:]:
            x = stage(x)
        return x + places[:, :, None, None]


class _Stage(nn.Module):
    """Half the size, more channels, then a residual convolution."""

    def __init__(self, before: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.down, self.norm1 = nn.Conv2d(before + 2, width, 3, stride=2, padding=1, bias=False), norm(width)
        self.conv, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), norm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.down(torch.cat([x, coordinates(x)], dim=1))))
        return torch.relu(x + self.norm2(self.conv(x)))


class Keypoints(nn.Module):
    """Mean place of each of some learnt features: (B, C, h, w) -> (B, 2 K), -1 to 1."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, count, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        shares = (SHARPNESS * self.maps(x).float().flatten(2)).softmax(dim=-1)
        places = coordinates(x[:1]).float().flatten(2)[0]
        return (shares @ places.t()).flatten(1).to(x.dtype)


def coordinates(x: Tensor) -> Tensor:
    """Give the place of each cell, (B, 2, h, w) for x (B, C, h, w): rightwards and downwards, -1 to 1."""
    height, width = x.shape[2:]
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(height, width)
    down = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    return torch.stack([across, down]).expand(len(x), 2, height, width)
