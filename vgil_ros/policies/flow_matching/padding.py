"""State and actions of any robot in one common width: `pad` on the way in, `unpad` on the way out, nowhere else."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad(x: Tensor, width: int) -> Tensor:
    """(..., D) -> (..., width), zeros behind."""
    return F.pad(x, (0, width - x.shape[-1]))


def unpad(x: Tensor, dim: int) -> Tensor:
    """(..., width) -> (..., dim), the first of them."""
    return x[..., :dim]
