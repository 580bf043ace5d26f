"""The network that tells noise from actions: a U-Net along time, every block told the step and the observation."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vgil_ros.policies.diffusion.config import HEAD_GROUPS, DiffusionConfig


class StepEmbedding(nn.Module):
    """Sine and cosine of the step, then two linear layers."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        falling = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        self.register_buffer("frequencies", falling, persistent=False)
        self.linear1, self.linear2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, time: Tensor) -> Tensor:
        """(...,) -> (..., dim)."""
        angle = time[..., None] * self.frequencies
        out: Tensor = self.linear2(F.mish(self.linear1(torch.cat([angle.sin(), angle.cos()], dim=-1))))
        return out


class ResidualBlock(nn.Module):
    """Two convolutions; between them the condition scales and shifts each channel (FiLM, Perez et al. 2018)."""

    def __init__(self, before: int, width: int, condition_dim: int, config: DiffusionConfig) -> None:
        super().__init__()
        size, groups = config.kernel_size, config.n_groups
        self.conv1, self.norm1 = nn.Conv1d(before, width, size, padding=size // 2), nn.GroupNorm(groups, width)
        self.conv2, self.norm2 = nn.Conv1d(width, width, size, padding=size // 2), nn.GroupNorm(groups, width)
        self.film = nn.Linear(config.step_embed_dim + condition_dim, width * 2 if config.film_scale else width)
        self.skip = nn.Conv1d(before, width, 1) if before != width else nn.Identity()
        self._scales, self._split = config.film_scale, config.step_embed_dim

    def modulation(self, step: Tensor, condition: Tensor) -> Tensor:
        """Modulation of this block by the step's embedding (..., E) and the condition (B, C), (..., B, width or 2
        width).

        The linear layer's two halves are taken apart: over the steps of an inference the condition's stays the same.
        """
        of_step, of_condition = self.film.weight.split([self._split, self.film.in_features - self._split], dim=1)
        return F.linear(F.mish(step), of_step) + F.linear(F.mish(condition), of_condition, self.film.bias)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """x (B, before, T), modulation (B, width or 2 width) -> (B, width, T)."""
        out = F.mish(self.norm1(self.conv1(x)))
        if self._scales:
            scale, bias = modulation[..., None].chunk(2, dim=1)
            out = scale * out + bias
        else:
            out = out + modulation[..., None]
        out = F.mish(self.norm2(self.conv2(out)))
        result: Tensor = out + self.skip(x)
        return result


class Level(nn.Module):
    """Two blocks, and what changes the number of time steps behind them."""

    def __init__(
        self, before: int, width: int, condition_dim: int, config: DiffusionConfig, resample: nn.Module
    ) -> None:
        super().__init__()
        self.block1 = ResidualBlock(before, width, condition_dim, config)
        self.block2 = ResidualBlock(width, width, condition_dim, config)
        self.resample = resample

    def forward(self, x: Tensor, modulation1: Tensor, modulation2: Tensor) -> Tensor:
        """x (B, before, T) and the blocks' modulation -> (B, width, T), before the number of time steps changes."""
        out: Tensor = self.block2(self.block1(x, modulation1), modulation2)
        return out


class UNet(nn.Module):
    """(B, horizon, A) -> (B, horizon, A), normalised units."""

    def __init__(self, config: DiffusionConfig, condition_dim: int) -> None:
        super().__init__()
        dims, top = config.down_dims, config.down_dims[-1]
        self.embed = StepEmbedding(config.step_embed_dim)
        pairs = list(pairwise((config.action_dim, *dims)))
        self.down = nn.ModuleList(
            Level(before, width, condition_dim, config, _halve(width) if index + 1 < len(dims) else nn.Identity())
            for index, (before, width) in enumerate(pairs)
        )
        self.mid = nn.ModuleList(ResidualBlock(top, top, condition_dim, config) for _ in range(2))
        self.up = nn.ModuleList(
            Level(2 * below, width, condition_dim, config, nn.ConvTranspose1d(width, width, 4, 2, 1))
            for width, below in reversed(pairs[1:])
        )
        size = config.kernel_size
        self.last_conv = nn.Conv1d(dims[0], dims[0], size, padding=size // 2)
        self.last_norm = nn.GroupNorm(HEAD_GROUPS, dims[0])
        self.head = nn.Conv1d(dims[0], config.action_dim, 1)

    def modulation(self, time: Tensor, condition: Tensor) -> list[Tensor]:
        """The modulation of each block, in the order of `forward`.

        Args:
            time: (B,) of each member of the batch, or (S, 1) of all of them at S steps.
            condition: (B, C).

        Returns:
            (B, ...) or (S, B, ...) for each block.
        """
        step = self.embed(time)
        return [block.modulation(step, condition) for block in self._blocks()]

    def forward(self, x: Tensor, modulations: list[Tensor]) -> Tensor:
        """x (B, horizon, A) and the modulation of each block (B, ...) -> (B, horizon, A)."""
        x, remaining, kept = x.transpose(1, 2), iter(modulations), []
        for level in _levels(self.down):
            kept.append(level(x, next(remaining), next(remaining)))
            x = level.resample(kept[-1])
        for block in self.mid:
            x = block(x, next(remaining))
        for level in _levels(self.up):
            x = level.resample(level(torch.cat([x, kept.pop()], dim=1), next(remaining), next(remaining)))
        out: Tensor = self.head(F.mish(self.last_norm(self.last_conv(x))))
        return out.transpose(1, 2)

    def _blocks(self) -> list[ResidualBlock]:
        """In the order of `forward`."""
        down, up = ([b for one in _levels(part) for b in (one.block1, one.block2)] for part in (self.down, self.up))
        return [*down, *cast("list[ResidualBlock]", list(self.mid)), *up]


def _levels(part: nn.ModuleList) -> list[Level]:
    return cast("list[Level]", list(part))


def _halve(width: int) -> nn.Module:
    return nn.Conv1d(width, width, 3, stride=2, padding=1)
