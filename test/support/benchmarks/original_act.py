"""ACT done straightforwardly, step by step as tonyzhaozh/act does at inference; the bench's opponent.

Every camera by itself, contiguous memory, frozen batch norm as its own step, attention weights computed, positions made
anew at every call, all decoder layers run though the first one's output is used. State-dict keys are the original's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops.misc import FrozenBatchNorm2d


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, ff: int, decoder: bool) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads)
        if decoder:
            self.multihead_attn = nn.MultiheadAttention(dim, heads)
            self.norm3 = nn.LayerNorm(dim)
        self.linear1, self.linear2 = nn.Linear(dim, ff), nn.Linear(ff, dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.decoder = decoder

    def forward(self, x: Tensor, pos: Tensor, memory: Tensor | None = None, memory_pos: Tensor | None = None) -> Tensor:
        q = x + pos
        x = self.norm1(x + self.self_attn(q, q, value=x)[0])
        if not self.decoder:
            return self.norm2(x + self.linear2(torch.relu(self.linear1(x))))
        assert memory is not None
        assert memory_pos is not None
        x = self.norm2(x + self.multihead_attn(query=x + pos, key=memory + memory_pos, value=memory)[0])
        return self.norm3(x + self.linear2(torch.relu(self.linear1(x))))


class Stack(nn.Module):
    def __init__(self, layers: int, dim: int, heads: int, ff: int, decoder: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(dim, heads, ff, decoder) for _ in range(layers))
        if decoder:
            self.norm = nn.LayerNorm(dim)


class Transformer(nn.Module):
    def __init__(self, dim: int, heads: int, ff: int, encoder_layers: int, decoder_layers: int) -> None:
        super().__init__()
        self.encoder = Stack(encoder_layers, dim, heads, ff, False)
        self.decoder = Stack(decoder_layers, dim, heads, ff, True)

    def forward(self, tokens: Tensor, pos: Tensor, query_pos: Tensor) -> Tensor:
        for layer in self.encoder.layers:
            tokens = layer(tokens, pos)
        out, kept = torch.zeros_like(query_pos), []
        for layer in self.decoder.layers:
            out = layer(out, query_pos, tokens, pos)
            kept.append(self.decoder.norm(out))
        return torch.stack(kept).transpose(1, 2)


class SinePositions(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        ones = torch.ones_like(x[0, [0]])
        y, x_ = ones.cumsum(1, dtype=torch.float32), ones.cumsum(2, dtype=torch.float32)
        y, x_ = y / (y[:, -1:, :] + 1e-6) * 2 * math.pi, x_ / (x_[:, :, -1:] + 1e-6) * 2 * math.pi
        step = torch.arange(self.dim, dtype=torch.float32, device=x.device)
        step = 10000 ** (2 * (step // 2) / self.dim)
        parts = []
        for axis in (y, x_):
            angle = axis[..., None] / step
            parts.append(torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=4).flatten(3))
        return torch.cat(parts, dim=3).permute(0, 3, 1, 2)


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        net = torchvision.models.resnet18(weights=None, norm_layer=FrozenBatchNorm2d)
        self.body = IntermediateLayerGetter(net, {"layer4": "0"})


class OriginalAct(nn.Module):
    """`self.model` holds the keys under "model." as in `policy_best.ckpt`."""

    def __init__(self, cameras: int, dim: int, ff: int, enc: int, dec: int, chunk: int, dof: int = 14) -> None:
        super().__init__()
        model = nn.Module()
        model.transformer = Transformer(dim, 8, ff, enc, dec)
        model.encoder = Stack(enc, dim, 8, ff, False)
        model.backbones = nn.ModuleList([nn.Sequential(Backbone(), SinePositions(dim // 2))])
        model.input_proj = nn.Conv2d(512, dim, 1)
        model.input_proj_robot_state = nn.Linear(dof, dim)
        model.action_head, model.is_pad_head = nn.Linear(dim, dof), nn.Linear(dim, 1)
        model.query_embed, model.cls_embed = nn.Embedding(chunk, dim), nn.Embedding(1, dim)
        model.encoder_action_proj, model.encoder_joint_proj = nn.Linear(dof, dim), nn.Linear(dof, dim)
        model.latent_proj, model.latent_out_proj = nn.Linear(dim, 64), nn.Linear(32, dim)
        model.additional_pos_embed = nn.Embedding(2, dim)
        model.register_buffer("pos_table", torch.zeros(1, chunk + 2, dim))
        self.model, self.cameras = model, cameras
        for parameter in model.transformer.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.normalize = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

    def forward(self, qpos: Tensor, image: Tensor) -> Tensor:
        m: Any = self.model
        image = self.normalize(image)
        latent = m.latent_out_proj(torch.zeros(len(qpos), 32, device=qpos.device))
        features, positions = [], []
        for camera in range(self.cameras):
            feature = m.backbones[0][0].body(image[:, camera])["0"]
            positions.append(m.backbones[0][1](feature))
            features.append(m.input_proj(feature))
        proprio = m.input_proj_robot_state(qpos)
        source = torch.cat(features, dim=3).flatten(2).permute(2, 0, 1)
        pos = torch.cat(positions, dim=3).flatten(2).permute(2, 0, 1).repeat(1, len(qpos), 1)
        pos = torch.cat([m.additional_pos_embed.weight[:, None].repeat(1, len(qpos), 1), pos])
        tokens = torch.cat([torch.stack([latent, proprio]), source])
        queries = m.query_embed.weight[:, None].repeat(1, len(qpos), 1)
        hs = m.transformer(tokens, pos, queries)[0]
        m.is_pad_head(hs)
        return m.action_head(hs)

    def act(self, qpos: np.ndarray, images: list[np.ndarray], stats: dict[str, np.ndarray], device: str) -> np.ndarray:
        """From uint8 images to a chunk (H, A), with the steps of the original's evaluation loop."""
        stacked = np.stack([frame.transpose(2, 0, 1) for frame in images], axis=0)
        image = torch.from_numpy(stacked / 255.0).float().to(device).unsqueeze(0)
        state: Any = (qpos - stats["qpos_mean"]) / stats["qpos_std"]
        chunk = self(torch.from_numpy(state).float().to(device).unsqueeze(0), image)
        return chunk[0].cpu().numpy() * stats["action_std"] + stats["action_mean"]
