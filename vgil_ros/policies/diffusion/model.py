"""The networks of a diffusion policy, all in normalised units but for the pictures, which come as they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.diffusion.encoder import ImageEncoder, crop, random_places, resize
from vgil_ros.policies.diffusion.unet import UNet
from vgil_ros.policies.normalizer import Normalizer


class DiffusionModel(nn.Module):
    """Encoders that turn observations into a condition, and the U-Net that is told it."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        copies = min(1, len(config.cameras)) if config.shared_encoder else len(config.cameras)
        self.encoders = nn.ModuleList(ImageEncoder(config) for _ in range(copies))
        seen = sum(self.encoder_of(index).dim for index in range(len(config.cameras)))
        self.condition_dim = config.n_obs_steps * (config.state_dim + seen)
        self.unet = UNet(config, self.condition_dim)

    def encoder_of(self, camera: int) -> ImageEncoder:
        """Give the encoder of camera number `camera`."""
        found = self.encoders[0 if self.config.shared_encoder else camera]
        assert isinstance(found, ImageEncoder)
        return found

    def condition(self, qpos: Tensor, pictures: list[Tensor], normalizer: Normalizer) -> Tensor:
        """Give what the U-Net is told of the observations, (B, condition_dim): step by step state, then cameras.

        Args:
            qpos: (B, T, D) normalised, oldest first; pictures: (B, T, H, W, 3) uint8 for each camera.
        """
        parts = [qpos]
        for index, seen in enumerate(pictures):
            scaled = self.scaled(seen, normalizer, index)
            feature = self.encoder_of(index)(scaled.flatten(0, 1))
            parts.append(feature.unflatten(0, seen.shape[:2]))
        return torch.cat(parts, dim=-1).flatten(1)

    def scaled(self, pictures: Tensor, normalizer: Normalizer, camera: int) -> Tensor:
        """(B, T, H, W, 3) uint8 -> (B, T, 3, h, w) as the backbone takes them.

        What is cropped away need not be scaled; where a resize comes first, it works on scaled pictures, as elsewhere.
        """
        config = self.config
        if config.resize is None or not config.resize_first:
            pictures = self._crop(pictures.movedim(-1, 2)).movedim(2, -1)
        scaled = normalizer.normalize_images(pictures.flatten(0, 1), camera).unflatten(0, pictures.shape[:2])
        if config.resize is None:
            return scaled
        scaled = resize(scaled, config.resize, config.resize_antialias)
        return self._crop(scaled) if config.resize_first else scaled

    def _crop(self, pictures: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T, 3, h, w): at random while training, or else from the middle."""
        config = self.config
        if config.crop is None:
            return pictures
        places = None
        if self.training and config.random_crop:
            places = random_places(len(pictures), (pictures.shape[-2], pictures.shape[-1]), config.crop)
        return crop(pictures, config.crop, places)
