"""Attention as torch computes it, and a way of its own where torch's is slow: with gradients, on a CPU.

There the fused kernel's backward pass takes longer than the rest of a policy's network, and the one of separate
products guards each of them against rows that see nothing, which do not come up here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Scaled dot-product attention: q (B, N, T, d), k and v (B, N, S, d) -> (B, N, T, d).

    Args:
        seen: bool, broadcast to (B, N, T, S); False is not looked at. Each query sees something.
        dropout: share of the weights that are dropped.
    """
    if q.device.type != "cpu" or not (torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)):
        return F.scaled_dot_product_attention(q, k, v, seen, dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    weights = scores.softmax(dim=-1)
    if dropout > 0.0:
        weights = F.dropout(weights, dropout)
    result: Tensor = weights @ v
    return result


class MultiheadAttention(nn.MultiheadAttention):
    """torch's, batch first, of which nobody asks for the weights; the names of its parameters are torch's.

    Args:
        dim: D of queries, keys and values.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__(dim, heads, dropout, batch_first=True)

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """query (B, T, D), key and value (B, S, D) -> (B, T, D); `padding` (B, S) bool, True is ignored."""
        if query.device.type != "cpu" or not torch.is_grad_enabled():
            out: Tensor = super().forward(query, key, value, key_padding_mask=padding, need_weights=False)[0]
            return out
        dim, heads = self.embed_dim, self.num_heads
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if query is key:
            q, k = F.linear(query, weight[: 2 * dim], bias[: 2 * dim]).chunk(2, dim=-1)
        else:
            q = F.linear(query, weight[:dim], bias[:dim])
            k = F.linear(key, weight[dim : 2 * dim], bias[dim : 2 * dim])
        v = F.linear(value, weight[2 * dim :], bias[2 * dim :])
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (q, k, v))
        seen = None if padding is None else ~padding[:, None, None]
        mixed = attention(q, k, v, seen, self.dropout if self.training else 0.0)
        result: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return result
