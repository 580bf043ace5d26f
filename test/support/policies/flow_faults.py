"""Faults of policies that flow, each planted in one method, to be put before a policy's class; and how they are named.

`with_fault(HalfNoise, SmolVlaPolicy)` is a SmolVLA with that fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgil_ros.policies.flow_matching import FlowPolicy
from vgil_ros.policies.flow_matching.flow import time_grid


def with_fault(fault: type[FlowPolicy], kind: type[FlowPolicy]) -> type[FlowPolicy]:
    """A class like `kind` but for the fault."""
    return type(fault.__name__, (fault, kind), {})


class TrainMode(FlowPolicy):
    """Forgets to leave training mode before it predicts."""

    def _predict_chunk(self, observation: Mapping[str, Any]) -> Tensor:
        self.model.field.train()
        return super()._predict_chunk(observation)


class HalfNoise(FlowPolicy):
    """Rounds the noise, then brings it back to float32, so that no dtype shows it."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        return super().noise_for(observation, batch).half().float()


class HalfDrawn(FlowPolicy):
    """Draws in half precision, but takes given noise as it is."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        noise = super().noise_for(observation, batch)
        return noise if "noise" in observation else noise.half().float()


class PlainHalf(FlowPolicy):
    """Hands half precision to the network, which fails on it."""

    def noise_for(self, observation: Mapping[str, Any], batch: int) -> Tensor:
        return super().noise_for(observation, batch).half()


class ReversedTime(FlowPolicy):
    """Walks from t = 0 to t = 1."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in reversed(time_grid(steps)[1:]):
            x = x - velocity(x, x.new_full((len(x),), t)) / steps
        return x


class MirroredTime(FlowPolicy):
    """Tells the field 1 - t, as a network of the other convention wants it."""

    def velocity(self, prefix: Any) -> Any:
        return lambda x, t: self.model.field(x, 1 - t, prefix)


class WrongWay(FlowPolicy):
    """Adds the velocity where it should be taken off."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in time_grid(steps)[:-1]:
            x = x + velocity(x, x.new_full((len(x),), t)) / steps
        return x


class ShortGrid(FlowPolicy):
    """Leaves out the last step."""

    def endpoint(self, velocity: Any, noise: Tensor) -> Tensor:
        x, steps = noise, self.config.steps
        for t in time_grid(steps)[:-2]:
            x = x - velocity(x, x.new_full((len(x),), t)) / steps
        return x


class ScaledTwice(FlowPolicy):
    """Divides pixels by 255 before the normaliser does it again."""

    def encode(self, observation: Mapping[str, Any]) -> Any:
        scale = self.normalizer.normalize_images
        self.normalizer.normalize_images = lambda images, camera: scale(images / 255.0, camera)  # type: ignore[method-assign]
        try:
            return super().encode(observation)  # type: ignore[safe-super]
        finally:
            self.normalizer.normalize_images = scale  # type: ignore[method-assign]


class NotUnpadded(FlowPolicy):
    """Hands the padded endpoint to the normaliser, which fails on it."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return self.normalizer.action.inverse(x)


class PaddedOut(FlowPolicy):
    """Gives the padding away as actions."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return torch.cat([super().to_robot_units(x), x[..., self.config.action_dim :]], dim=-1)


class WrongColumns(FlowPolicy):
    """Takes the padding off at the wrong end."""

    def to_robot_units(self, x: Tensor) -> Tensor:
        return self.normalizer.action.inverse(x[..., -self.config.action_dim :])


class FlippedAction(FlowPolicy):
    """Turns joint 3 round on its way out."""

    def _predict_chunk(self, observation: Mapping[str, Any]) -> Tensor:
        chunk = super()._predict_chunk(observation)
        chunk[..., 3] *= -1
        return chunk


class FlippedState(FlowPolicy):
    """Turns joint 1 round on its way in."""

    def encode(self, observation: Mapping[str, Any]) -> Any:
        qpos = np.array(observation["qpos"])
        qpos[:, 1] *= -1
        return super().encode({**observation, "qpos": qpos})  # type: ignore[safe-super]


class NormalisedTwice(FlowPolicy):
    """Normalises the state before the network's own path does it."""

    def encode(self, observation: Mapping[str, Any]) -> Any:
        qpos = self.normalizer.qpos(torch.from_numpy(observation["qpos"]))
        return super().encode({**observation, "qpos": qpos})  # type: ignore[safe-super]


# (fault, stage, words), for a policy of 5 actions padded to 8 and of three steps
FAULTS: list[tuple[Any, str, str]] = [
    (TrainMode, "mode", "run in training mode"),
    (HalfNoise, "noise", "rounded to torch.float16 on its way"),
    (HalfDrawn, "noise", "drawn in torch.float16"),
    (PlainHalf, "noise", "torch.float16"),
    (ScaledTwice, "images", "contrast 0.00392"),
    (NormalisedTwice, "normalizer", "normalised twice"),
    (NotUnpadded, "padding", "8 wide, an action 5: RuntimeError"),
    (PaddedOut, "padding", "actions come out 8 wide"),
    (WrongColumns, "padding", "columns 3 to 7"),
    (ShortGrid, "time_grid", "t = 1, 0.667, promised 1, 0.667, 0.333"),
    (ReversedTime, "direction", "time runs back"),
    (MirroredTime, "direction", "time runs back"),
    (WrongWay, "direction", "along the velocity"),
    (FlippedAction, "sign", "actions of joint 3 are turned round"),
    (FlippedState, "sign", "state of joint 1 is turned round"),
]
