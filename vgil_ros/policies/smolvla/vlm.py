"""The vision-language model (SmolVLM2), of `transformers`' own modules, made from sizes alone.

Nothing is read or downloaded here: weights come from a checkpoint folder. Hugging Face's offline variables are set all
the same before the library is loaded.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vgil_ros.extras import needed_by
from vgil_ros.policies.smolvla.config import SmolVlaConfig, TextSizes

if TYPE_CHECKING:
    from transformers import LlamaConfig, SmolVLMConfig

NEEDED_BY = "a policy of type 'smolvla'"
WAVELENGTH = 10_000.0  # of rotary positions: LeRobot's own, whatever the language model was trained with


def offline() -> None:
    """Have Hugging Face's libraries ask nobody; what somebody set already stays."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


class SmolVlm(nn.Module):
    """Vision tower, connector, word embedding and the first layers of the language model. None of it learns here."""

    layers: nn.ModuleList

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__()
        offline()
        with needed_by(NEEDED_BY):
            from transformers.models.smolvlm.modeling_smolvlm import SmolVLMConnector, SmolVLMVisionTransformer
        sizes = _vlm_config(config)
        self.vision_model = SmolVLMVisionTransformer(sizes.vision_config)
        self.connector = SmolVLMConnector(sizes)
        self.embed_tokens = nn.Embedding(config.text.vocabulary, config.text.hidden_dim)
        self.layers = text_layers(config.text, config.text.hidden_dim, config.text.feedforward_dim)
        self._side, self._grid = config.vision.image_size, config.vision.image_size // config.vision.patch_size
        self._lower = config.patch_positions == "lower"
        self._scale = config.text.hidden_dim**0.5
        self.requires_grad_(False)

    def images(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> tokens (B, N, D)."""
        pixels = resize_with_pad(image, self._side) * 2.0 - 1.0
        pixels = pixels.to(self.vision_model.embeddings.patch_embedding.weight.dtype)
        patches = self.vision_model.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        x = patches + self.vision_model.embeddings.position_embedding(self._places(pixels.device))
        for layer in self.vision_model.encoder.layers:
            x = layer(x, None)
        seen: Tensor = self.connector(self.vision_model.post_layernorm(x))
        scaled: Tensor = seen * self._scale
        return scaled

    def _places(self, device: torch.device) -> Tensor:
        """(N,) rows of the position table, one for each patch; see `SmolVlaConfig.patch_positions`."""
        axis = torch.arange(self._grid, device=device)
        if self._lower:
            axis = (axis - 1).clamp(min=0)
        return (axis[:, None] * self._grid + axis).flatten()

    def words(self, tokens: Tensor) -> Tensor:
        """(B, L) -> (B, L, D), as they join the images."""
        embedded: Tensor = self.embed_tokens(tokens)
        scaled: Tensor = embedded * self._scale
        return scaled


def resize_with_pad(image: Tensor, side: int) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 3, side, side): scaled with its shape kept, black above and on the left."""
    ratio = max(image.shape[2:]) / side
    size = (int(image.shape[2] / ratio), int(image.shape[3] / ratio))
    if size != tuple(image.shape[2:]):
        image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
    return F.pad(image, (side - size[1], 0, side - size[0], 0))


def text_layers(sizes: TextSizes, hidden_dim: int, feedforward_dim: int) -> nn.ModuleList:
    """Layers of a Llama with the heads of `sizes`, `hidden_dim` wide: the language model's own, or the expert's."""
    offline()
    with needed_by(NEEDED_BY):
        from transformers.models.llama.modeling_llama import LlamaDecoderLayer
    config = _text_config(sizes, hidden_dim, feedforward_dim)
    return nn.ModuleList(LlamaDecoderLayer(config, index) for index in range(sizes.layers))


def rms_norm(sizes: TextSizes, dim: int) -> nn.Module:
    """The norm behind the last layer."""
    with needed_by(NEEDED_BY):
        from transformers.models.llama.modeling_llama import LlamaRMSNorm
    return cast("nn.Module", LlamaRMSNorm(dim, eps=sizes.norm_eps))


def _vlm_config(config: SmolVlaConfig) -> SmolVLMConfig:
    from transformers import SmolVLMConfig

    text, vision = config.text, config.vision
    tower = {
        "hidden_size": vision.hidden_dim,
        "intermediate_size": vision.feedforward_dim,
        "num_hidden_layers": vision.layers,
        "num_attention_heads": vision.heads,
        "image_size": vision.image_size,
        "patch_size": vision.patch_size,
        "layer_norm_eps": vision.norm_eps,
    }
    words = _text_config(text, text.hidden_dim, text.feedforward_dim).to_dict()
    return SmolVLMConfig(text_config=words, vision_config=tower, scale_factor=config.scale_factor)


def _text_config(sizes: TextSizes, hidden_dim: int, feedforward_dim: int) -> LlamaConfig:
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=hidden_dim,
        intermediate_size=feedforward_dim,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        num_hidden_layers=sizes.layers,
        vocab_size=sizes.vocabulary,
        rms_norm_eps=sizes.norm_eps,
    )


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) of x (B, S, heads, d) at (B, S), computed in float32."""
    half = x.shape[-1] // 2
    exponent = torch.arange(half, dtype=torch.float32, device=x.device) * (2.0 / x.shape[-1])
    angle = (positions[..., None].to(torch.float32) / WAVELENGTH**exponent)[..., None, :]
    sine, cosine = angle.sin(), angle.cos()
    first, second = x.to(torch.float32).split(half, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1).to(x.dtype)


def project(layer: Any, x: Tensor, names: str) -> tuple[Tensor, ...]:
    """Queries, keys and values ("qkv", or some of them) that a layer makes of x (B, S, D): (B, S, heads, d) each."""
    h, attention = layer.input_layernorm(x), layer.self_attn
    return tuple(getattr(attention, f"{name}_proj")(h).unflatten(-1, (-1, attention.head_dim)) for name in names)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """(B, L, heads, d) to (B, S, kv_heads, d) -> (B, L, heads * d); `mask` (B, 1, L or 1, S) bool, True where seen."""
    groups = q.shape[2] // k.shape[2]
    keys, values = (part.transpose(1, 2).repeat_interleave(groups, dim=1) for part in (k, v))
    out = F.scaled_dot_product_attention(q.transpose(1, 2), keys.to(q.dtype), values.to(q.dtype), mask)
    return out.transpose(1, 2).flatten(2)


def finish(layer: Any, x: Tensor, attended: Tensor) -> Tensor:
    """The rest of a layer: x (B, S, D) and what it attended to -> (B, S, D)."""
    x = x + layer.self_attn.o_proj(attended)
    out: Tensor = x + layer.mlp(layer.post_attention_layernorm(x))
    return out
