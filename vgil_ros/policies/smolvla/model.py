"""The network, in normalised and padded units: what was observed, encoded once, and an expert that reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.policies.flow_matching.model import FlowNetwork
from vgil_ros.policies.smolvla.config import SmolVlaConfig
from vgil_ros.policies.smolvla.language import Words
from vgil_ros.policies.smolvla.vlm import SmolVlm, attend, finish, project, rms_norm, rotate, text_layers


class Prefix(NamedTuple):
    """Keys and values of each layer, (B, S, kv_heads, d), and which of the S tokens are there, (B, S) bool."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    known: Tensor

    def stacked(self) -> dict[str, Tensor]:
        """The same as three tensors: keys and values (B, layers, S, kv_heads, d), known."""
        return {"keys": torch.stack(self.keys, 1), "values": torch.stack(self.values, 1), "known": self.known}

    @classmethod
    def of(cls, stacked: Mapping[str, Tensor]) -> Prefix:
        """The way back of `stacked`."""
        return cls(stacked["keys"].unbind(1), stacked["values"].unbind(1), stacked["known"])


class PrefixEncoder(nn.Module):
    """Images, task and state -> keys and values of the language model's layers.

    Images and words see each other, the state sees all of them, and nothing sees the state: so what images and words
    come to (`look`) does not depend on it, nor on any weight that learns.
    """

    start: Tensor
    end: Tensor

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__()
        self._empty_cameras = config.empty_cameras
        self.vlm = SmolVlm(config)
        self.state_proj = nn.Linear(config.padded_dim, config.text.hidden_dim)
        for name, tokens in (("start", config.image_start), ("end", config.image_end)):
            self.register_buffer(name, torch.tensor(tokens, dtype=torch.int64), persistent=False)

    def forward(self, state: Tensor, images: list[Tensor], words: Words) -> Prefix:
        """Encode an observation.

        Args:
            state: (B, padded_dim); images: one (B, 3, H, W) in [0, 1] for each camera; words: of the task.
        """
        return self.with_state(self.look(images, words), state)

    @torch.no_grad()
    def look(self, images: list[Tensor], words: Words) -> Prefix:
        """Images and words alone, S tokens."""
        x, known = self._tokens(images, words)
        positions, mask = known.cumsum(dim=1) - 1, known[:, None, None, :]
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer in self.vlm.layers:
            q, k, v = project(layer, x, "qkv")
            keys.append(rotate(k, positions))
            values.append(v)
            if len(keys) < len(self.vlm.layers):  # nobody reads what comes out of the last
                x = finish(layer, x, attend(rotate(q, positions), keys[-1], v, mask))
        return Prefix(tuple(keys), tuple(values), known)

    def with_state(self, seen: Prefix, state: Tensor) -> Prefix:
        """Add the state's token behind: S + 1 tokens."""
        x = self.state_proj(state.to(self.state_proj.weight.dtype))[:, None]
        known = F.pad(seen.known, (0, 1), value=True)
        positions, mask = seen.known.sum(dim=1, keepdim=True), known[:, None, None, :]
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer, before, held in zip(self.vlm.layers, seen.keys, seen.values, strict=True):
            q, k, v = project(layer, x, "qkv")
            keys.append(torch.cat([before, rotate(k, positions)], dim=1))
            values.append(torch.cat([held, v], dim=1))
            if len(keys) < len(self.vlm.layers):
                x = finish(layer, x, attend(rotate(q, positions), keys[-1], values[-1], mask))
        return Prefix(tuple(keys), tuple(values), known)

    def _tokens(self, images: list[Tensor], words: Words) -> tuple[Tensor, Tensor]:
        """Embedded tokens (B, S, D) and which are there (B, S)."""
        batch = len(words.tokens)  # as in LeRobot the tokens around an image are not scaled as words of the task are
        start, end = (self.vlm.embed_tokens(part).expand(batch, -1, -1) for part in (self.start, self.end))
        parts: list[Tensor] = []
        for image in images:
            parts += [start, self.vlm.images(image), end]
        parts += [start, end] * self._empty_cameras
        tokens = torch.cat(parts, dim=1)
        known = torch.cat([tokens.new_ones(tokens.shape[:2], dtype=torch.bool), words.known], dim=1)
        return torch.cat([tokens, self.vlm.words(words.tokens).to(tokens.dtype)], dim=1), known


class TimeWaves:
    """t (B,) in [0, 1] -> (B, dim) float32: waves of many periods, as pi0, computed in float64."""

    def __init__(self, dim: int, shortest: float, longest: float) -> None:
        share = torch.linspace(0.0, 1.0, dim // 2, dtype=torch.float64)
        self._waves = 2 * math.pi / (shortest * (longest / shortest) ** share)
        self._placed: dict[torch.device, Tensor] = {}

    def __call__(self, t: Tensor) -> Tensor:
        """See the class."""
        if t.device not in self._placed:
            self._placed[t.device] = self._waves.to(t.device)
        angle = t.to(torch.float64)[:, None] * self._placed[t.device]
        return torch.cat([angle.sin(), angle.cos()], dim=-1).to(torch.float32)


class VelocityField(nn.Module):
    """The action expert: noisy actions and a time -> their velocity, given a prefix.

    An action sees earlier ones alone, so those beyond an episode's end do not reach the others.
    """

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__()
        text, dim = config.text, config.expert_dim
        self.layers = text_layers(text, dim, config.expert_feedforward_dim)
        self.joint = tuple(config.attends_to_actions(index) for index in range(text.layers))
        for layer, joint in zip(self.layers, self.joint, strict=True):
            if not joint:  # keys and values are made of the language model's
                width = text.kv_heads * text.head_dim
                attention: Any = layer.self_attn
                attention.k_proj, attention.v_proj = (nn.Linear(width, width, bias=False) for _ in "kv")
        self.norm = rms_norm(text, dim)
        self.action_in_proj = nn.Linear(config.padded_dim, dim)
        self.action_out_proj = nn.Linear(dim, config.padded_dim)
        self.action_time_mlp_in, self.action_time_mlp_out = nn.Linear(2 * dim, dim), nn.Linear(dim, dim)
        self.waves = TimeWaves(dim, config.min_period, config.max_period)

    def given(self, prefix: Prefix) -> Prefix:
        """The language model's keys and values -> those that the expert's layers read, at every time the same."""
        keys, values = list(prefix.keys), list(prefix.values)
        for index, (layer, joint) in enumerate(zip(self.layers, self.joint, strict=True)):
            if not joint:
                attention: Any = layer.self_attn
                keys[index], values[index] = (
                    projection(part.flatten(2)).unflatten(-1, part.shape[2:])
                    for projection, part in ((attention.k_proj, keys[index]), (attention.v_proj, values[index]))
                )
        return Prefix(tuple(keys), tuple(values), prefix.known)

    def forward(self, x: Tensor, t: Tensor, prefix: Prefix, is_pad: Tensor | None = None) -> Tensor:
        """x (B, H, padded_dim) float32, t (B,) -> dx/dt (B, H, padded_dim).

        Args:
            prefix: as `given` makes it. is_pad: not needed, see the class.
        """
        return self.at(x, self.waves(t), prefix)

    def at(self, x: Tensor, waves: Tensor, prefix: Prefix) -> Tensor:
        """As `forward`, with the time's waves (B, dim)."""
        h: Tensor = self.action_in_proj(x.to(self.action_in_proj.weight.dtype))
        h = torch.cat([h, waves.to(h.dtype)[:, None].expand_as(h)], dim=-1)
        h = self.action_time_mlp_out(F.silu(self.action_time_mlp_in(h)))
        rows = torch.arange(h.shape[1], device=h.device)[None]
        places = prefix.known.sum(dim=1, keepdim=True) + rows
        seen = prefix.known[:, None, None, :]
        causal = (rows[..., None] >= rows[:, None, :])[:, None].expand(len(h), -1, -1, -1)
        both = torch.cat([seen.expand(-1, -1, h.shape[1], -1), causal], dim=-1)
        for layer, joint, keys, values in zip(self.layers, self.joint, prefix.keys, prefix.values, strict=True):
            if joint:
                q, k, v = project(layer, h, "qkv")
                k = rotate(k, places)
                attended = attend(rotate(q, places), torch.cat([keys, k], 1), torch.cat([values, v], 1), both)
            else:
                (q,) = project(layer, h, "q")
                attended = attend(rotate(q, rows), keys, values, seen)
            h = finish(layer, h, attended)
        out: Tensor = self.action_out_proj(self.norm(h))
        return out


class SmolVlaModel(FlowNetwork):
    """Both halves."""

    prefix: PrefixEncoder
    field: VelocityField

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__()
        self.prefix = PrefixEncoder(config)
        self.field = VelocityField(config)
