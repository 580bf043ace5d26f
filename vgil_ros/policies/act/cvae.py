"""ACT's CVAE encoder: what style an action chunk is in. Only training runs it; at inference the latent is zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.nn.positions import sine_table
from vgil_ros.policies.nn.transformer import Encoder


class CvaeEncoder(nn.Module):
    """(CLS, state, action chunk) -> mean and log-variance of the latent."""

    positions: Tensor

    def __init__(self, config: ActConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.cls_embed = nn.Embedding(1, dim)
        self.state_proj = nn.Linear(config.state_dim, dim)
        self.action_proj = nn.Linear(config.action_dim, dim)
        self.encoder = Encoder(config, config.cvae_layers)
        self.latent_proj = nn.Linear(dim, 2 * config.latent_dim)
        self.register_buffer("positions", sine_table(2 + config.chunk_size, dim))

    def forward(self, qpos: Tensor, action: Tensor, is_pad: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised qpos (B, D) and action (B, H, A), is_pad (B, H) bool -> mu, logvar, both (B, latent)."""
        batch = len(qpos)
        cls = self.cls_embed.weight[None].expand(batch, -1, -1)
        tokens = torch.cat([cls, self.state_proj(qpos)[:, None], self.action_proj(action)], dim=1)
        padding = torch.cat([is_pad.new_zeros(batch, 2), is_pad], dim=1)
        out = self.encoder(tokens, self.positions, padding)
        mu, logvar = self.latent_proj(out[:, 0]).chunk(2, dim=-1)
        return mu, logvar


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL to the unit normal: summed over latent dims, averaged over the batch. ()"""
    return (-0.5 * (1 + logvar - mu.square() - logvar.exp())).sum(dim=1).mean()
