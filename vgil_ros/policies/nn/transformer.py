"""DETR's transformer layers: positions are added to queries and keys in every layer, never to values.

Batch comes first: (B, S, D).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from vgil_ros.policies.nn.attention import MultiheadAttention


class Sizes(Protocol):
    """What an encoder must be told; other policies' configurations have it too."""

    @property
    def hidden_dim(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def feedforward_dim(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def pre_norm(self) -> bool: ...
    @property
    def activation(self) -> str: ...


class DecoderSizes(Sizes, Protocol):
    """What a decoder must be told beside."""

    @property
    def decoder_layers(self) -> int: ...


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward block; `pre_norm` normalises before each instead of after."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        dim, dropout = config.hidden_dim, config.dropout
        self.self_attn = MultiheadAttention(dim, config.heads, dropout)
        self.linear1 = nn.Linear(dim, config.feedforward_dim)
        self.linear2 = nn.Linear(config.feedforward_dim, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = config.pre_norm
        self.activation = torch.relu if config.activation == "relu" else nn.functional.gelu

    def forward(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D); `pos` (S, D), `padding` (B, S) bool, True is ignored."""
        h = self.norm1(x) if self.pre_norm else x
        q = h + pos
        x = x + self.dropout(self.self_attn(q, q, h, padding))
        if not self.pre_norm:
            x = self.norm1(x)
        h = self.norm2(x) if self.pre_norm else x
        x = x + self.dropout(self.linear2(self.dropout(self.activation(self.linear1(h)))))
        return x if self.pre_norm else self.norm2(x)


class Encoder(nn.Module):
    """A stack of encoder layers; in the `pre_norm` form a last norm follows."""

    def __init__(self, config: Sizes, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(layers))
        self.norm = nn.LayerNorm(config.hidden_dim) if config.pre_norm else nn.Identity()

    def forward(self, x: Tensor, pos: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        for layer in self.layers:
            x = layer(x, pos, padding)
        out: Tensor = self.norm(x)
        return out


class DecoderLayer(nn.Module):
    """Self-attention among the queries, attention to the memory, and a feed-forward block."""

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        dim, dropout = config.hidden_dim, config.dropout
        self.self_attn = MultiheadAttention(dim, config.heads, dropout)
        self.multihead_attn = MultiheadAttention(dim, config.heads, dropout)
        self.linear1 = nn.Linear(dim, config.feedforward_dim)
        self.linear2 = nn.Linear(config.feedforward_dim, dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.pre_norm = config.pre_norm
        self.activation = torch.relu if config.activation == "relu" else nn.functional.gelu

    def forward(self, x: Tensor, memory: Tensor, memory_key: Tensor, query_pos: Tensor) -> Tensor:
        """x (B, H, D), memory (B, S, D), memory_key = memory + its positions, query_pos (H, D) -> (B, H, D)."""
        h = self.norm1(x) if self.pre_norm else x
        q = h + query_pos
        x = x + self.dropout(self.self_attn(q, q, h))
        if not self.pre_norm:
            x = self.norm1(x)
        h = self.norm2(x) if self.pre_norm else x
        x = x + self.dropout(self.multihead_attn(h + query_pos, memory_key, memory))
        if not self.pre_norm:
            x = self.norm2(x)
        h = self.norm3(x) if self.pre_norm else x
        x = x + self.dropout(self.linear2(self.dropout(self.activation(self.linear1(h)))))
        return x if self.pre_norm else self.norm3(x)


class Decoder(nn.Module):
    """A stack of decoder layers and a last norm; the queries start at zero."""

    def __init__(self, config: DecoderSizes) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.norm = nn.LayerNorm(config.hidden_dim)

    def forward(self, memory: Tensor, pos: Tensor, query_pos: Tensor) -> Tensor:
        """memory (B, S, D), pos (S, D), query_pos (H, D) -> (B, H, D)."""
        x = memory.new_zeros(memory.shape[0], *query_pos.shape)
        memory_key = memory + pos
        for layer in self.layers:
            x = layer(x, memory, memory_key, query_pos)
        out: Tensor = self.norm(x)
        return out
