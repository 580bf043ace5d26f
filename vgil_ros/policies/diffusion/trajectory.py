"""Target actions of a batch over the whole horizon, filled in where the batch says nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.observation import Batch
from vgil_ros.policies.preparation import check_known, check_vector, prepare_targets, to_tensor


def trajectory(config: DiffusionConfig, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give the actions of a batch from the oldest observation on.

    Where there was none (before the episode's first row, after its last, across a gap), the nearest one is repeated, as
    LeRobot and Diffusion Policy do.

    Returns:
        (B, horizon, A) float32 in robot units, and (B, horizon) bool, True where an action is a repetition.

    Raises:
        PolicyError: a shape or dtype does not fit, or there is a past without actions.
    """
    action, is_pad = prepare_targets(config, batch, device)
    if config.first:
        before, unknown = _before(config, batch, action)
        action, is_pad = torch.cat([before, action], dim=1), torch.cat([unknown, is_pad], dim=1)
    place = torch.arange(config.horizon, device=device).expand(len(action), -1)
    real = torch.where(is_pad, config.first, place)  # the present action is always one
    nearest = torch.minimum(torch.maximum(place, real.amin(1, keepdim=True)), real.amax(1, keepdim=True))
    return action.gather(1, nearest[..., None].expand_as(action)), is_pad


def _before(config: DiffusionConfig, batch: Batch, action: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, N, A) before the present, and which of them are not known, (B, N)."""
    shape = (len(action), config.first, config.action_dim)
    if "past" not in batch:
        return action.new_zeros(shape), torch.ones(shape[:2], dtype=torch.bool, device=action.device)
    if "action" not in batch["past"]:
        raise PolicyError(
            f"past: ['action'] missing, found {sorted(batch['past'])}; the horizon begins at the oldest observation"
        )
    before = to_tensor(batch["past"]["action"], action.device)
    check_vector("past action", tuple(before.shape), shape)
    known = known_back(check_known(config, batch, action.device))
    return before.to(torch.float32), ~known


def known_back(known: Tensor) -> Tensor:
    """(B, N), oldest first: known, and so is all that is newer. What lies behind a gap is not taken."""
    return known.flip(1).to(torch.int64).cumprod(1).bool().flip(1)


def oldest_repeated(values: Tensor, known: Tensor) -> Tensor:
    """Put the oldest known value in the place of older ones.

    Args:
        values: (B, N + 1, ...), oldest first, the present last; known: (B, N) as `known_back` gives it.
    """
    count = values.shape[1]
    oldest = (~known).sum(1, keepdim=True)
    place = torch.maximum(torch.arange(count, device=values.device).expand(len(values), -1), oldest)
    return values.gather(1, place.view(*place.shape, *[1] * (values.dim() - 2)).expand_as(values))
