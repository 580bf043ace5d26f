"""ACT for inference on one observation: the same numbers as `ActPolicy.predict_chunk`, nothing computed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vgil_ros.policies.act.fast_transformer import FastDecoder, FastEncoder
from vgil_ros.policies.backbones import grid_size
from vgil_ros.policies.base import FastPath
from vgil_ros.policies.fast_backbone import FastBackbone
from vgil_ros.policies.kernels import FusedLinear

if TYPE_CHECKING:
    from vgil_ros.policies.act.policy import ActPolicy

Size = tuple[int, int]


class ActFastPath(FastPath):
    """Folded weights and kept constants of an ACT policy, on the policy's device. Later changes to it are not seen.

    Left out: the CVAE encoder (the latent is zero) and the padding head. Folded: scaling of pixels, state and actions,
    batch norms, the latent's token. Kept: positions and whatever follows from them alone.
    """

    def __init__(self, policy: ActPolicy, dtype: torch.dtype) -> None:
        with torch.inference_mode():
            self._build(policy, dtype)

    def _build(self, policy: ActPolicy, dtype: torch.dtype) -> None:
        model, normalizer, config = policy.model, policy.normalizer, policy.config
        self._model, self._dtype = model, dtype
        self._owners = _owners(policy)
        self._backbones = [
            FastBackbone(model.backbones[0 if config.shared_backbone else c], *normalizer.image_affine(c), dtype)
            for c in sorted(set(self._owners))
        ]
        self._backbone_of = {camera: index for index, camera in enumerate(sorted(set(self._owners)))}
        proj = model.image_proj
        self._image_proj = FusedLinear(proj.weight.flatten(1).to(dtype), _bias(proj).to(dtype))
        self._latent = model.latent_out_proj.bias.detach()[None].to(dtype)
        offset, scale = normalizer.qpos.affine()
        weight = model.state_proj.weight / scale
        self._state_weight = weight.detach()
        self._state_bias = (model.state_proj.bias - (weight * offset).sum(dim=1)).detach()
        offset, scale = normalizer.action.inverse_affine()
        scale = torch.as_tensor(scale, device=policy.device)
        self._head_weight = (model.action_head.weight * scale.reshape(-1, 1)).detach()
        self._head_bias = (model.action_head.bias * scale + offset).detach()
        self._parts: dict[tuple[Size, ...], tuple[FastEncoder, FastDecoder]] = {}

    def __call__(self, qpos: Tensor, images: list[Tensor]) -> Tensor:
        """See `FastPath`."""
        encoder, decoder = self._stack(tuple((int(i.shape[0]), int(i.shape[1])) for i in images))
        state = torch.addmv(self._state_bias, self._state_weight, qpos)[None].to(self._dtype)
        tokens = torch.cat([self._latent, state, *self._image_tokens(images)])
        out = decoder(encoder(tokens)).to(torch.float32)
        return torch.addmm(self._head_bias, out, self._head_weight.t())

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        if qpos.device.type == "cpu":
            for owner, cameras in self._groups(images):
                self._backbones[self._backbone_of[owner]].tune([images[camera] for camera in cameras])

    def _image_tokens(self, images: list[Tensor]) -> list[Tensor]:
        """Tokens (h * w, D) of each camera, in order."""
        tokens: list[Tensor] = [images[0]] * len(images)
        for owner, cameras in self._groups(images):
            feature = self._backbones[self._backbone_of[owner]]([images[camera] for camera in cameras])
            flat = feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])
            for camera, token in zip(cameras, self._image_proj(flat).chunk(len(cameras)), strict=True):
                tokens[camera] = token
        return tokens

    def _groups(self, images: list[Tensor]) -> list[tuple[int, list[int]]]:
        """(owner, cameras) of those that go through together: pictures alike in size and scaling."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for camera, image in enumerate(images):
            groups.setdefault((self._owners[camera], *image.shape[:2]), []).append(camera)
        return [(owner, cameras) for (owner, *_), cameras in groups.items()]

    def _stack(self, sizes: tuple[Size, ...]) -> tuple[FastEncoder, FastDecoder]:
        """Encoder and decoder with the positions for these picture sizes; they are built once."""
        if sizes not in self._parts:
            model, device = self._model, self._latent.device
            pos = [model.token_pos.weight]
            for camera, size in enumerate(sizes):
                grid = model.positions[0 if model.config.shared_backbone else camera]
                pos.append(grid(*grid_size(*size), device))
            table = torch.cat(pos)
            encoder = FastEncoder(model.encoder, table, self._dtype)
            decoder = FastDecoder(model.decoder, table, model.query_embed.weight, self._dtype)
            self._parts = {sizes: (encoder, decoder)}
        return self._parts[sizes]


def _owners(policy: ActPolicy) -> list[int]:
    """For each camera the first camera with the same backbone and scaling, so that both may share one batch."""
    normalizer, owners = policy.normalizer, []
    for camera in range(len(policy.config.cameras)):
        mean, std = normalizer.image_affine(camera)
        alike = (
            other
            for other in range(camera)
            if policy.config.shared_backbone
            and torch.equal(normalizer.image_affine(other)[0], mean)
            and torch.equal(normalizer.image_affine(other)[1], std)
        )
        owners.append(next(alike, camera))
    return owners


def _bias(layer: torch.nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
