"""Joints and grippers of ALOHA as pi0's training had them (`adapt_to_pi_aloha`); constants are openpi's.

LeRobot 0.4 applies this to normalised values, in training as on the robot, so a checkpoint of its is right with that
alone; openpi does so before it normalises.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FLIPPED = (1, 2, 8, 9)  # shoulder and elbow of both arms
GRIPPERS = (6, 13)
ANGLES = (0.4, 1.5)  # rad, of a Trossen gripper, closed and open
JOINT = (-0.6213, 1.4910)  # rad, of ALOHA's gripper joint
LINEAR = (0.01844, 0.05800)  # m, of ALOHA's fingers
ARM, HORN = 0.036, 0.022  # m, of the crank that drives them


def state_to_network(state: Tensor) -> Tensor:
    """(..., D) of ALOHA -> as the network was trained."""
    return _changed(state, _angle_share)


def action_to_network(action: Tensor) -> Tensor:
    """(..., A) of ALOHA -> as the network was trained; the way back of `action_from_network`."""
    return _changed(action, lambda share: _to_share(_of_share(share, JOINT), ANGLES))


def action_from_network(action: Tensor) -> Tensor:
    """(..., A) as the network gives them -> of ALOHA."""
    return _changed(action, lambda share: _to_share(_of_share(share, ANGLES), JOINT))


def _changed(values: Tensor, gripper: Callable[[Tensor], Tensor]) -> Tensor:
    """(..., D) with joints turned round and `gripper` applied to the grippers; by columns, which a CUDA graph holds."""
    columns = list(values.unbind(-1))
    for place in FLIPPED:
        columns[place] = -columns[place]
    for place in GRIPPERS:
        columns[place] = gripper(columns[place])
    return torch.stack(columns, dim=-1)


def _angle_share(share: Tensor) -> Tensor:
    """How far open a gripper's fingers are -> how far its crank is."""
    linear = _of_share(share, LINEAR)
    sine = (HORN**2 + linear**2 - ARM**2) / (2 * HORN * linear)
    return _to_share(torch.arcsin(sine.clamp(-1.0, 1.0)), ANGLES)


def _to_share(value: Tensor, span: tuple[float, float]) -> Tensor:
    return (value - span[0]) / (span[1] - span[0])


def _of_share(value: Tensor, span: tuple[float, float]) -> Tensor:
    return value * (span[1] - span[0]) + span[0]
