"""ACT's network, all in normalised units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vgil_ros.policies.act.config import ActConfig
from vgil_ros.policies.nn.backbones import CHANNELS, build_backbone
from vgil_ros.policies.nn.positions import LearnedGrid, SineGrid, sine_table
from vgil_ros.policies.nn.transformer import Decoder, Encoder


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
    """KL to the unit normal: summed over latent dims, averaged over the batch. ()

    In float32: near the optimum it is a small difference of numbers around 1, of which bf16 keeps nothing.
    """
    mu, logvar = mu.float(), logvar.float()
    return (-0.5 * (1 + logvar - mu.square() - logvar.exp())).sum(dim=1).mean()


@dataclass(frozen=True)
class ActOutput:
    """action (B, H, A) normalised; pad_logits (B, H, 1) or None; mu and logvar (B, latent) or None."""

    action: Tensor
    pad_logits: Tensor | None
    mu: Tensor | None
    logvar: Tensor | None


class ActModel(nn.Module):
    """Image features of every camera, a latent and the state go into the encoder; queries read out the actions."""

    def __init__(self, config: ActConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        copies = 1 if config.shared_backbone else len(config.cameras)
        self.backbones = nn.ModuleList(build_backbone(config.backbone, config.backbone_norm) for _ in range(copies))
        self.positions = nn.ModuleList(
            SineGrid(dim) if config.positions == "sine" else LearnedGrid(dim) for _ in range(copies)
        )
        self.image_proj = nn.Conv2d(CHANNELS[config.backbone], dim, kernel_size=1)
        self.cvae = CvaeEncoder(config) if config.cvae_layers else None
        self.latent_out_proj = nn.Linear(config.latent_dim, dim)
        self.state_proj = nn.Linear(config.state_dim, dim)
        self.token_pos = nn.Embedding(2, dim)  # of the latent, of the state
        self.query_embed = nn.Embedding(config.chunk_size, dim)
        self.encoder = Encoder(config, config.encoder_layers)
        self.decoder = Decoder(config)
        self.action_head = nn.Linear(dim, config.action_dim)
        self.pad_head = nn.Linear(dim, 1) if config.pad_head else None
        self._reset_parameters()

    def forward(
        self, qpos: Tensor, images: list[Tensor], action: Tensor | None = None, is_pad: Tensor | None = None
    ) -> ActOutput:
        """Predict a chunk.

        Args:
            qpos: (B, D); images: one (B, 3, H, W) for each camera.
            action: (B, H, A) and is_pad: (B, H) bool in training, where the latent is drawn from the CVAE encoder.
                Without them the latent is zero.
        """
        return self.decode(qpos, *self.encode_images(images), action, is_pad)

    def decode(
        self, qpos: Tensor, tokens: Tensor, pos: Tensor, action: Tensor | None = None, is_pad: Tensor | None = None
    ) -> ActOutput:
        """Predict a chunk from what the cameras show: tokens (B, S, D) at positions (S, D); see `forward`."""
        mu = logvar = None
        latent = qpos.new_zeros(len(qpos), self.config.latent_dim)
        if self.cvae is not None and action is not None and is_pad is not None:
            mu, logvar = self.cvae(qpos, action, is_pad)
            latent = mu + (logvar / 2).exp() * torch.randn_like(mu)
        tokens = torch.cat([self.latent_out_proj(latent)[:, None], self.state_proj(qpos)[:, None], tokens], dim=1)
        pos = torch.cat([self.token_pos.weight, pos])
        memory = self.encoder(tokens, pos)
        out = self.decoder(memory, pos, self.query_embed.weight)
        pad_logits = self.pad_head(out) if self.pad_head is not None else None
        return ActOutput(self.action_head(out), pad_logits, mu, logvar)

    def encode_images(self, images: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Give (tokens (B, S, D), positions (S, D)) of all cameras, one camera after the other.

        The original lays the cameras side by side along the width. Attention does not care for the order of tokens,
        and each camera has positions of its own in both.
        """
        tokens, positions = [], []
        for index, image in enumerate(images):
            feature, position = self.encode_image(index, image)
            positions.append(position)
            tokens.append(feature.flatten(2).transpose(1, 2))
        return torch.cat(tokens, dim=1), torch.cat(positions)

    def encode_image(self, index: int, image: Tensor) -> tuple[Tensor, Tensor]:
        """Camera number `index`, (B, 3, H, W) -> feature map (B, D, h, w) and its positions (h * w, D)."""
        copy = 0 if self.config.shared_backbone else index
        feature: Tensor = self.image_proj(self.backbones[copy](image))
        return feature, self.positions[copy](feature.shape[2], feature.shape[3], feature.device)

    def _reset_parameters(self) -> None:
        """Xavier for the transformer's matrices, as DETR does; the CVAE encoder keeps torch's defaults, as there."""
        for part in (self.encoder, self.decoder):
            for parameter in part.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
