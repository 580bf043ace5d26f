"""Pictures of all cameras -> tokens, for inference on one observation: each backbone runs once for all it can."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vgil_ros.policies.inference.backbone import FastBackbone
from vgil_ros.policies.inference.onednn import FusedLinear
from vgil_ros.policies.normalizer import Normalizer


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
        """(owner, cameras) of those that go through together: pictures alike in size and scaling."""
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
