"""Transformer layers of the velocity field: actions attend to the kept prefix and to each other, told the time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.policies.flow_matching.config import FlowMatchingConfig

SHORTEST, LONGEST = 4e-3, 4.0  # periods of the time's waves, as pi0
GIVEN = 6  # shift, scale and gate, of two branches


class TimeEmbedding(nn.Module):
    """t (B,) in [0, 1] -> (B, D): waves of many periods through a small network."""

    waves: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(SHORTEST), math.log10(LONGEST), dim // 2, dtype=torch.float64)
        self.register_buffer("waves", (2 * math.pi / periods).to(torch.float32), persistent=False)
        self.linear1, self.linear2 = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, t: Tensor) -> Tensor:
        """See the class. The angles are float32 whatever the network computes in."""
        angle = t.to(torch.float32)[:, None] * self.waves
        waves = torch.cat([angle.sin(), angle.cos()], dim=-1).to(self.linear1.weight.dtype)
        out: Tensor = self.linear2(F.silu(self.linear1(waves)))
        return out


class ActionLayer(nn.Module):
    """Attention to the prefix and the actions together, then a feed-forward block.

    The time enters as shift, scale and gate of each (adaptive layer norm, Peebles & Xie 2022). Unlike there the gates
    begin at one, not at zero: a fresh network sees its observation.
    """

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.heads, self.drop = config.heads, config.dropout
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.linear1, self.linear2 = nn.Linear(dim, config.feedforward_dim), nn.Linear(config.feedforward_dim, dim)
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False)
        self.modulation = nn.Linear(dim, GIVEN * dim)
        self.dropout = nn.Dropout(config.dropout)
        self.activation = torch.relu if config.activation == "relu" else F.gelu
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, given: Tensor, keys: Tensor, values: Tensor, is_pad: Tensor | None = None) -> Tensor:
        """(B, H, D) -> (B, H, D).

        Args:
            given: (B, 1, 6 D), what `modulation` makes of the time; keys, values: (B, heads, S, d) of the prefix.
            is_pad: (B, H) bool, actions that nobody may look at; None: there are none.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = given.chunk(GIVEN, dim=-1)
        q, k, v = split_heads(self.qkv(self.norm1(x) * (1 + scale1) + shift1), self.heads, 3)
        k, v = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        mask = None if is_pad is None else F.pad(~is_pad, (keys.shape[2], 0), value=True)[:, None, None]
        found = F.scaled_dot_product_attention(q, k, v, mask, self.drop if self.training else 0.0)
        x = x + (1 + gate1) * self.dropout(self.out(found.transpose(1, 2).flatten(2)))
        hidden = self.activation(self.linear1(self.norm2(x) * (1 + scale2) + shift2))
        return x + (1 + gate2) * self.dropout(self.linear2(self.dropout(hidden)))


def split_heads(x: Tensor, heads: int, parts: int) -> tuple[Tensor, ...]:
    """(B, S, parts * D) -> `parts` of (B, heads, S, D / heads)."""
    return tuple(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1))
