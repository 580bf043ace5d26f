"""Noise that a generated chunk begins from, and that can be drawn again."""

from __future__ import annotations

import torch
from torch import Tensor

_SPREAD = 1_000_003  # keeps the draws of neighbouring seeds apart
_SEEDS = 2**63  # as many as torch takes


class NoiseSource:
    """Normal noise, float32 whatever the network computes in, the same on every device.

    Draw number n after a reset depends on the seed and n alone, and each member of a batch on its place in it, so that
    a chunk can be made again without keeping a generator's state.
    """

    def __init__(self, seed: int) -> None:
        self.seed = self._usual = seed
        self.drawn = 0

    def reset(self, seed: int | None = None) -> None:
        """Begin anew, from `seed`, or else from the one it was made with."""
        self.seed = self._usual if seed is None else seed
        self.drawn = 0

    def draw(self, batch: int, shape: tuple[int, ...]) -> Tensor:
        """(batch, *shape) float32, on the CPU."""
        generator = torch.Generator().manual_seed((self.seed * _SPREAD + self.drawn) % _SEEDS)
        self.drawn += 1
        # one by one: torch fills a long vector otherwise than a short one
        return torch.stack([torch.randn(shape, generator=generator, dtype=torch.float32) for _ in range(batch)])
