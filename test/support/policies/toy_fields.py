"""Distributions of smooth trajectories for which the perfect network is known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor


class SmoothModes:
    """A mixture of Gaussians over chunks (H, A): means (K, H, A), all with one smooth covariance over the rows.

    For x = kept a + spread z, a from the mixture and z white, `expected` is the exact E[a | x].
    """

    def __init__(self, means: Tensor, deviation: float = 0.05, length: float = 8.0) -> None:
        self.means = means.double()
        row = torch.arange(means.shape[1], dtype=torch.float64)
        kernel = torch.exp(-0.5 * ((row[:, None] - row) / length) ** 2)
        self.covariance = deviation**2 * (kernel + 1e-6 * torch.eye(len(row), dtype=torch.float64))

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Chunks (count, H, A) float64."""
        modes = torch.randint(len(self.means), (count,), generator=generator)
        white = torch.randn(count, *self.means.shape[1:], dtype=torch.float64, generator=generator)
        return self.means[modes] + torch.linalg.cholesky(self.covariance) @ white

    def expected(self, x: Tensor, kept: float, spread: float) -> Tensor:
        """E[a | x], x (B, H, A)."""
        inner = kept**2 * self.covariance + spread**2 * torch.eye(len(self.covariance), dtype=torch.float64)
        off = x.double()[:, None] - kept * self.means  # (B, K, H, A)
        solved = torch.linalg.solve(inner, off)
        weight = torch.softmax(-0.5 * (off * solved).sum((-2, -1)), dim=1)
        each = self.means + kept * self.covariance @ solved
        return (weight[..., None, None] * each).sum(1)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """E[z - a | x] for x = t z + (1 - t) a; all of one time."""
        now = max(float(t[0]), 1e-6)  # at 0 x is a, and says nothing of z
        return ((x.double() - self.expected(x, 1 - now, now)) / now).to(x.dtype)

    def output(self, x: Tensor, level: float, prediction: str) -> Tensor:
        """What the perfect network says of x = sqrt(level) x0 + sqrt(1 - level) epsilon."""
        estimate = self.expected(x, level**0.5, (1 - level) ** 0.5)
        if prediction == "sample":
            return estimate.to(x.dtype)
        return ((x.double() - level**0.5 * estimate) / (1 - level) ** 0.5).to(x.dtype)
