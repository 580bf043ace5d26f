"""Small measures that the stages of a comparison share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vgil_ros.policies.config import PolicyConfig

TOLERANCE = 1e-3


def close(a: Tensor, b: Tensor) -> bool:
    """True where two tensors of one shape agree within rounding, also that of another device."""
    return a.shape == b.shape and torch.allclose(a.float(), b.float().to(a.device), rtol=TOLERANCE, atol=TOLERANCE)


def far(a: Tensor | None, b: Tensor | None) -> float:
    """Largest difference; infinite where one is missing or of another shape."""
    if a is None or b is None or a.shape != b.shape:
        return float("inf")
    return float((a.float() - b.float()).abs().max())


def spans(x: Tensor) -> str:
    """The range of values, in words."""
    return f"{float(x.min()):.3g} to {float(x.max()):.3g}"


def joints(config: PolicyConfig, indices: Sequence[int]) -> str:
    """Names of joints, or their numbers where names are unknown."""
    names = [config.joint_names[i] if i < len(config.joint_names) else f"joint {i}" for i in indices]
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "")
