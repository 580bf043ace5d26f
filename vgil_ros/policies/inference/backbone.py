"""A backbone for inference: uint8 images in, features out; frozen batch norm and pixel scaling folded away."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from vgil_ros.policies.inference.onednn import FusedConv, FusedLinear, fold_norm, image_layout
from vgil_ros.policies.inference.winograd import TURNS, TunedConv
from vgil_ros.policies.nn.backbones import MobileNetBackbone, ResNetBackbone, SmallBackbone
from vgil_ros.policies.normalizer import Normalizer

Step = Callable[[Tensor], Tensor]
Key = tuple[int, int, int]  # how many images, their height and width


class FastBackbone:
    """One backbone for images that are all scaled by the same mean and std, (3,) each, for pixels in [0, 1].

    (p / 255 - mean) / std and the batch norm after the first convolution are both affine, so they go into its weights.
    The zeros that the convolution pads with stand for scaled pixels: raw images are padded with 255 * mean instead.
    """

    def __init__(self, backbone: nn.Module, mean: Tensor, std: Tensor, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._border = 255.0 * mean.detach()
        first, norm, rest = _split(backbone, dtype)
        weight, bias = fold_norm(first, norm) if norm is not None else (first.weight, first.bias)
        scaled = weight / (255.0 * std).view(1, 3, 1, 1)
        shift = (scaled * self._border.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
        self._margin = int(first.padding[0])
        relu = isinstance(backbone, ResNetBackbone) and norm is not None
        folded = -shift if bias is None else bias - shift
        self._stem = FusedConv(scaled.to(dtype), folded.to(dtype), int(first.stride[0]), 0, relu)
        self._rest = rest
        self._buffers: dict[Key, Tensor] = {}
        self._apart: dict[Key, int] = {}  # how many steps after the stem are done for each image by itself

    def __call__(self, images: list[Tensor]) -> Tensor:
        """Images of one size, (H, W, 3) uint8 each -> (N, C, h, w)."""
        apart = self._apart.get(_key(images), 0)
        if not apart:
            return _walk(self._first(images), self._rest)
        parts = [_walk(self._first([image]), self._rest[:apart]) for image in images]
        return _walk(torch.cat(parts), self._rest[apart:])

    def tune(self, images: list[Tensor]) -> None:
        """Measure how to compute for as many images of their size; until then all go through together.

        One by one they suit small caches, but not the last stage, where the weights are larger than the images.
        """
        key = _key(images)
        best = {0: float("inf")}
        if len(images) > 1:
            stages = [
                index for index, step in enumerate(self._rest) if isinstance(step, _Residual) and step.begins_stage
            ]
            best[stages[-1] if stages else len(self._rest)] = float("inf")
        for turn in range(TURNS if len(best) > 1 else 0):  # in turns, so that a busy machine disturbs all alike
            for self._apart[key] in best:
                begun = time.perf_counter()
                self(images)
                if turn:
                    best[self._apart[key]] = min(best[self._apart[key]], time.perf_counter() - begun)
        self._apart[key] = apart = min(best, key=lambda steps: best[steps])
        if apart:
            _tune(self._first(images[:1]), self._rest[:apart])
            parts = [_walk(self._first([image]), self._rest[:apart]) for image in images]
            _tune(torch.cat(parts), self._rest[apart:])
        else:
            _tune(self._first(images), self._rest)

    def _first(self, images: list[Tensor]) -> Tensor:
        height, width = images[0].shape[:2]
        key = _key(images)
        if key not in self._buffers:
            self._buffers[key] = self._padded(*key)
        buffer, m = self._buffers[key], self._margin
        for index, image in enumerate(images):
            buffer[index, m : m + height, m : m + width].copy_(image)
        stacked = buffer.permute(0, 3, 1, 2)
        return self._stem(stacked.contiguous(memory_format=image_layout(self._dtype, buffer.device)))

    def _padded(self, count: int, height: int, width: int) -> Tensor:
        """(N, H + 2m, W + 2m, 3) filled with the border's value; the inside is overwritten at every call."""
        m = self._margin
        border = self._border.to(self._dtype)
        return border.expand(count, height + 2 * m, width + 2 * m, 3).contiguous()


def _key(images: list[Tensor]) -> Key:
    return (len(images), int(images[0].shape[0]), int(images[0].shape[1]))


def _walk(x: Tensor, steps: list[Step]) -> Tensor:
    for step in steps:
        x = step(x)
    return x


def _tune(x: Tensor, steps: list[Step]) -> None:
    for step in steps:
        if isinstance(step, _Residual):
            step.tune(x)
        x = step(x)


def _split(backbone: nn.Module, dtype: torch.dtype) -> tuple[nn.Conv2d, Any, list[Step]]:
    """The first convolution, its frozen batch norm if it has one, and the steps that follow both."""
    if isinstance(backbone, ResNetBackbone):
        if isinstance(backbone.bn1, FrozenBatchNorm2d):
            return backbone.conv1, backbone.bn1, [_pool, *_residual_blocks(backbone, dtype)]
        rest = _layout(copy.deepcopy(backbone), dtype)
        steps: list[Step] = [rest.bn1, torch.relu, _pool, rest.layer1, rest.layer2, rest.layer3, rest.layer4]
        return backbone.conv1, None, steps
    if isinstance(backbone, SmallBackbone):
        small = _layout(copy.deepcopy(backbone), dtype)
        return backbone.conv1, None, [small.norm1, torch.relu, small.features]
    if isinstance(backbone, MobileNetBackbone):
        first = backbone.features[0]
        frozen = isinstance(first[1], FrozenBatchNorm2d)
        rest_net = copy.deepcopy(backbone.features)
        if frozen:
            _fold_pairs(rest_net)
        _layout(rest_net, dtype)
        kept = [rest_net[0][2]] if frozen else [rest_net[0][1], rest_net[0][2]]
        return first[0], first[1] if frozen else None, [*kept, *list(rest_net)[1:]]
    raise TypeError(f"no fast form of {type(backbone).__name__}")


def _layout(net: Any, dtype: torch.dtype) -> Any:
    device = next(net.parameters()).device
    return net.to(dtype).to(memory_format=image_layout(dtype, device)).eval()


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2, padding=1)


def _residual_blocks(backbone: ResNetBackbone, dtype: torch.dtype) -> list[Step]:
    stages = (backbone.layer1, backbone.layer2, backbone.layer3, backbone.layer4)
    return [_Residual(block, dtype) for stage in stages for block in stage]


class _Residual:
    """A basic or bottleneck block: convolutions with ReLU, the last one adds the way past before its ReLU."""

    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        names = [n for n in ("1", "2", "3") if hasattr(block, "conv" + n)]
        self._convs = [
            _fused(getattr(block, "conv" + n), getattr(block, "bn" + n), relu=True, dtype=dtype) for n in names
        ]
        past = block.downsample
        self._past = None if past is None else _fused(past[0], past[1], relu=False, dtype=dtype)

    @property
    def begins_stage(self) -> bool:
        return self._past is not None

    def __call__(self, x: Tensor) -> Tensor:
        past = x if self._past is None else self._past(x)  # may be overwritten by the last convolution
        for conv in self._convs[:-1]:
            x = conv(x)
        return self._convs[-1](x, past)

    def tune(self, x: Tensor) -> None:
        """Let each convolution choose how to compute, on what reaches it from `x`, which stays as it is."""
        past = x if self._past is None else self._past(x)
        for conv in self._convs[:-1]:
            conv.tune(x)
            x = conv(x)
        self._convs[-1].tune(x, past)


def _fused(conv: nn.Conv2d, norm: nn.Module, relu: bool, dtype: torch.dtype) -> TunedConv:
    weight, bias = fold_norm(conv, norm)
    return TunedConv(weight.to(dtype), bias.to(dtype), int(conv.stride[0]), int(conv.padding[0]), relu)


def _fold_pairs(module: nn.Module) -> None:
    """Fold every frozen batch norm into the convolution right before it, in place."""
    children = list(module.named_children())
    for (_, first), (name, second) in itertools.pairwise(children):
        if isinstance(first, nn.Conv2d) and isinstance(second, FrozenBatchNorm2d):
            weight, bias = fold_norm(first, second)
            first.weight, first.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
            setattr(module, name, nn.Identity())
    for _, child in children:
        _fold_pairs(child)


class FastImages:
    """Backbones with scaling of pixels and batch norms folded in, and the projection behind them."""

    def __init__(
        self, backbones: nn.ModuleList, projection: nn.Conv2d, normalizer: Normalizer, cameras: int, dtype: torch.dtype
    ) -> None:
        """Take over `backbones` (one for all cameras, or one for each) and a 1x1 convolution."""
        shared = len(backbones) == 1
        self._owners = _owners(normalizer, cameras, shared)
        owners = sorted(set(self._owners))
        self._backbones = [
            FastBackbone(backbones[0 if shared else c], *normalizer.image_affine(c), dtype) for c in owners
        ]
        self._backbone_of = {camera: index for index, camera in enumerate(owners)}
        assert projection.bias is not None
        self._projection = FusedLinear(projection.weight.flatten(1).to(dtype), projection.bias.to(dtype))

    def __call__(self, images: list[Tensor]) -> list[Tensor]:
        """(H, W, 3) uint8 of each camera -> its tokens (h * w, D), in order."""
        tokens: list[Tensor] = [images[0]] * len(images)
        for owner, cameras in self._groups(images):
            feature = self._backbones[self._backbone_of[owner]]([images[camera] for camera in cameras])
            flat = feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])
            for camera, token in zip(cameras, self._projection(flat).chunk(len(cameras)), strict=True):
                tokens[camera] = token
        return tokens

    def tune(self, images: list[Tensor]) -> None:
        """Measure how to go through the backbones. CPU only."""
        for owner, cameras in self._groups(images):
            self._backbones[self._backbone_of[owner]].tune([images[camera] for camera in cameras])

    def _groups(self, images: list[Tensor]) -> list[tuple[int, list[int]]]:
        """(owner, cameras) of those that go through together: images alike in size and scaling."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for camera, image in enumerate(images):
            groups.setdefault((self._owners[camera], *image.shape[:2]), []).append(camera)
        return [(owner, cameras) for (owner, *_), cameras in groups.items()]


def _owners(normalizer: Normalizer, cameras: int, shared: bool) -> list[int]:
    """For each camera the first camera with the same backbone and scaling, so that both may share one batch."""
    owners = []
    for camera in range(cameras):
        mean, std = normalizer.image_affine(camera)
        alike = (
            other
            for other in range(camera)
            if shared
            and torch.equal(normalizer.image_affine(other)[0], mean)
            and torch.equal(normalizer.image_affine(other)[1], std)
        )
        owners.append(next(alike, camera))
    return owners
