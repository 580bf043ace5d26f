"""Position embeddings: of image features in two axes, of sequences in one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vgil_ros.policies.errors import PolicyError

LEARNED_LIMIT = 50  # rows and columns of DETR's learned table


def sine_table(length: int, dim: int) -> Tensor:
    """(length, dim): sin on even columns, cos on odd ones (Vaswani et al. 2017)."""
    column = torch.arange(dim, dtype=torch.float64)
    angle = torch.arange(length, dtype=torch.float64)[:, None] / 10000.0 ** (2 * (column // 2) / dim)
    table = torch.where(column % 2 == 0, angle.sin(), angle.cos())
    return table.to(torch.float32)


def sine_grid(height: int, width: int, dim: int, device: torch.device) -> Tensor:
    """(height * width, dim): DETR's normalised sine positions, first half for the row, second for the column."""
    row = _axis(height, dim // 2, device)[:, None].expand(-1, width, -1)
    column = _axis(width, dim // 2, device)[None].expand(height, -1, -1)
    return torch.cat([row, column], dim=-1).flatten(0, 1)


def _axis(length: int, dim: int, device: torch.device) -> Tensor:
    """(length, dim): counted from 1, scaled so that the last is 2 pi."""
    place = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    place = place / (length + 1e-6) * (2 * math.pi)
    exponent = 2 * torch.div(torch.arange(dim, device=device), 2, rounding_mode="floor") / dim
    angle = place[:, None] / 10000.0**exponent
    return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1)


class SineGrid(nn.Module):
    """Sine positions of a feature map; no weights, remembered for each size."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self._cache: dict[tuple[int, int, torch.device], Tensor] = {}

    def forward(self, height: int, width: int, device: torch.device) -> Tensor:
        """Give (height * width, dim)."""
        key = (height, width, device)
        if key not in self._cache:
            # Made outside of inference mode even when asked for inside, so that training can use it afterwards.
            with torch.inference_mode(False):
                self._cache[key] = sine_grid(height, width, self.dim, device)
        return self._cache[key]


class LearnedGrid(nn.Module):
    """DETR's learned positions: first half of the width from the column, second half from the row."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.row_embed = nn.Embedding(LEARNED_LIMIT, dim // 2)
        self.col_embed = nn.Embedding(LEARNED_LIMIT, dim // 2)
        nn.init.uniform_(self.row_embed.weight)
        nn.init.uniform_(self.col_embed.weight)

    def forward(self, height: int, width: int, device: torch.device) -> Tensor:
        """Give (height * width, dim).

        Raises:
            PolicyError: the feature map has more than 50 rows or columns.
        """
        if max(height, width) > LEARNED_LIMIT:
            raise PolicyError(f"feature map {height}x{width}: learned positions reach {LEARNED_LIMIT} rows and columns")
        column = self.col_embed.weight[:width][None].expand(height, -1, -1)
        row = self.row_embed.weight[:height][:, None].expand(-1, width, -1)
        return torch.cat([column, row], dim=-1).flatten(0, 1).to(device)
