"""The network, in normalised and padded units: a prefix that is encoded once, and a velocity field that reads it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.policies.flow_matching.config import FlowMatchingConfig
from vgil_ros.policies.nn.attention import attention
from vgil_ros.policies.nn.backbones import CHANNELS, build_backbone
from vgil_ros.policies.nn.positions import SineGrid
from vgil_ros.policies.nn.transformer import Encoder

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
        attended = attention(q, k, v, mask, self.drop if self.training else 0.0)
        x = x + (1 + gate1) * self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        hidden = self.activation(self.linear1(self.norm2(x) * (1 + scale2) + shift2))
        result: Tensor = x + (1 + gate2) * self.dropout(self.linear2(self.dropout(hidden)))
        return result


def split_heads(x: Tensor, heads: int, parts: int) -> tuple[Tensor, ...]:
    """(B, S, parts * D) -> `parts` of (B, heads, S, D / heads)."""
    return tuple(part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in x.chunk(parts, dim=-1))


class Prefix(NamedTuple):
    """What the field keeps of an observation: keys and values of each of its layers, (B, heads, S, d)."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    def repeated(self, times: int) -> Prefix:
        """Each observation `times` times, one behind the other: (B times, heads, S, d)."""
        return Prefix(*(tuple(one.repeat_interleave(times, dim=0) for one in part) for part in self))


class PrefixEncoder(nn.Module):
    """State, images and task -> keys and values. Nothing in it depends on time or noise."""

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        copies = (1 if config.shared_backbone else len(config.cameras)) if config.cameras else 0
        self.backbones = nn.ModuleList(build_backbone(config.backbone, config.backbone_norm) for _ in range(copies))
        self.image_proj = nn.Conv2d(CHANNELS[config.backbone], dim, kernel_size=1) if copies else None
        self.camera_embed = nn.Embedding(len(config.cameras), dim) if copies else None
        self.grid = SineGrid(dim)
        self.state_proj = nn.Linear(config.padded_dim, dim)
        self.task_proj = nn.Linear(config.task_dim, dim) if config.task_dim else None
        self.token_pos = nn.Embedding(2 if config.task_dim else 1, dim)  # of the state, of the task
        self.encoder = Encoder(config, config.encoder_layers)
        self.key = nn.ModuleList(nn.Linear(dim, dim) for _ in range(config.action_layers))
        self.value = nn.ModuleList(nn.Linear(dim, dim) for _ in range(config.action_layers))
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)  # as DETR and ACT

    def forward(self, state: Tensor, images: list[Tensor], task: Tensor | None = None) -> Prefix:
        """Encode an observation.

        Args:
            state: (B, padded_dim); images: one (B, 3, H, W) for each camera; task: (B, task_dim), where there is one.
        """
        tokens = [self.state_proj(state)[:, None]]
        if self.task_proj is not None and task is not None:
            tokens.append(self.task_proj(task)[:, None])
        places = [self.token_pos.weight]
        for index, image in enumerate(images):
            token, place = self._camera(index, image)
            tokens.append(token)
            places.append(place)
        pos = torch.cat(places)
        memory = self.encoder(torch.cat(tokens, dim=1), pos)
        return self._keep(memory, memory + pos)

    def _camera(self, index: int, image: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, h * w, D) of one camera, and their positions (h * w, D)."""
        assert self.image_proj is not None
        assert self.camera_embed is not None
        feature = self.image_proj(self.backbones[0 if self.config.shared_backbone else index](image))
        place = self.grid(feature.shape[2], feature.shape[3], feature.device)
        return feature.flatten(2).transpose(1, 2), place + self.camera_embed.weight[index]

    def _keep(self, memory: Tensor, placed: Tensor) -> Prefix:
        """Keys of `placed` and values of `memory`, both (B, S, D), for every layer of the field."""
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for key, value in zip(self.key, self.value, strict=True):
            keys += split_heads(key(placed), self.config.heads, 1)
            values += split_heads(value(memory), self.config.heads, 1)
        return Prefix(tuple(keys), tuple(values))


class VelocityField(nn.Module):
    """Noisy actions and a time -> their velocity, given a prefix."""

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.action_in = nn.Linear(config.padded_dim, dim)
        self.place = nn.Embedding(config.chunk_size, dim)
        self.time = TimeEmbedding(dim)
        self.layers = nn.ModuleList(ActionLayer(config) for _ in range(config.action_layers))
        self.norm = nn.LayerNorm(dim)
        self.action_out = nn.Linear(dim, config.padded_dim)
        nn.init.normal_(self.place.weight, std=0.02)

    def forward(self, x: Tensor, t: Tensor, prefix: Prefix, is_pad: Tensor | None = None) -> Tensor:
        """x (B, H, padded_dim) float32, t (B,) -> dx/dt (B, H, padded_dim).

        `is_pad` (B, H) bool, in training: actions beyond an episode's end, which the others do not look at.
        """
        return self.at(x, self.modulation(t), prefix, is_pad)

    def modulation(self, t: Tensor) -> tuple[Tensor, ...]:
        """Modulation of each layer by the times t (B,): (B, 1, 6 D)."""
        wave = F.silu(self.time(t))
        return tuple(layer.modulation(wave)[:, None] for layer in self.layers)  # type: ignore[operator]

    def at(self, x: Tensor, modulation: tuple[Tensor, ...], prefix: Prefix, is_pad: Tensor | None = None) -> Tensor:
        """As `forward`, with the `modulation` by the time."""
        h = self.action_in(x) + self.place.weight
        for layer, given, keys, values in zip(self.layers, modulation, prefix.keys, prefix.values, strict=True):
            h = layer(h, given, keys, values, is_pad)
        out: Tensor = self.action_out(self.norm(h))
        return out


class FlowNetwork(nn.Module):
    """Both halves of a policy that flows: `prefix` encodes an observation once, `field` is asked at every step."""

    prefix: nn.Module
    field: nn.Module


class FlowModel(FlowNetwork):
    """The two of this policy."""

    prefix: PrefixEncoder
    field: VelocityField

    def __init__(self, config: FlowMatchingConfig) -> None:
        super().__init__()
        self.prefix = PrefixEncoder(config)
        self.field = VelocityField(config)
