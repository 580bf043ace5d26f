"""ACT for inference on one observation: the same numbers as `ActPolicy.predict_chunk`, nothing computed twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vgil_ros.policies.act.fast_transformer import FastDecoder, FastEncoder
from vgil_ros.policies.base import FastPath
from vgil_ros.policies.fast_images import FastImages
from vgil_ros.policies.nn.backbones import grid_size

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
        self._images = FastImages(model.backbones, model.image_proj, normalizer, len(config.cameras), dtype)
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
        tokens = torch.cat([self._latent, state, *self._shown(images)])
        out = decoder(encoder(tokens)).to(torch.float32)
        return torch.addmm(self._head_bias, out, self._head_weight.t())

    def _shown(self, images: list[Tensor]) -> list[Tensor]:
        """Pictures (H, W, 3) -> tokens (h * w, D) of each camera."""
        return self._images(images)

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        if qpos.device.type == "cpu":
            self._images.tune(images)

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
