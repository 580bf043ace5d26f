"""The networks of a diffusion policy, all in normalised units but for the images, which come as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vgil_ros.policies.diffusion.config import DiffusionConfig, Size
from vgil_ros.policies.diffusion.unet import UNet
from vgil_ros.policies.nn.backbones import CHANNELS, build_backbone
from vgil_ros.policies.normalizer import Normalizer


class SpatialSoftmax(nn.Module):
    """Where each of K maps is bright, as (x, y) in [-1, 1] (Finn et al. 2016, arXiv 1509.06113)."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, keypoints, kernel_size=1)

    def forward(self, feature: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 2 K): x and y of the first keypoint, of the second, ..."""
        maps = self.maps(feature)
        share = maps.flatten(2).softmax(dim=-1).view(maps.shape)
        height, width = maps.shape[2:]
        x = (share.sum(2) * _axis(width, maps)).sum(-1)
        y = (share.sum(3) * _axis(height, maps)).sum(-1)
        return torch.stack([x, y], dim=-1).flatten(1)


class ImageEncoder(nn.Module):
    """Backbone, pooling and, behind keypoints, a linear layer: (N, 3, H, W) -> (N, dim)."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        channels = CHANNELS[config.backbone]
        self.backbone = build_backbone(config.backbone, config.backbone_norm)
        self.pool: SpatialSoftmax | None = None
        self.out: nn.Linear | None = None
        self._relu = config.feature_relu
        if config.pooling == "spatial_softmax":
            self.pool = SpatialSoftmax(channels, config.keypoints)
            self.out = nn.Linear(2 * config.keypoints, 2 * config.keypoints)
        self.dim = channels if self.out is None else self.out.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), scaled -> (N, dim)."""
        return self.pooled(self.backbone(x))

    def pooled(self, feature: Tensor) -> Tensor:
        """The backbone's map (N, C, h, w) -> (N, dim)."""
        if self.pool is None or self.out is None:
            return feature.mean(dim=(2, 3))
        out: Tensor = self.out(self.pool(feature))
        return out.relu() if self._relu else out


def crop(images: Tensor, size: Size, places: Tensor | None) -> Tensor:
    """Cut images (B, ..., H, W) to `size`.

    Args:
        places: (B, 2) int64, upper left corner of each sample; None: from the middle of all.
    """
    height, width = size
    if places is None:
        top, left = (round((have - want) / 2) for have, want in zip(images.shape[-2:], size, strict=True))
        return images[..., top : top + height, left : left + width]
    return torch.stack(
        [
            image[..., top : top + height, left : left + width]
            for image, (top, left) in zip(images, places.tolist(), strict=True)
        ]
    )


def random_places(count: int, have: Size, want: Size) -> Tensor:
    """(count, 2) upper left corners of crops, each place as likely as any other. Drawn on the CPU: crops are slices."""
    return torch.stack([torch.randint(0, have[axis] - want[axis] + 1, (count,)) for axis in (0, 1)], dim=1)


def resize(images: Tensor, size: Size, antialias: bool) -> Tensor:
    """(B, T, 3, H, W) float -> (B, T, 3, *size), bilinear."""
    flat = F.interpolate(images.flatten(0, 1), size, mode="bilinear", align_corners=False, antialias=antialias)
    result: Tensor = flat.unflatten(0, images.shape[:2])
    return result


def _axis(count: int, like: Tensor) -> Tensor:
    """(count,) from -1 to 1; computed as numpy does, in double precision."""
    return torch.linspace(-1.0, 1.0, count, dtype=torch.float64, device=like.device).to(like.dtype)


class DiffusionModel(nn.Module):
    """Encoders that turn observations into a condition, and the U-Net that is told it."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        copies = min(1, len(config.cameras)) if config.shared_encoder else len(config.cameras)
        self.encoders = nn.ModuleList(ImageEncoder(config) for _ in range(copies))
        image_dim = sum(self.encoder_of(index).dim for index in range(len(config.cameras)))
        self.condition_dim = config.n_obs_steps * (config.state_dim + image_dim)
        self.unet = UNet(config, self.condition_dim)

    def encoder_of(self, camera: int) -> ImageEncoder:
        """Give the encoder of camera number `camera`."""
        encoder = self.encoders[0 if self.config.shared_encoder else camera]
        assert isinstance(encoder, ImageEncoder)
        return encoder

    def condition(self, qpos: Tensor, images: list[Tensor], normalizer: Normalizer) -> Tensor:
        """Give the U-Net's condition, made of the observations, (B, condition_dim): step by step state, then cameras.

        Args:
            qpos: (B, T, D) normalised, oldest first; images: (B, T, H, W, 3) uint8 for each camera.
        """
        parts = [qpos]
        for index, frames in enumerate(images):
            scaled = self.scaled(frames, normalizer, index)
            feature = self.encoder_of(index)(scaled.flatten(0, 1))
            parts.append(feature.unflatten(0, frames.shape[:2]))
        return torch.cat(parts, dim=-1).flatten(1)

    def scaled(self, images: Tensor, normalizer: Normalizer, camera: int) -> Tensor:
        """(B, T, H, W, 3) uint8 -> (B, T, 3, h, w) as the backbone takes them.

        What is cropped away need not be scaled; where a resize comes first, it works on scaled images, as elsewhere.
        """
        config = self.config
        if config.resize is None or not config.resize_first:
            images = self._crop(images.movedim(-1, 2)).movedim(2, -1)
        scaled = normalizer.normalize_images(images.flatten(0, 1), camera).unflatten(0, images.shape[:2])
        if config.resize is None:
            result: Tensor = scaled
            return result
        scaled = resize(scaled, config.resize, config.resize_antialias)
        return self._crop(scaled) if config.resize_first else scaled

    def _crop(self, images: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T, 3, h, w): at random while training, or else from the middle."""
        config = self.config
        if config.crop is None:
            return images
        places = None
        if self.training and config.random_crop:
            places = random_places(len(images), (images.shape[-2], images.shape[-1]), config.crop)
        return crop(images, config.crop, places)
