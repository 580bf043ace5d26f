"""Random changes of images on the device: crop, rotation, brightness, contrast, saturation.

As act-plus-plus does it, but: all is one resampling; rotated corners show the nearest pixels in place of black, which
no camera shows; colours change in a fixed order. One draw holds for all cameras and frames of a sample.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from vgil_ros.training.config import AugmentationConfig
from vgil_ros.training.data.dataset import Batch

OWN_STREAM = 0x5DEECE66D  # so that a sample's draws and the noise that the policy draws for it are not the same numbers
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Augmentation:
    """Changes a batch's images by what seed, step and a sample's place in the global batch give."""

    def __init__(self, config: AugmentationConfig, seed: int) -> None:
        self.config, self._seed = config, seed

    def __call__(self, batch: Batch, step: int, first: int, total: int) -> Batch:
        """Give the batch of a step, its images changed.

        Args:
            first: place of the batch's first sample in the global batch of `total` samples.
        """
        if not self.config.enabled:
            return batch
        draws = self.draw(step, total)[first : first + len(batch["qpos"])].to(batch["qpos"].device)
        changed = dict(batch)
        changed["images"] = {name: self.change(images, draws) for name, images in batch["images"].items()}
        if "past" in batch:
            parts = {"images": self._change_past, "flow": self._change_flows}
            past = {key: change(batch["past"][key], draws) for key, change in parts.items() if key in batch["past"]}
            changed["past"] = {**batch["past"], **past}
        return changed

    def _change_past(self, images: Batch, draws: Tensor) -> Batch:
        """Change images (B, N, H, W, 3) of each camera, all of a sample as its present: what stood still stays so."""
        changed = {}
        for name, frames in images.items():
            each = draws.repeat_interleave(frames.shape[1], dim=0)
            changed[name] = self.change(frames.flatten(0, 1), each).unflatten(0, frames.shape[:2])
        return changed

    def _change_flows(self, flows: Batch, draws: Tensor) -> Batch:
        changed = {}
        for name, flow in flows.items():
            each = draws.repeat_interleave(flow.shape[1], dim=0)
            changed[name] = self.change_flow(flow.flatten(0, 1), each).unflatten(0, flow.shape[:2])
        return changed

    def change_flow(self, flow: Tensor, draws: Tensor) -> Tensor:
        """Change flow (B, h, w, 2) px as it would be between images changed by the same draws.

        A crop that is magnified magnifies motion, a rotation turns it; colours do not matter to it.
        """
        if self.config.crop == 1 and self.config.rotation_deg == 0:
            return flow
        values = self._move(flow.permute(0, 3, 1, 2).float(), draws)
        angle = draws[:, 2] * math.radians(self.config.rotation_deg)
        cos, sin = (f(angle).div(self.config.crop).view(-1, 1, 1) for f in (torch.cos, torch.sin))
        x, y = values.unbind(1)
        # _move says where a pixel comes from; a vector goes the other way
        return torch.stack([cos * x + sin * y, cos * y - sin * x], dim=-1).to(flow.dtype)

    def draw(self, step: int, count: int) -> Tensor:
        """(count, 6) in [-1, 1]: place of the crop along x and y, rotation, brightness, contrast, saturation."""
        seed = (self._seed * 1_000_003 + step) ^ OWN_STREAM
        generator = torch.Generator().manual_seed(seed % (1 << 63))
        return torch.rand(count, 6, generator=generator) * 2 - 1

    def change(self, images: Tensor, draws: Tensor) -> Tensor:
        """Change images (B, H, W, 3) uint8 by draws (B, 6), each sample by its own; the same shape comes back."""
        values = images.permute(0, 3, 1, 2).float()
        if self.config.crop < 1 or self.config.rotation_deg > 0:
            values = self._move(values, draws)
        values = self._colour(values, draws)
        return values.round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def _move(self, values: Tensor, draws: Tensor) -> Tensor:
        height, width = values.shape[2:]
        side, angle = self.config.crop, draws[:, 2] * math.radians(self.config.rotation_deg)
        cos, sin = angle.cos() * side, angle.sin() * side
        shift = draws[:, :2] * (1 - side)
        # grid_sample's axes both run from -1 to 1: a rotation among them must know the image's proportions
        rows = [
            torch.stack([cos, -sin * height / width, shift[:, 0]], dim=1),
            torch.stack([sin * width / height, cos, shift[:, 1]], dim=1),
        ]
        grid = affine_grid(torch.stack(rows, dim=1), list(values.shape), align_corners=False)
        return grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _colour(self, values: Tensor, draws: Tensor) -> Tensor:
        config = self.config
        brightness, contrast, saturation = (
            (1 + draws[:, 3 + i] * reach).view(-1, 1, 1, 1)
            for i, reach in enumerate((config.brightness, config.contrast, config.saturation))
        )
        values = (values * brightness).clamp_(0, 255)
        weights = values.new_tensor(GREY).view(1, 3, 1, 1)
        mean = (values * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
        values = (values * contrast + mean * (1 - contrast)).clamp_(0, 255)
        grey = (values * weights).sum(1, keepdim=True)
        return (values * saturation + grey * (1 - saturation)).clamp_(0, 255)
