"""Actions that a chunk has to agree with, checked and as tensors; see `guidance` for how a chunk comes to agree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vgil_ros.core.observation import ActionPrefix
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.normalizer import VectorNormalizer
from vgil_ros.policies.observation import Observation
from vgil_ros.policies.preparation import check_vector, to_tensor

PREFIX_PARTS = ["action", "weight"]


@dataclass(frozen=True)
class PrefixTensors:
    """Actions that a chunk has to agree with.

    Attributes:
        action: (B, H, A) float32. What stands in rows of weight 0 does not matter.
        weight: (B, H, 1) float32. 1: comes out as it is; between 1 and 0: agree softly; 0: free.
    """

    action: Tensor
    weight: Tensor

    def __bool__(self) -> bool:
        """Whether any row is to be kept."""
        return bool((self.weight > 0.0).any())

    @property
    def fixed(self) -> Tensor:
        """(B, H, 1) bool: the rows that come out as they are."""
        return self.weight >= 1.0

    def normalised(self, normalizer: VectorNormalizer) -> PrefixTensors:
        """The same in the network's units: what `normalizer.inverse` takes back to these actions."""
        offset, scale = normalizer.inverse_affine()
        return replace(self, action=(self.action - offset) / scale)

    def padded(self, horizon: int, width: int, first: int = 0) -> PrefixTensors:
        """The same within the larger array (B, horizon, width) that a network works on.

        Args:
            horizon, width: its sizes; columns added hold zeros and are kept as the rest of their row is.
            first: its row that is the chunk's first; rows before and behind the chunk are free.
        """
        rows, columns = self.action.shape[1:]
        behind = horizon - first - rows
        action = F.pad(self.action, (0, width - columns, first, behind))
        return PrefixTensors(action, F.pad(self.weight, (0, 0, first, behind)))

    def keep(self, chunk: Tensor) -> Tensor:
        """The chunk (B, H, A) with the fixed rows to the last bit as they are."""
        return torch.where(self.fixed, self.action, chunk)


def prepare_prefix(config: PolicyConfig, observation: Observation, device: torch.device) -> PrefixTensors | None:
    """Check the prefix of an observation whose present is checked; None where there is none.

    Args:
        observation: may hold "prefix": {"action": (B, H, A) float32 in robot units, "weight": (B, H) float32}.

    Raises:
        PolicyError: a part is missing or unknown, a shape does not fit, an action that counts is not finite, or a
            weight lies outside of 0..1.
    """
    part = observation.get("prefix")
    if part is None:
        return None
    if sorted(part) != PREFIX_PARTS:
        raise PolicyError(f"prefix: found {sorted(part)}, allowed is exactly {PREFIX_PARTS}")
    action, weight = (to_tensor(one, device).to(torch.float32) for one in (part["action"], part["weight"]))
    batch = len(observation["qpos"])
    check_vector("prefix action", tuple(action.shape), (batch, config.chunk_size, config.action_dim))
    check_vector("prefix weight", tuple(weight.shape), (batch, config.chunk_size))
    if not bool(((weight >= 0.0) & (weight <= 1.0)).all()):
        raise PolicyError(f"prefix weight: found {_span(weight)}, allowed is 0 to 1")
    free = weight[..., None] == 0.0
    if not bool((torch.isfinite(action) | free).all()):
        raise PolicyError("prefix action: a row with a weight above 0 is not finite")
    return PrefixTensors(action.masked_fill(free, 0.0), weight[..., None])


def example_prefix(config: PolicyConfig) -> ActionPrefix:
    """A made-up part without batch axis, for warm-up: of zeros, half of them fixed."""
    weight = np.zeros(config.chunk_size, np.float32)
    weight[: (config.chunk_size + 1) // 2] = 1.0
    return {"action": np.zeros((config.chunk_size, config.action_dim), np.float32), "weight": weight}


def _span(weight: Tensor) -> str:
    return f"{float(weight.min()):.3g} to {float(weight.max()):.3g}"
