"""What the backbone for things of a few pixels is there for: it learns where they are from few images."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from vgil_ros.policies.nn.backbones import CHANNELS, build_backbone

HEIGHT, WIDTH = 96, 128
THING = 5  # pixels a side, of 12 288
TRAINED, UNSEEN = 40, 60
STEPS = 220


def scenes(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, H, W) of a red thing on a dark table between two white arms, and its places (N, 2) in [-1, 1]."""
    random = np.random.default_rng(seed)
    images = np.zeros((count, 3, HEIGHT, WIDTH), np.float32) - 1.5
    images[:, :, 48:64, :32] = images[:, :, 48:64, -32:] = 2.0
    places = np.stack([random.integers(16, 80, count), random.integers(40, 84, count)], axis=1)
    for image, (row, column) in zip(images, places, strict=True):
        image[0, row : row + THING, column : column + THING] = 2.0
    return torch.from_numpy(images), torch.from_numpy(((places - (48.0, 62.0)) / (32.0, 22.0)).astype(np.float32))


def test_it_learns_where_a_small_thing_is_from_forty_images() -> None:
    torch.manual_seed(0)
    backbone, head = build_backbone("small_fine", "group"), nn.Linear(CHANNELS["small_fine"], 2)
    optimiser = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=1e-3)
    images, places = scenes(TRAINED, 1)
    for _ in range(STEPS):
        chosen = torch.randint(0, TRAINED, (8,))
        optimiser.zero_grad()
        (head(backbone(images[chosen]).mean(dim=(2, 3))) - places[chosen]).abs().mean().backward()
        optimiser.step()
    unseen, there = scenes(UNSEEN, 2)
    with torch.no_grad():
        error = (head(backbone(unseen).mean(dim=(2, 3))) - there).abs().mean()
    assert error < 0.1, "two or three pixels; saying 'in the middle' of everything is an error of 0.5"
