"""ACT for inference on one observation: the same numbers as `ActPolicy.predict_chunk`, nothing computed twice.

ACT's transformer for inference on one observation: what does not depend on the observation is computed once.

Positions enter as W (x + p) = W x + W p, and W p is a constant. The queries of the decoder start at zero, so the first
layer's self-attention mixes equal values: its result, and the cross-attention's queries, are constants as well.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.policies.act.policy import ActPolicy
from vgil_ros.policies.base import InferenceModule
from vgil_ros.policies.inference.backbone import FastImages
from vgil_ros.policies.inference.onednn import FusedLinear, attend
from vgil_ros.policies.nn.backbones import grid_size
from vgil_ros.policies.nn.transformer import Decoder, DecoderLayer, Encoder, EncoderLayer


class Norm:
    """A layer norm with its weights in the computing dtype."""

    def __init__(self, norm: nn.Module, dtype: torch.dtype) -> None:
        self._on = isinstance(norm, nn.LayerNorm)
        if isinstance(norm, nn.LayerNorm):
            self._weight, self._bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)
            self._eps = norm.eps

    def __call__(self, x: Tensor) -> Tensor:
        """(S, D) -> (S, D); nn.Identity stays what it is."""
        return F.layer_norm(x, x.shape[-1:], self._weight, self._bias, self._eps) if self._on else x


class FeedForward:
    """linear2(act(linear1(x))) + residual."""

    def __init__(self, layer: EncoderLayer | DecoderLayer, dtype: torch.dtype) -> None:
        self._relu = layer.activation is torch.relu
        self._activation = layer.activation
        self._first = _linear(layer.linear1.weight, layer.linear1.bias, dtype, relu=self._relu)
        self._second = _linear(layer.linear2.weight, layer.linear2.bias, dtype)

    def __call__(self, x: Tensor, residual: Tensor) -> Tensor:
        """(S, D), (S, D) -> (S, D)."""
        h = self._first(x)
        return self._second(h if self._relu else self._activation(h), residual)


class FastEncoderLayer:
    """One encoder layer with its positions (S, D) built in."""

    def __init__(self, layer: EncoderLayer, pos: Tensor, dtype: torch.dtype) -> None:
        attention = layer.self_attn
        self._heads, self._pre_norm = attention.num_heads, layer.pre_norm
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        dim = weight.shape[1]
        self._qkv = _linear(weight, bias, dtype)
        shift = F.linear(pos, weight[: 2 * dim])
        self._shift = torch.cat([shift, torch.zeros_like(pos)], dim=1).to(dtype)
        self._out = _linear(attention.out_proj.weight, attention.out_proj.bias, dtype)
        self._norm1, self._norm2 = Norm(layer.norm1, dtype), Norm(layer.norm2, dtype)
        self._feed = FeedForward(layer, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(S, D) -> (S, D)."""
        q, k, v = self._qkv(self._norm1(x) if self._pre_norm else x, self._shift).chunk(3, dim=1)
        x = self._out(attend(q, k, v, self._heads), x)
        if self._pre_norm:
            return self._feed(self._norm2(x), x)
        x = self._norm1(x)
        return self._norm2(self._feed(x, x))


class FastEncoder:
    """The encoder stack with its positions built in."""

    def __init__(self, encoder: Encoder, pos: Tensor, dtype: torch.dtype) -> None:
        self._layers = [FastEncoderLayer(layer, pos, dtype) for layer in encoder.layers]  # type: ignore[arg-type]
        self._norm = Norm(encoder.norm, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(S, D) -> (S, D)."""
        for layer in self._layers:
            x = layer(x)
        return self._norm(x)


class FastDecoderLayer:
    """One decoder layer; the first one (`start`: its input, (H, D) zeros) keeps all that comes before the memory."""

    def __init__(
        self, layer: DecoderLayer, pos: Tensor, query_pos: Tensor, dtype: torch.dtype, start: Tensor | None
    ) -> None:
        own, cross = layer.self_attn, layer.multihead_attn
        dim = query_pos.shape[1]
        self._heads, self._pre_norm, self._dtype = own.num_heads, layer.pre_norm, dtype
        self._norm1, self._norm2, self._norm3 = (Norm(n, dtype) for n in (layer.norm1, layer.norm2, layer.norm3))
        self._qkv = _linear(own.in_proj_weight, own.in_proj_bias, dtype)
        shift = F.linear(query_pos, own.in_proj_weight[: 2 * dim])
        self._shift = torch.cat([shift, torch.zeros_like(query_pos)], dim=1).to(dtype)
        self._own_out = _linear(own.out_proj.weight, own.out_proj.bias, dtype)
        weight, bias = cross.in_proj_weight, cross.in_proj_bias
        self._query = _linear(weight[:dim], bias[:dim], dtype)
        self._query_shift = F.linear(query_pos, weight[:dim]).to(dtype)
        self._key_value = _linear(weight[dim:], bias[dim:], dtype)
        self._key_shift = torch.cat([F.linear(pos, weight[dim : 2 * dim]), torch.zeros_like(pos)], dim=1).to(dtype)
        self._cross_out = _linear(cross.out_proj.weight, cross.out_proj.bias, dtype)
        self._feed = FeedForward(layer, dtype)
        self._kept = None if start is None else self._before_memory(start.to(dtype))

    def __call__(self, x: Tensor, memory: Tensor) -> Tensor:
        """x (H, D), memory (S, D) -> (H, D)."""
        x, query = self._before_memory(x) if self._kept is None else self._kept
        key, value = self._key_value(memory, self._key_shift).chunk(2, dim=1)
        x = self._cross_out(attend(query, key, value, self._heads), x.clone())
        if self._pre_norm:
            return self._feed(self._norm3(x), x)
        x = self._norm2(x)
        return self._norm3(self._feed(x, x))

    def _before_memory(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention and the cross-attention's queries: (x, query), both (H, D)."""
        q, k, v = self._qkv(self._norm1(x) if self._pre_norm else x, self._shift).chunk(3, dim=1)
        x = self._own_out(attend(q, k, v, self._heads), x)
        if not self._pre_norm:
            x = self._norm1(x)
        return x, self._query(self._norm2(x) if self._pre_norm else x, self._query_shift)


class FastDecoder:
    """The decoder stack with positions and queries built in."""

    def __init__(self, decoder: Decoder, pos: Tensor, query_pos: Tensor, dtype: torch.dtype) -> None:
        self._start = torch.zeros_like(query_pos).to(dtype)
        self._layers = [
            FastDecoderLayer(layer, pos, query_pos, dtype, self._start if index == 0 else None)  # type: ignore[arg-type]
            for index, layer in enumerate(decoder.layers)
        ]
        self._norm = Norm(decoder.norm, dtype)

    def __call__(self, memory: Tensor) -> Tensor:
        """(S, D) -> (H, D)."""
        x = self._start
        for layer in self._layers:
            x = layer(x, memory)
        return self._norm(x)


def _linear(weight: Tensor, bias: Tensor, dtype: torch.dtype, relu: bool = False) -> FusedLinear:
    return FusedLinear(weight.to(dtype), bias.to(dtype), relu)


Size = tuple[int, int]


class ActInferenceModule(InferenceModule):
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
        """See `InferenceModule`."""
        encoder, decoder = self._stack(tuple((int(i.shape[0]), int(i.shape[1])) for i in images))
        state = torch.addmv(self._state_bias, self._state_weight, qpos)[None].to(self._dtype)
        tokens = torch.cat([self._latent, state, *self._image_tokens(images)])
        out = decoder(encoder(tokens)).to(torch.float32)
        return torch.addmm(self._head_bias, out, self._head_weight.t())

    def _image_tokens(self, images: list[Tensor]) -> list[Tensor]:
        """Images (H, W, 3) -> tokens (h * w, D) of each camera."""
        return self._images(images)

    def tune(self, qpos: Tensor, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        if qpos.device.type == "cpu":
            self._images.tune(images)

    def _stack(self, sizes: tuple[Size, ...]) -> tuple[FastEncoder, FastDecoder]:
        """Encoder and decoder with the positions for these image sizes; they are built once."""
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
